"""The servers as fixtures: one of each for the session, and ``own_…`` for a test that kills or freezes it.

A server that is not installed skips the test on a laptop, and fails it where the environment variable CI is set.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn, TypeVar

import pytest

from tests.servers import Influx, MariaDb, Nats, Postgres, Redis, Server
from tests.servers.base import ProgramMissing

S = TypeVar("S", bound=Server)


@contextmanager
def running(kind: type[S], *arguments: str, **options: Any) -> Iterator[S]:
    """Give a new server of a kind, running, with further command line arguments and options of its class; for tests
    that need a special one."""
    try:
        server = kind(*arguments, **options)
    except ProgramMissing as error:
        missing(error)
    with server:
        yield server


def missing(error: ProgramMissing) -> NoReturn:
    """Skip the test, or fail it in CI."""
    if os.environ.get("CI"):
        pytest.fail(str(error), pytrace=False)
    pytest.skip(str(error))


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDb]:
    with running(MariaDb) as server:
        yield server


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with running(Postgres) as server:
        yield server


@pytest.fixture(scope="session")
def redis() -> Iterator[Redis]:
    with running(Redis) as server:
        yield server


@pytest.fixture(scope="session")
def nats() -> Iterator[Nats]:
    with running(Nats) as server:
        yield server


@pytest.fixture(scope="session")
def influx() -> Iterator[Influx]:
    with running(Influx) as server:
        yield server


@pytest.fixture
def own_mariadb() -> Iterator[MariaDb]:
    with running(MariaDb) as server:
        yield server


@pytest.fixture
def own_postgres() -> Iterator[Postgres]:
    with running(Postgres) as server:
        yield server


@pytest.fixture
def own_redis() -> Iterator[Redis]:
    with running(Redis) as server:
        yield server


@pytest.fixture
def own_nats() -> Iterator[Nats]:
    with running(Nats) as server:
        yield server


@pytest.fixture
def own_influx() -> Iterator[Influx]:
    with running(Influx) as server:
        yield server
