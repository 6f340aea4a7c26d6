"""One vn.py runtime folder for the whole test session, made before the first vnpy import."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from vnpy_core.config.settings import VnPyCoreConfig
from vnpy_core.engine import runtime

pytest_plugins = ["tests.servers.fixtures", "tests.servers.databases", "tests.recorded"]

_RUNTIME = Path(tempfile.mkdtemp(prefix="vnpy-core-tests-"))


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("numprocesses", None) and not hasattr(config, "workerinput"):
        return  # xdist's own process: it runs no test, and its workers begin in its working folder
    # Not while this file is imported: it changes the working folder, and pytest looks for testpaths in it.
    for name in [name for name in os.environ if name.startswith("VNPY_")]:
        del os.environ[name]
    runtime.prepare(VnPyCoreConfig(data_dir=_RUNTIME, timezone="Asia/Shanghai"))


def pytest_unconfigure() -> None:
    shutil.rmtree(_RUNTIME, ignore_errors=True)


@pytest.fixture(scope="session")
def runtime_dir() -> Path:
    """The data folder that vn.py works in."""
    return _RUNTIME
