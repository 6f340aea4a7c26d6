"""A new version upgrades the schema while the old one works on; then it takes its place; and the way back is open."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.parts import next_version
from tests.e2e.process import ServiceProcess, eventually
from tests.e2e.test_database_server import CONFIG, SqlServer, dependencies, journaled, place, stored
from tests.e2e.test_database_server import server as server
from tests.integration.test_sql_failures import hang_up

Start = Callable[..., ServiceProcess]


@pytest.mark.timeout(300)
def test_an_old_version_works_on_while_and_after_the_schema_is_upgraded(
    server: SqlServer, service: Start, tmp_path: Path
) -> None:
    new = next_version.make(tmp_path / "new")
    url = server.new_database()
    config = CONFIG.format(url=url).replace("[database]", "demo = false\n[database]", 1)
    running = service(config)
    orders = {"old": placed(running)}
    is_recorded(running, server, url)

    upgrade = ServiceProcess(running.data_dir, python_path=new)
    upgrade.http.close()
    done = upgrade.run("db", "upgrade", "--config", str(running.config))
    assert done.returncode == 0, done.stderr
    assert next_version.REVISION in done.stdout
    orders["old"] += placed(running)
    is_recorded(running, server, url)
    hang_up(server)  # with connections that have seen nothing of the old schema
    orders["old"] += placed(running)
    is_recorded(running, server, url)

    running.kill()
    running = service()  # the old one also starts: the revision says that it fits
    orders["old"] += placed(running)
    is_recorded(running, server, url)
    assert running.stop() == 0

    running = service(python_path=new)
    orders["new"] = placed(running)
    is_recorded(running, server, url)
    assert running.stop() == 0

    running = service()  # back again
    orders["old"] += placed(running)
    is_recorded(running, server, url)
    assert running.stop() == 0
    assert desks(server, url) == dict.fromkeys(orders["old"], "") | dict.fromkeys(orders["new"], "new")
    assert "Traceback" not in running.printed()


def placed(running: ServiceProcess) -> list[str]:
    """Place orders as soon as the gateway is connected, a moment after the service is ready."""
    eventually(lambda: dependencies(running)["gateway.SIM"]["state"] == "UP", 30, "the gateway is connected")
    return place(running, 5)


def is_recorded(running: ServiceProcess, server: SqlServer, url: str) -> None:
    """Wait until the database has what the journal has, and nobody complains."""
    eventually(lambda: stored(server, url) == journaled(running.data_dir), 30, "recorded")
    found = dependencies(running)
    assert (found["database"]["state"], found["sink.sql"]["state"]) == ("UP", "UP")


def desks(server: SqlServer, url: str) -> dict[str, str]:
    name = url.rpartition("/")[2]
    lines = server.execute("SELECT vt_orderid, coalesce(desk, '') FROM orders", name).splitlines()
    return {vt_orderid: desk for vt_orderid, _, desk in (line.replace("|", "\t").partition("\t") for line in lines)}
