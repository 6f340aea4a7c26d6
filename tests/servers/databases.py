"""Fixtures: SQL databases, so that a test runs on one of each kind."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

KINDS = ["sqlite", "mariadb", "postgres"]


@contextmanager
def _new_database(request: pytest.FixtureRequest, folder: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{folder / 'facts.db'}"
        return
    server = request.getfixturevalue(request.param)
    url = server.new_database()
    yield url
    server.drop_database(url)


@pytest.fixture(params=KINDS)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database for each test."""
    with _new_database(request, tmp_path) as url:
        yield url


@pytest.fixture(params=KINDS, scope="module")
def shared_database_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One database for all tests of a module, for those that do not touch the schema: making one takes 0.4 s."""
    with _new_database(request, tmp_path_factory.mktemp("shared")) as url:
        yield url
