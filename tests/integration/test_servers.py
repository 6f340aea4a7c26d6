"""The private servers do what the tests that use them rely on."""

import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.servers import Influx, MariaDb, Nats, Postgres, Redis, Server
from tests.servers.fixtures import running

ROOT = Path(__file__).parents[2]
KINDS = [MariaDb, Postgres, Redis, Nats, Influx]


def answers(server: Server) -> bool:
    try:
        server.ping()
    except (OSError, RuntimeError):
        return False
    return True


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_is_stopped_killed_frozen_and_started_again(kind: type[Server]) -> None:
    with running(kind) as server:
        port, url, folder = server.port, server.url, server.folder
        assert server.is_running
        server.freeze()
        assert server.is_running
        assert not answers(server)
        server.thaw()
        server.ping()
        for end in (server.stop, server.kill):
            end()
            assert not server.is_running
            assert not answers(server)
            server.start()
            assert (server.port, server.url) == (port, url)
            server.ping()
        server.freeze()
        server.restart()
        server.ping()
    assert not server.is_running
    assert not folder.exists()


@pytest.mark.parametrize("end", [Server.stop, Server.kill], ids=["stopped", "killed"])
def test_what_sql_servers_have_committed_outlives_them(
    own_mariadb: MariaDb, own_postgres: Postgres, end: Callable[[Server], None]
) -> None:
    for server in (own_mariadb, own_postgres):
        server.new_database()
        server.execute("CREATE TABLE kept (value INT)" if isinstance(server, Postgres) else "CREATE DATABASE kept")
        end(server)
        server.start()
    assert "kept" in own_mariadb.execute("SHOW DATABASES")
    assert own_postgres.execute("SELECT count(*) FROM kept") == "0\n"


def test_what_redis_has_acknowledged_outlives_it(own_redis: Redis) -> None:
    assert own_redis.ask(b"SET kept 1\r\n") == b"+OK\r\n"
    own_redis.kill()
    own_redis.start()
    assert own_redis.ask(b"GET kept\r\n") == b"$1\r\n1\r\n"


def test_a_program_that_cannot_run_says_why_and_leaves_nothing() -> None:
    with pytest.raises(RuntimeError, match="redis-server does not answer") as caught, running(Redis, "--no-such", "1"):
        pass
    assert "no-such" in str(caught.value)


def test_a_taken_port_is_an_error(own_redis: Redis) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        other = Redis("--port", str(taken.getsockname()[1]))
        with pytest.raises(RuntimeError, match="does not answer"), other:
            pass
    assert not other.folder.exists()


def test_a_session_that_is_killed_leaves_no_server_behind() -> None:
    program = (
        "import time\n"
        "from tests.servers import Redis\n"
        "with Redis() as server:\n"
        "    print(server._process.pid, flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True) as session:
        assert session.stdout is not None
        server = psutil.Process(int(session.stdout.readline()))
        session.kill()
    _, alive = psutil.wait_procs([server], 20)
    assert not alive


class Missing(Redis):
    program = "no-such-server"


def test_a_server_that_is_not_installed_skips_on_a_laptop_and_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    reason = "no-such-server is not installed; make services installs it"
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match=reason), running(Missing):
        pass
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match=reason), running(Missing):
        pass
