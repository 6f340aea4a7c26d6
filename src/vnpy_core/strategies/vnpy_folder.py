"""VnpyFolder: what a folder that vn.py has worked in holds of strategies, read and written as vn.py does it."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from vnpy_core.config.json_file import replace_json
from vnpy_core.errors import Invalid, NotFound
from vnpy_core.strategies.setting_files import SETTING_FILES

_VNTRADER, _STRATEGIES = ".vntrader", "strategies"


class VnpyFolder(msgspec.Struct, frozen=True, kw_only=True):
    """``settings`` and ``variables`` are by engine and strategy; ``files`` are those of ``strategies/``, by their path
    in there; ``others`` the names of vn.py's files that say nothing of strategies."""

    settings: Mapping[str, Mapping[str, Any]]
    variables: Mapping[str, Mapping[str, Any]]
    files: Mapping[str, bytes]
    others: list[str]

    @classmethod
    def read(cls, folder: Path) -> "VnpyFolder":
        """Read the folder vn.py is started in, or ``.vntrader`` itself with ``strategies`` beside it. Blocks.

        Raises:
            NotFound: nothing there is vn.py's.
            Invalid: a file is not what vn.py writes.
        """
        settings_dir = folder if folder.name == _VNTRADER else folder / _VNTRADER
        sources = settings_dir.parent / _STRATEGIES
        if not settings_dir.is_dir() and not sources.is_dir():
            raise NotFound(f"{folder} has neither {_VNTRADER} nor {_STRATEGIES}: name the folder vn.py is started in.")
        known = {name for file in SETTING_FILES.values() for name in (file.setting, file.data)}
        return cls(
            settings={engine: _object(settings_dir / file.setting) for engine, file in SETTING_FILES.items()},
            variables={engine: _object(settings_dir / file.data) for engine, file in SETTING_FILES.items()},
            files=dict(_sources(sources)),
            others=sorted(path.name for path in settings_dir.glob("*.json") if path.name not in known),
        )

    def write(self, folder: Path) -> list[Path]:
        """Write it into ``folder``, and return the paths. Blocks."""
        written = []
        for relative, content in self.contents().items():
            path = folder / relative
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, bytes):
                path.write_bytes(content)
            else:
                replace_json(path, content, durable=True)
            written.append(path)
        return written

    def different(self, folder: Path) -> list[Path]:
        """Return the files that are in ``folder`` already, and hold something else. Blocks."""
        return [
            path
            for relative, content in self.contents().items()
            if (path := folder / relative).exists()
            and (path.read_bytes() != content if isinstance(content, bytes) else _object(path) != content)
        ]

    def contents(self) -> dict[str, bytes | Mapping[str, Any]]:
        """Return what is written, by path; an engine without strategies has no files."""
        found: dict[str, bytes | Mapping[str, Any]] = {}
        for engine, file in SETTING_FILES.items():
            if self.settings.get(engine) or self.variables.get(engine):
                found[f"{_VNTRADER}/{file.setting}"] = self.settings.get(engine, {})
                found[f"{_VNTRADER}/{file.data}"] = self.variables.get(engine, {})
        return found | {f"{_STRATEGIES}/{name}": source for name, source in self.files.items()}


def _object(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise Invalid(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(content, dict):
        raise Invalid(f"{path} must hold a JSON object, as vn.py writes it.")
    return content


def _sources(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path.relative_to(folder).as_posix(), path.read_bytes()
