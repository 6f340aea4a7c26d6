"""What is installed and what is loaded: no Qt anywhere, every package pinned by hash, no index named."""

import re
import tomllib
from collections.abc import Callable
from importlib.metadata import distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.e2e.process import ServiceProcess

ROOT = Path(__file__).resolve().parents[2]
QT = re.compile(r"pyside|pyqt|shiboken|qtpy|qdarkstyle", re.IGNORECASE)
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
LOCKS = sorted(ROOT.glob("requirements*.lock"))


def test_no_qt_is_installed() -> None:
    names = {distribution.metadata["Name"] for distribution in distributions()}
    assert "vnpy" in names
    assert not [name for name in names if QT.search(name)]


def test_no_qt_is_loaded_by_a_running_service(service: Callable[..., ServiceProcess]) -> None:
    with service() as core:
        assert core.process is not None
        loaded = Path(f"/proc/{core.process.pid}/maps").read_text()
        assert "site-packages" in loaded
        assert not QT.search(loaded)
        assert "libQt" not in loaded


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_a_lock_pins_everything_by_hash_and_names_no_index(lock: Path) -> None:
    text = lock.read_text()
    blocks = re.split(r"\n(?=[a-zA-Z0-9])", text.strip())
    assert len(blocks) > 50
    for block in blocks:
        name, *rest = block.splitlines()
        assert re.match(r"[a-zA-Z0-9._-]+==[^ ]+", name), name
        assert any("--hash=sha256:" in line for line in rest), name
    assert "://" not in text
    assert not re.search(r"^\s*--(extra-)?index|^-i |--find-links", text, re.MULTILINE)
    assert not QT.search(text)


def pins(lock: str) -> dict[str, set[str]]:
    """Return what a lock pins: a name has several lines where they are for different Pythons."""
    found: dict[str, set[str]] = {}
    for name, pin in re.findall(r"^([a-zA-Z0-9._-]+)==(.+?) *\\$", (ROOT / lock).read_text(), re.MULTILINE):
        found.setdefault(canonicalize_name(name), set()).add(pin)
    return found


@pytest.mark.parametrize("extra", EXTRAS)
def test_the_servers_lock_is_complete_for_each_extra(extra: str) -> None:
    """What an extra asks for, and what that asks for in turn, as it is for the Python that runs this."""
    locked = pins("requirements-servers.lock")
    waiting, seen = [Requirement(text) for text in EXTRAS[extra]], set[str]()
    while waiting:
        one = waiting.pop()
        name = canonicalize_name(one.name)
        assert name in locked, f"{name}, for {extra}"
        if name not in seen:
            seen.add(name)
            needed = map(Requirement, requires(name) or ())
            waiting += [
                each
                for each in needed
                if each.marker is None or any(each.marker.evaluate({"extra": wanted}) for wanted in ("", *one.extras))
            ]
    assert seen


@pytest.mark.parametrize("lock", [lock.name for lock in LOCKS])
def test_a_lock_has_what_the_service_runs_with(lock: str) -> None:
    assert pins("requirements.lock").items() <= pins(lock).items()


def test_the_locks_of_tests_and_benchmarks_have_the_clients_as_the_servers_lock_has_them() -> None:
    servers = pins("requirements-servers.lock")
    assert servers.items() <= pins("requirements-dev.lock").items()
    assert servers.items() <= pins("requirements-bench.lock").items()


def test_the_locked_vn_py_is_the_one_that_was_tried() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    for pin in (
        "vnpy==4.5.0", "vnpy-ctastrategy==1.4.1", "vnpy-ctabacktester==1.3.0", "vnpy-datamanager==1.2.0",
        "vnpy-riskmanager==2.0.0", "vnpy-algotrading==1.1.0", "vnpy-chartwizard==1.1.0", "vnpy-rpcservice==1.1.0",
        "vnpy-portfoliostrategy==1.3.0", "vnpy-spreadtrading==1.4.0", "vnpy-datarecorder==1.1.1",
    ):  # fmt: skip
        assert f"\n{pin} " in f"\n{lock}", pin
