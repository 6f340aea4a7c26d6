"""The program: ``vnpy-core``, also ``python -m vnpy_core``."""

import gc


def main() -> None:
    """Run it. What it imports lives as long as it does: to look for garbage in it cost a fifth of the time."""
    gc.disable()
    from vnpy_core.cli import main as run

    gc.enable()
    run()


if __name__ == "__main__":
    main()
