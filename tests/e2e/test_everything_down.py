"""With every server frozen, and with every one killed, all that a trader does works; readiness names each of them."""

from collections.abc import Callable
from contextlib import ExitStack

import pytest

from tests.e2e.process import ServiceProcess, eventually
from tests.e2e.stream import Stream
from tests.e2e.test_database_server import dependencies
from tests.e2e.test_redis_server import place
from tests.servers import Influx, MariaDb, Nats, Redis, Server

Start = Callable[..., ServiceProcess]

CONFIG = """
demo = false
[database]
url = "{mariadb}"
timeout_s = 2.0
[cache]
url = "{redis}"
[registry]
url = "{redis}"
heartbeat_s = 1.0
ttl_s = 10.0
[history]
url = "influx+{influx}"
timeout_s = 2.0
record_ticks = true
[bus]
url = "{nats}"
timeout_s = 2.0
[gateways.SIM]
class = "vnpy_core.engine.sim.SimGateway"
auto_connect = true
"""
PARTS = {"database", "sink.sql", "sink.cache", "registry", "history", "bus", "sink.bus"}


@pytest.mark.timeout(300)
def test_trading_goes_on_and_readiness_names_what_is_down(service: Start) -> None:
    with ExitStack() as stack:
        mariadb, redis, influx, nats = (stack.enter_context(kind()) for kind in (MariaDb, Redis, Influx, Nats))
        config = CONFIG.format(mariadb=mariadb.new_database(), redis=redis.url, influx=influx.url, nats=nats.url)
        core = service(config)
        eventually(lambda: not not_up(core), 60, "all is up, and the gateway connected")
        core.call("POST", "/api/v1/trading/subscriptions", vt_symbols=["rb2605.SHFE"])
        place(core, 1.0)
        servers: list[Server] = [mariadb, redis, influx, nats]
        for volume, (down, back) in enumerate([(Server.freeze, Server.thaw), (Server.kill, Server.start)], 2):
            for server in servers:
                down(server)
            trades_on(core, float(volume))
            eventually(lambda: not_up(core).keys() == PARTS, 60, "readiness names all of them")
            assert all(not_up(core).values())
            trades_on(core, float(volume + 10))
            for server in servers:
                back(server)
            eventually(lambda: not not_up(core), 90, "all is up again")
        assert core.stop() == 0
    assert "Traceback" not in core.printed()


def not_up(core: ServiceProcess) -> dict[str, str]:
    """Return what is not up, each with the reason; the service itself is ready."""
    return {name: found["detail"] for name, found in dependencies(core).items() if found["state"] != "UP"}


def trades_on(core: ServiceProcess, volume: float) -> None:
    with Stream(core.url, "order", "tick", snapshot=False) as stream:
        sent = place(core, volume)
        stream.wait_for(lambda event: event["data"].get("vt_orderid") == sent)
        stream.wait_for(lambda event: event["topic"].startswith("tick."))
        assert core.get(f"/api/v1/trading/orders/{sent}")["volume"] == volume
        core.call("DELETE", f"/api/v1/trading/orders/{sent}", (200, 202, 204, 409))
