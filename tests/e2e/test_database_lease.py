"""Two services with folders of their own and one database: the second is refused, and they do not trade together."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec

from tests.e2e.process import ServiceProcess, eventually
from tests.e2e.test_database_server import CONFIG, SqlServer, dependencies, journaled, place, stored
from tests.e2e.test_database_server import server as server
from tests.e2e.test_tour import order_of

Start = Callable[..., ServiceProcess]

LEASE_S = 6.0


def config_of(url: str) -> str:
    config = CONFIG.format(url=url).replace("[database]", "demo = false\n[database]", 1)
    return config.replace("timeout_s = 2.0", f"timeout_s = 2.0\nlease_s = {LEASE_S}")


def run_to_the_end(folder: Path, config: str) -> tuple[int, str]:
    """Start a service that is to be refused; return its exit code and what it printed."""
    refused = ServiceProcess(folder, config)
    done = refused.run("run", "--config", str(refused.config))
    refused.http.close()
    return done.returncode, " ".join((done.stdout + done.stderr).split())


def test_a_second_service_is_refused_until_the_first_one_is_gone(
    server: SqlServer, service: Start, tmp_path: Path
) -> None:
    config = config_of(server.new_database())
    first = service(config, folder="first")
    code, said = run_to_the_end(tmp_path / "second", config)
    assert code == 1
    assert first.process is not None
    assert f"process {first.process.pid} on " in said
    assert f"data folder {first.data_dir}, since " in said
    assert "Set database.url" in said
    assert "se%3Acret" not in said
    assert "Traceback" not in said
    place_when_connected(first)

    first.kill()
    first = service(folder="first")  # on the same folder at once
    place_when_connected(first)

    first.kill()
    second = eventually(lambda: started(service, config), 60, "the second one starts when the lease is over")
    assert run_to_the_end(tmp_path / "first", config)[0] == 1
    assert second.stop() == 0
    place_when_connected(service(folder="first"))  # at once: a clean stop releases it


def test_who_learns_at_work_that_another_one_has_the_database_takes_no_orders(
    server: SqlServer, service: Start
) -> None:
    url = server.new_database()
    running = service(config_of(url))
    place_when_connected(running)

    lease(server, url, "holder = 'another', journal = 7, data_dir = '/srv/other', expires = '2100-01-01 00:00:00'")
    eventually(lambda: not is_ready(running), 30, "the lease is found to be lost")
    found = running.http.get("/health/ready").json()["dependencies"]
    [said] = [item["detail"] for item in found if item["name"] == "database_lease" and item["state"] == "DOWN"]
    assert "data folder /srv/other" in said
    contract = {"gateway_name": "SIM", "symbol": "rb2605", "exchange": "SHFE"}
    refused = running.http.post("/api/v1/trading/orders", json=order_of(contract, price=3000.0, volume=9))
    assert refused.status_code == 503
    assert "/srv/other" in refused.json()["detail"]
    assert alerts(running) == [False]

    lease(server, url, "expires = '2001-01-01 00:00:00'")
    eventually(lambda: is_ready(running), 30, "the lease is ours again")
    place(running, 3)
    assert alerts(running) == [False, True]
    eventually(lambda: stored(server, url) == journaled(running.data_dir), 30, "everything is recorded")


def lease(server: SqlServer, url: str, change: str) -> None:
    server.execute(f"UPDATE database_lease SET {change}", url.rpartition("/")[2])  # noqa: S608  of this file's own


def alerts(running: ServiceProcess) -> list[bool]:
    """Return of each alert of the lease in the journal whether it tells of its end."""
    with closing(sqlite3.connect(running.data_dir / "journal.db")) as journal:
        topics = "('alert.raised', 'alert.resolved')"
        facts = journal.execute(f"SELECT payload FROM facts WHERE topic IN {topics} ORDER BY seq").fetchall()  # noqa: S608
    decoded = [msgspec.json.decode(payload) for (payload,) in facts]
    return [alert["resolved"] for alert in decoded if alert["alert_id"] == "database_lease"]


def is_ready(running: ServiceProcess) -> bool:
    return running.http.get("/health/ready").status_code == 200


def started(service: Start, config: str) -> ServiceProcess | None:
    try:
        return service(config, folder="second")
    except AssertionError as error:
        assert "If it is dead, wait " in str(error)  # noqa: PT017  it ended, and that is why
        return None


def place_when_connected(running: ServiceProcess) -> None:
    """Place an order as soon as the venue is connected, and what it has is compared."""
    contract = {"gateway_name": "SIM", "symbol": "rb2605", "exchange": "SHFE"}

    def place_one() -> bool:
        answer = running.http.post("/api/v1/trading/orders", json=order_of(contract, price=3000.0, volume=1))
        assert answer.status_code in (201, 503), answer.text
        return answer.status_code == 201

    eventually(lambda: dependencies(running)["gateway.SIM"]["state"] == "UP", 30, "the gateway is connected")
    eventually(place_one, 30, "orders are taken")
