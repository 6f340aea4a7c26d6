"""One vn.py runtime folder for the whole test session, made before the first vnpy import."""

import os
import shutil
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from schemathesis.pytest.plugin import SchemathesisFunction

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


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have no two tests of one id: xdist runs only one of them, and says nothing of the others."""
    for item in items:
        if isinstance(item, SchemathesisFunction) and item.id.params is None:
            # This pytest takes the id from what a test is called in the source, which is the same for each operation.
            item._id = item.id.with_params(item.name.partition("[")[2].removesuffix("]"))
    ids = Counter(item.nodeid for item in items)
    if twice := [nodeid for nodeid, times in ids.items() if times > 1]:
        raise pytest.UsageError(f"several tests have one id: {', '.join(twice)}")


@pytest.fixture(scope="session")
def runtime_dir() -> Path:
    """The data folder that vn.py works in."""
    return _RUNTIME
