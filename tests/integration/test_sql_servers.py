"""What is configured for a database server, on real ones: TLS, a replica, the pool; and what is said when it fails."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select, text

from tests.servers import MariaDb, Postgres
from tests.servers.certificates import Certificates
from vnpy_core.config.settings import VnPyCoreConfig
from vnpy_core.data.database import DatabaseManager
from vnpy_core.data.tables import sink_cursors
from vnpy_core.errors import ConfigError, Unavailable

SqlServer = MariaDb | Postgres


@pytest.fixture(params=["mariadb", "postgres"])
def server(request: pytest.FixtureRequest) -> SqlServer:
    found: SqlServer = request.getfixturevalue(request.param)
    return found


@asynccontextmanager
async def opened(**settings: Any) -> AsyncIterator[DatabaseManager]:
    manager = DatabaseManager.configured(VnPyCoreConfig(database=settings))
    try:
        await manager.open()
        yield manager
    finally:
        await manager.close()


# TLS


@pytest.fixture(params=[MariaDb, Postgres])
def tls_server(request: pytest.FixtureRequest) -> Iterator[tuple[SqlServer, Certificates]]:
    """A server that asks for TLS and for a certificate of the client."""
    with request.param() as server:
        server.stop()
        made = Certificates(server.folder / "tls", server.user)
        if isinstance(server, MariaDb):
            users = server.folder / "users.sql"
            users.write_text(users.read_text() + "ALTER USER core@'127.0.0.1' REQUIRE X509;\n")
            server.arguments = (f"--ssl-ca={made.ca}", f"--ssl-cert={made.server}", f"--ssl-key={made.server_key}")
        else:
            rules = "host all admin all scram-sha-256\nhostssl all core all scram-sha-256 clientcert=verify-ca\n"
            (server.folder / "data" / "pg_hba.conf").write_text(rules)
            files = f"-cssl_ca_file={made.ca}", f"-cssl_cert_file={made.server}", f"-cssl_key_file={made.server_key}"
            server.arguments = ("-cssl=on", *files)
        server.start()
        yield server, made


async def test_a_connection_is_encrypted_and_both_ends_are_checked(
    tls_server: tuple[SqlServer, Certificates], tmp_path: Path
) -> None:
    server, made = tls_server
    url = server.new_database()
    full = {"url": url, "tls": True, "tls_ca": made.ca, "tls_cert": made.client, "tls_key": made.client_key}
    async with opened(**full) as database, database.session() as session:
        if isinstance(server, MariaDb):
            assert (await session.execute(text("SHOW STATUS LIKE 'Ssl_cipher'"))).one()[1]
        else:
            assert await session.scalar(text("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"))

    others = Certificates(tmp_path / "others")
    refused: dict[str, tuple[dict[str, object], str]] = {
        "without TLS": ({"url": url}, "denied|no encryption"),
        "as a stranger": (full | {"tls_cert": others.client, "tls_key": others.client_key}, "is not available"),
        "with a stranger": (full | {"tls_ca": others.ca}, "certificate verify failed"),
        "trusting the system's list": (full | {"tls_ca": None}, "certificate verify failed"),
        "under another name": (full | {"url": url.replace("127.0.0.1", "localhost")}, "not valid for 'localhost'"),
    }
    for what, (settings, message) in refused.items():
        with pytest.raises(Unavailable, match=message):
            async with opened(**settings):
                pytest.fail(f"connected {what}")


async def test_a_server_without_tls_is_not_talked_to_when_tls_is_asked_for(server: SqlServer, tmp_path: Path) -> None:
    url = server.new_database()
    with pytest.raises(Unavailable) as caught:
        async with opened(url=url, tls=True, tls_ca=Certificates(tmp_path / "tls").ca):
            pass
    assert "TLS" in caught.value.detail or "SSL" in caught.value.detail


@pytest.mark.parametrize("name", ["tls_ca", "tls_cert", "tls_key"])
async def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, name: str) -> None:
    made = Certificates(tmp_path / "tls")
    settings = {"url": "mysql://core@127.0.0.1/facts", "tls": True, "tls_cert": made.client, "tls_key": made.client_key}
    empty = tmp_path / "empty.pem"
    empty.touch()
    for wrong in (tmp_path / "missing.pem", empty):
        with pytest.raises(ConfigError, match=rf"database\.{name} .*{wrong.name}.* cannot be used"):
            DatabaseManager.configured(VnPyCoreConfig(database=settings | {name: wrong}))


# A replica


async def test_queries_go_to_the_replica_which_cannot_be_written_to(server: SqlServer) -> None:
    urls = [server.new_database() for _ in range(2)]
    for url in urls:
        async with opened(url=url) as database, database.session() as session:
            await session.execute(insert(sink_cursors), {"sink": url[-12:], "journal": 1, "seq": 1})
    async with opened(url=urls[0], read_only_url=urls[1]) as database:
        async with database.query_session() as session:
            assert (await session.scalars(select(sink_cursors.c.sink))).all() == [urls[1][-12:]]
        async with database.session(read_only=True) as session:
            assert (await session.scalars(select(sink_cursors.c.sink))).all() == [urls[0][-12:]]
        with pytest.raises(Unavailable, match=r"(?i)read.only transaction"):
            async with database.query_session() as session:
                await session.execute(insert(sink_cursors), {"sink": "x", "journal": 1, "seq": 1})


async def test_queries_go_to_the_database_when_there_is_no_replica(server: SqlServer) -> None:
    async with opened(url=server.new_database()) as database, database.query_session() as session:
        assert (await session.scalars(select(sink_cursors.c.sink))).all() == []


async def test_a_replica_that_is_down_holds_up_nothing_but_queries(
    server: SqlServer, own_postgres: Postgres
) -> None:
    own_postgres.kill()
    async with opened(url=server.new_database(), read_only_url=own_postgres.url) as database:
        await database.ping()
        assert database.replica is not None
        with pytest.raises(Unavailable, match=f"127.0.0.1:{own_postgres.port}/facts_none is not available"):
            await database.replica.ping()


# Health


async def test_a_ping_does_not_wait_for_a_server_that_stands_still(server: SqlServer) -> None:
    async with opened(url=server.new_database()) as database:
        server.freeze()
        try:
            began = time.monotonic()
            answers = await asyncio.gather(*(database.ping(0.2) for _ in range(20)), return_exceptions=True)
            assert time.monotonic() - began < 1
            assert {str(answer) for answer in answers} == {
                f"The database {database.display_url} is not available: no answer within 0.2 s."
            }
        finally:
            server.thaw()
        await database.ping(5)
