"""The service beside a Redis that goes away: other services see it and its state again as soon as it is back."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from redis import Redis as Client

from tests.e2e.process import ServiceProcess, eventually
from tests.e2e.test_tour import order_of
from tests.servers import Redis

Start = Callable[..., ServiceProcess]

CONFIG = """
demo = false
[cache]
url = "{url}"
timeout_s = 0.5
[registry]
url = "{url}"
timeout_s = 0.5
heartbeat_s = 0.5
ttl_s = 20.0
tags = ["trading"]
[gateways.SIM]
class = "vnpy_core.engine.sim.SimGateway"
auto_connect = true
"""
CONTRACT = {"gateway_name": "SIM", "symbol": "rb2605", "exchange": "SHFE"}


def dependencies(service: ServiceProcess) -> Mapping[str, Mapping[str, str]]:
    return {found["name"]: found for found in service.get("/health/ready")["dependencies"]}


def latest(service: ServiceProcess) -> dict[str, Any]:
    """Return what the service says of orders, positions and accounts, by the keys of the cache."""
    rows = {
        f"vnpy_core:{kind}:{row[f'vt_{kind}id']}": row
        for kind in ("order", "position", "account")
        for row in service.get(f"/api/v1/trading/{kind}s")[f"{kind}s"]
    }
    assert rows
    return rows


def cached(client: Any) -> dict[str, Any]:
    keys = [key for kind in ("order", "position", "account") for key in client.scan_iter(f"vnpy_core:{kind}:*")]
    return {key: msgspec.json.decode(value) for key in keys if (value := client.get(key)) is not None}


def place(service: ServiceProcess, volume: float) -> str:
    order = order_of(CONTRACT, price=3000.0, volume=volume)
    return str(service.call("POST", "/api/v1/trading/orders", **order)["vt_orderid"])


def listed(client: Any, service: ServiceProcess) -> Mapping[str, str]:
    port = service.url.rpartition(":")[2]
    alive = client.exists(f"redfire:heartbeat:vnpy-core:127.0.0.1:{port}")
    fields: Mapping[str, str] = client.hgetall(f"redfire:services:vnpy-core:127.0.0.1:{port}") if alive else {}
    return fields


def test_cache_and_registry_survive_their_server(own_redis: Redis, service: Start) -> None:
    running = service(CONFIG.format(url=own_redis.url))
    with Client.from_url(own_redis.url, decode_responses=True) as client:

        def is_listed() -> bool:
            return listed(client, running).get("status") == "HEALTHY"

        def is_cached() -> bool:
            return cached(client) == latest(running)

        first = place(running, 1.0)
        eventually(is_listed, what="listed")
        eventually(is_cached, what="cached")
        assert client.ttl(f"vnpy_core:order:{first}") > 3500
        assert listed(client, running)["tags"] == '["trading"]'
        running.call("POST", "/api/v1/trading/subscriptions", vt_symbols=["rb2605.SHFE"])
        tick = eventually(lambda: client.get("vnpy_core:tick:rb2605.SHFE"), what="a tick")
        assert msgspec.json.decode(tick)["vt_symbol"] == "rb2605.SHFE"
        (found,) = running.get("/api/v1/system/services", name="vnpy-core")["services"]
        assert (running.url, found["status"]) == (f"http://{found['host']}:{found['port']}", "HEALTHY")

        client.flushall()
        eventually(is_listed, what="listed again")
        eventually(is_cached, what="cached again")

        own_redis.freeze()
        eventually(lambda: dependencies(running)["sink.cache"]["state"] == "DEGRADED", what="the cache is out")
        eventually(lambda: dependencies(running)["registry"]["state"] == "DEGRADED", what="the registry is out")
        assert "did not answer within 0.5 s" in dependencies(running)["registry"]["detail"]
        began = time.monotonic()
        second = place(running, 2.0)
        services = running.get("/api/v1/system/services")
        assert time.monotonic() - began < 1
        assert (services["stale"], len(services["services"])) == (True, 1)
        assert running.get("/health/ready")["ready"]
        own_redis.thaw()
        eventually(lambda: client.exists(f"vnpy_core:order:{second}"), what="what happened meanwhile")
        eventually(lambda: dependencies(running)["registry"]["state"] == "UP", what="the registry is back")

    own_redis.kill()
    third = place(running, 3.0)
    assert running.stop() == 0
    # A new process, and Redis does not answer yet.
    own_redis.start()
    own_redis.freeze()
    running = service()
    eventually(lambda: dependencies(running)["sink.cache"]["state"] == "DEGRADED", what="the cache is out")
    own_redis.thaw()
    with Client.from_url(own_redis.url, decode_responses=True) as client:
        eventually(lambda: client.exists(f"vnpy_core:order:{third}"), what="what was not yet cached")
        eventually(lambda: listed(client, running).get("status") == "HEALTHY", what="listed")
        with client.monitor() as monitor:
            assert running.stop() == 0
            commands = monitor.listen()
            leaving = [next(commands)["command"]]
            while not leaving[-1].startswith("DEL redfire:"):
                leaving.append(next(commands)["command"])
        assert [command for command in leaving if " status STOPPING " in command]
        assert listed(client, running) == {}
    printed = running.printed()
    assert "did not end within" not in printed
    assert "Traceback" not in printed


def test_the_check_asks_the_server(own_redis: Redis, tmp_path: Path) -> None:
    url = own_redis.url.replace("redis://", "redis://:s3cret@")
    core = ServiceProcess(tmp_path / "data", CONFIG.format(url=url))
    with Client.from_url(own_redis.url) as client:
        client.config_set("requirepass", "s3cret")
    good = core.run("check")
    assert good.returncode == 0, good.stdout
    assert good.stdout.count(own_redis.url) == 2
    with Client.from_url(url) as client:
        client.config_set("requirepass", "an0ther")
    bad = core.run("check")
    assert bad.returncode != 0
    for setting in ("cache.url", "registry.url"):
        assert f"does not accept the credentials of {setting}" in bad.stdout
    assert "s3cret" not in good.stdout + bad.stdout
