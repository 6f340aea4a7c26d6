"""Fixtures of the end-to-end tests: services that are ended whatever happens."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.process import ServiceProcess


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Callable[..., ServiceProcess]]:
    """Return a started service; ``service(config)`` starts it on the test's folder, again if called again."""
    with ExitStack() as stack:

        def start(config: str = "", *, folder: str = "data", python_path: Path | None = None) -> ServiceProcess:
            return stack.enter_context(ServiceProcess(tmp_path / folder, config, python_path=python_path))

        yield start
