"""The disk of the data folder is full: nobody is told anything that is not on it, and so no new order goes out."""

from pathlib import Path

import pytest

from tests.e2e.process import ServiceProcess, eventually
from tests.e2e.stream import Stream
from tests.e2e.test_database_server import dependencies
from tests.e2e.test_kill import prepare, run_strategy, stored
from tests.e2e.test_replay import every
from tests.e2e.test_tour import order_of
from tests.servers.disks import fill_up, small_disk

CONFIG = """
demo = false
[log]
file = false
[gateways.SIM]
class = "tests.e2e.parts.overheard.OverheardGateway"
auto_connect = true
[gateways.SIM.setting]
balance = 10000000000
ticks_per_second = 40
persist = "{venue}"
"""
ORDERS = "/api/v1/trading/orders"
CONTRACT = {"gateway_name": "SIM", "symbol": "rb2605", "exchange": "SHFE"}



ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.timeout(300)
def test_strategies_send_nothing_until_there_is_space_again(tmp_path: Path) -> None:
    venue, overheard = tmp_path / "venue.db", tmp_path / "overheard.txt"
    with small_disk(64) as disk:
        prepare(disk / "data")
        core = ServiceProcess(disk / "data", CONFIG.format(venue=venue), python_path=ROOT)
        core.environment["OVERHEARD"] = str(overheard)
        with core:
            check(core, overheard, disk / "filler")
            eventually(lambda: all(found["state"] == "UP" for found in dependencies(core).values()), 60, "all is up")
            orders = {order["orderid"]: order["status"] for order in every(core, "orders")}
            trades = sorted(trade["tradeid"] for trade in every(core, "trades"))
            assert core.stop() == 0
    # The venue's own memory, which is not on that disk.
    assert orders == dict(stored(venue, "select orderid, status from orders"))
    assert trades == sorted(tradeid for (tradeid,) in stored(venue, "select tradeid from trades"))


def check(core: ServiceProcess, overheard: Path, filler: Path) -> None:
    def sent() -> list[str]:
        return [line for line in overheard.read_text().splitlines() if line.startswith("order")]

    with Stream(core.url, "order", "trade", "alert", "log", "tick", snapshot=False) as stream:
        run_strategy(core, "EveryTick")
        eventually(lambda: len(stream.of("trade")) > 20, 30, "the strategy trades")
        price = stream.of("tick")[-1]["data"]["limit_down"]
        order = order_of(CONTRACT, price=price, volume=1, reference="resting")
        resting = core.call("POST", ORDERS, **order)["vt_orderid"]

        fill_up(filler)
        journal = eventually(lambda: down(core), 60, "readiness names the journal")
        assert "free space on its disk" in journal["detail"]
        eventually(lambda: lines(stream, "New orders are refused", "free space"), 15, "the log says so at once")
        refused = core.call("POST", ORDERS, 503, **order_of(CONTRACT, price=price, volume=2))
        assert "free space on its disk" in refused["detail"]

        eventually(lambda: lines(stream, "not sent: order"), 15, "the strategy wants to trade")
        before, wanted = sent(), len(lines(stream, "not sent: order"))
        shown = [event for event in stream.events if event["seq"] is not None]
        eventually(lambda: len(lines(stream, "not sent: order")) > wanted + 20, 30, "it goes on wanting to")
        core.call("DELETE", f"{ORDERS}/{resting}")
        assert f"cancel {resting.removeprefix('SIM.')}" in overheard.read_text()
        assert sent() == before
        assert [event for event in stream.events if event["seq"] is not None] == shown

        filler.unlink()
        eventually(lambda: core.http.get("/health/ready").is_success, 30, "the journal is written again")
        for topic in ("alert.raised", "alert.resolved"):
            stream.wait_for(lambda e: e["topic"] == topic and e["data"]["alert_id"] == "journal")  # noqa: B023
        stream.wait_for(lambda e: e["data"].get("vt_orderid") == resting and e["data"].get("status") == "CANCELLED")
        eventually(lambda: len(sent()) > len(before), 15, "the strategy trades again")
    core.call("POST", "/api/v1/strategies/EveryTick/stop")


def down(core: ServiceProcess) -> dict[str, str] | None:
    found = core.http.get("/health/ready").json()
    named: list[dict[str, str]] = [one for one in found["dependencies"] if one["name"] == "journal"]
    return named[0] if named[0]["state"] == "DOWN" and not found["ready"] else None


def lines(stream: Stream, *words: str) -> list[str]:
    said = [str(event["data"]["message"]) for event in stream.of("log")]
    return [line for line in said if all(word in line for word in words)]
