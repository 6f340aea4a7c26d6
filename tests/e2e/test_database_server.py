"""The service beside a database server that goes away: it trades on, starts again without it, and nothing is lost."""

import sqlite3
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from tests.e2e.process import ServiceProcess, eventually
from tests.e2e.test_tour import order_of
from tests.servers import MariaDb, Postgres

Start = Callable[..., ServiceProcess]
SqlServer = MariaDb | Postgres

CONFIG = """
[database]
url = "{url}"
timeout_s = 2.0
[gateways.SIM]
class = "vnpy_core.engine.sim.SimGateway"
auto_connect = true
[gateways.SIM.setting]
seed = 7
"""


@pytest.fixture(params=["own_mariadb", "own_postgres"])
def server(request: pytest.FixtureRequest) -> SqlServer:
    found: SqlServer = request.getfixturevalue(request.param)
    return found


def dependencies(service: ServiceProcess) -> Mapping[str, Mapping[str, str]]:
    return {found["name"]: found for found in service.get("/health/ready")["dependencies"]}


def place(service: ServiceProcess, count: int) -> list[str]:
    """Return the ids of ``count`` new orders, of different volumes: risk control refuses many that are the same."""
    contract = {"gateway_name": "SIM", "symbol": "rb2605", "exchange": "SHFE"}
    orders = [order_of(contract, price=3000.0, volume=volume) for volume in range(1, count + 1)]
    return [service.call("POST", "/api/v1/trading/orders", **order)["vt_orderid"] for order in orders]


def trades(service: ServiceProcess, strategy: str) -> bool:
    """True once the strategy does; the first start adds it a moment after it is ready."""
    found = service.get("/api/v1/strategies")["strategies"]
    return any(item["strategy_name"] == strategy and item["trading"] for item in found)


def journaled(folder: Path) -> dict[str, tuple[int, str]]:
    """Return the last of each order in the journal, its number and status."""
    with closing(sqlite3.connect(folder / "journal.db")) as journal:
        facts = journal.execute("SELECT seq, payload FROM facts WHERE topic = 'order.updated' ORDER BY seq").fetchall()
    decoded = ((seq, msgspec.json.decode(payload)) for seq, payload in facts)
    return {order["vt_orderid"]: (seq, order["status"]) for seq, order in decoded}


def stored(server: SqlServer, url: str) -> dict[str, tuple[int, str]]:
    name = url.rpartition("/")[2]
    sql = "SELECT vt_orderid, seq, status FROM {}orders ORDER BY seq"
    if isinstance(server, MariaDb):
        lines = [line.split("\t") for line in server.execute(sql.format(f"{name}.")).splitlines()]
    else:
        lines = [line.split("|") for line in server.execute(sql.format(""), name).splitlines()]
    return {vt_orderid: (int(seq), status) for vt_orderid, seq, status in lines}


def test_the_database_is_killed_and_frozen_and_the_service_started_without_it(
    server: SqlServer, service: Start
) -> None:
    url = server.new_database()
    running = service(CONFIG.format(url=url))
    eventually(lambda: trades(running, "demo"), what="the demo strategy trades")
    orders = place(running, 10)

    server.kill()
    orders += place(running, 10)
    eventually(lambda: dependencies(running)["sink.sql"]["state"] == "DEGRADED", what="the sink says that it is behind")
    assert dependencies(running)["database"]["state"] == "DOWN"
    refused = running.call("POST", "/api/v1/strategies", 503, **other_strategy())
    assert "127.0.0.1" in refused["detail"]
    assert "se:cret" not in refused["detail"]

    running.kill()
    running = service()
    assert running.get("/health/ready")["ready"]
    eventually(lambda: trades(running, "demo"), what="the demo strategy trades")
    orders += place(running, 10)
    assert "not available" in running.call("POST", "/api/v1/strategies", 503, **other_strategy())["detail"]

    server.start()
    eventually(lambda: dependencies(running)["sink.sql"]["state"] == "UP", what="the sink has caught up")
    running.call("POST", "/api/v1/strategies", **other_strategy())

    server.freeze()
    began = time.monotonic()
    orders += place(running, 10)
    assert dependencies(running)["database"]["detail"].endswith("no answer within 1 s.")
    assert time.monotonic() - began < 3
    server.thaw()
    eventually(lambda: dependencies(running)["database"]["state"] == "UP", what="the database answers")

    assert running.stop() == 0
    expected = journaled(running.data_dir)
    assert set(orders) <= set(expected)
    assert stored(server, url) == expected


def other_strategy() -> dict[str, object]:
    return {
        "class_name": "DoubleMaStrategy", "strategy_name": "other", "vt_symbol": "rb2605.SHFE", "setting": {},
    }  # fmt: skip


def test_a_server_that_was_never_there_is_an_error_at_the_start(tmp_path: Path) -> None:
    with MariaDb() as server:
        server.stop()
        service = ServiceProcess(tmp_path, CONFIG.format(url=server.url))
        done = service.run("run", "--config", str(service.config))
        service.http.close()
    assert done.returncode != 0
    said = " ".join((done.stdout + done.stderr).split())
    assert "facts_none is not available" in said
    assert "Correct database.url, or see to the database." in said
    assert "se%3Acret" not in said
    assert "Traceback" not in said
