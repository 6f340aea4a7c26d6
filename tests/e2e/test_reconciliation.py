"""What a restart finds at the venue: orders in doubt, filled meanwhile, of somebody else, and lost."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.process import ServiceProcess, eventually
from tests.e2e.stream import Stream
from tests.e2e.test_tour import order_of

Start = Callable[..., ServiceProcess]
ORDERS = "/api/v1/trading/orders"
CONFIG = """
demo = false
[gateways.SIM]
class = "tests.e2e.parts.dying.DyingGateway"
auto_connect = true
"""


@pytest.fixture
def start(service: Start) -> Callable[[], ServiceProcess]:
    return lambda: service(CONFIG, python_path=Path(__file__).resolve().parents[2])


def resting(core: ServiceProcess, **changes: Any) -> dict[str, Any]:
    """Return an order that waits: its price is far below the market."""
    contract = next(
        c for c in core.get("/api/v1/trading/contracts")["contracts"] if c["vt_symbol"] == "rb2605.SHFE"
    )
    core.call("POST", "/api/v1/trading/subscriptions", vt_symbols=["rb2605.SHFE"])
    tick = eventually(lambda: core.get("/api/v1/trading/ticks", vt_symbol="rb2605.SHFE")["ticks"])[0]
    step = contract["pricetick"]
    price = round((tick["last_price"] - 60 * step) / step) * step
    return order_of(contract, price=price, volume=1) | changes


def result(core: ServiceProcess) -> dict[str, Any]:
    (found,) = core.get("/api/v1/trading/reconciliation")["reconciliations"]
    assert isinstance(found, dict)
    return found


def settled(core: ServiceProcess, state: str) -> dict[str, Any]:
    eventually(lambda: result(core)["state"] == state, 15, state)
    return result(core)


def acknowledged(core: ServiceProcess, vt_orderid: str) -> None:
    """Wait for the venue's answer: a POST is answered with SUBMITTING, and ended then the service knows no more."""
    eventually(lambda: core.get(f"{ORDERS}/{vt_orderid}")["status"] == "NOTTRADED", 15, "the venue has answered")


def at_the_venue(core: ServiceProcess, sql: str, *values: object) -> list[Any]:
    """Do something to the exchange's memory while nobody has it open."""
    with sqlite3.connect(core.data_dir / "sim_SIM.db") as database:
        return database.execute(sql, values).fetchall()


@pytest.mark.parametrize(("when", "sent"), [("before", False), ("after", True)])
def test_an_order_in_doubt_is_known_again_after_a_crash(
    start: Callable[[], ServiceProcess], when: str, sent: bool
) -> None:
    core = start()
    body = resting(core, client_order_id="doubt-1", reference="desk")
    (core.data_dir / "die").write_text(when)
    with pytest.raises(httpx.TransportError):
        core.http.post(ORDERS, json=body)
    assert core.process is not None
    assert core.process.wait(10) == 9

    core = start()
    found = settled(core, "PASSED")
    (intent,) = [each for each in found["differences"] if each["kind"] == "intent"]
    assert intent["resolution"] == ("SENT" if sent else "NOT_SENT")
    assert core.get("/api/v1/trading/intents")["intents"] == []
    orders = core.get(ORDERS)["orders"]
    assert [(o["vt_orderid"], o["client_order_id"], o["reference"]) for o in orders] == (
        [(intent["vt_orderids"][0], "doubt-1", "desk")] if sent else []
    )
    # The client asks again: what was sent is not sent a second time, what never went may go now.
    core.call("POST", ORDERS, status=409 if sent else 201, **body)
    assert len(core.get(ORDERS)["orders"]) == 1


def test_an_order_filled_meanwhile_and_one_of_somebody_else_are_taken_in(
    start: Callable[[], ServiceProcess],
) -> None:
    core = start()
    mine = core.call("POST", ORDERS, **resting(core))["vt_orderid"]
    core.kill()
    (row,) = at_the_venue(core, "select * from orders")
    other = row[1][:6] + "000900"
    places = "?,?,?,?,?,?,?,?,?,?,?,?,?,?,?"
    at_the_venue(core, "insert into orders values (" + places + ")", 900, other, *row[2:12], "", *row[13:])  # noqa: S608
    at_the_venue(core, "update orders set status = 'CANCELLED' where seq = ?", row[0])

    core = start()
    found = settled(core, "PASSED")
    assert {each["key"]: each["resolution"] for each in found["differences"] if each["kind"] == "order"} == {
        mine: "UPDATED", f"SIM.{other}": "EXTERNAL",
    }  # fmt: skip
    states = {o["vt_orderid"]: o["status"] for o in core.get(ORDERS)["orders"]}
    assert states == {mine: "CANCELLED", f"SIM.{other}": "NOTTRADED"}
    core.call("DELETE", f"{ORDERS}/SIM.{other}")


def test_an_order_that_the_venue_has_lost_holds_up_trading_until_it_is_accepted(
    start: Callable[[], ServiceProcess],
) -> None:
    core = start()
    body = resting(core)
    lost = core.call("POST", ORDERS, **body)["vt_orderid"]
    acknowledged(core, lost)
    core.kill()
    at_the_venue(core, "delete from orders")

    core = start()
    found = settled(core, "DIFFERENT")
    assert [(each["key"], each["resolution"], each["venue"]) for each in found["differences"]] == [
        (lost, "MISSING", None)
    ]
    assert found["holds"] is True
    refused = core.call("POST", ORDERS, status=503, **body)
    assert refused["code"] == "reconciling"
    readiness = core.get("/health/ready")
    (gateway,) = [each for each in readiness["dependencies"] if each["name"] == "gateway.SIM"]
    assert (readiness["ready"], gateway["state"]) == (True, "DEGRADED")
    assert lost in gateway["detail"]
    refused = core.call("POST", "/api/v1/trading/reconciliation/NONE/accept", status=404)
    with Stream(core.url, "alert", snapshot=True) as stream:
        raised = stream.wait_for(lambda e: e["data"].get("alert_id") == "reconciliation.SIM")
        assert lost in raised["data"]["summary"]
        assert core.call("POST", "/api/v1/trading/reconciliation/SIM/accept")["state"] == "ACCEPTED"
        stream.wait_for(lambda e: e["topic"] == "alert.resolved" and e["data"]["alert_id"] == "reconciliation.SIM")
    acknowledged(core, core.call("POST", ORDERS, status=201, **body)["vt_orderid"])
    # Nobody has said what became of it.
    assert core.get(f"{ORDERS}/{lost}")["status"] == "NOTTRADED"
    assert core.call("POST", "/api/v1/trading/reconciliation/SIM/accept", status=409)["code"] == "not_different"
    assert core.stop() == 0

    core = start()
    again = settled(core, "PASSED")
    assert {each["key"]: each["resolution"] for each in again["differences"] if each["kind"] == "order"} == {
        lost: "ACCEPTED"
    }


def test_a_restarted_service_is_ready_when_its_gateway_takes_orders(service: Start) -> None:
    parts = Path(__file__).resolve().parents[2]
    config = CONFIG.replace("dying.DyingGateway", "slow.SlowGateway")
    core = service(config, python_path=parts)
    body = resting(core)
    assert core.stop() == 0
    (core.data_dir / "slow").touch()
    core.launch()
    core.http.base_url = httpx.URL(eventually(core._holder_url, 30, "the lock file names the address"))

    def reconciling() -> bool:
        answer = core.http.get("/health/ready")
        dependencies = {each["name"]: each for each in answer.json()["dependencies"]}
        assert answer.status_code == 503
        found = dependencies["gateway.SIM"]
        return found["state"] == "DEGRADED" and "reconciling" in found["detail"]

    eventually(lambda: answers(core) and reconciling(), 30, "it is connected, and being compared")
    core.call("POST", ORDERS, status=503, **body)
    (core.data_dir / "slow").unlink()
    eventually(core._is_ready, 30, "ready")
    core.call("POST", ORDERS, status=201, **body)


def answers(core: ServiceProcess) -> bool:
    try:
        return core.http.get("/health/live").is_success
    except httpx.TransportError:
        return False
