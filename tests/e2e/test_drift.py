"""Strategies and their account, compared: trades are no drift, a position that nobody has traded is one."""

import json
from collections.abc import Callable
from typing import Any

from tests.e2e.process import ServiceProcess, eventually
from tests.e2e.stream import Stream
from tests.e2e.test_tour import order_of

SYMBOL = "rb2605.SHFE"
ALERT = f"drift.SIM.{SYMBOL}"
CONFIG = """
demo = false
[gateways.SIM]
class = "vnpy_core.engine.sim.SimGateway"
auto_connect = true
drift_settle_s = 1.0
"""


def drift(core: ServiceProcess, state: str) -> dict[str, Any]:
    def found() -> dict[str, Any] | None:
        rows = core.get("/api/v1/trading/drift")["drifts"]
        return next((row for row in rows if row["state"] == state), None)

    return eventually(found, 30, f"a drift that is {state}")


def test_a_trade_is_no_drift_and_a_wrong_pos_is_one_until_it_is_accepted(
    service: Callable[..., ServiceProcess],
) -> None:
    core = service(CONFIG)
    core.call(
        "POST", "/api/v1/strategies", status=201, class_name="DoubleMaStrategy", strategy_name="mine",
        vt_symbol=SYMBOL, setting={},
    )  # fmt: skip
    first = drift(core, "AGREES")
    assert (first["strategies"], first["others"], first["account"], first["drift"]) == (0, 0, 0, 0)

    contract = next(c for c in core.get("/api/v1/trading/contracts")["contracts"] if c["vt_symbol"] == SYMBOL)
    core.call("POST", "/api/v1/trading/subscriptions", vt_symbols=[SYMBOL])
    eventually(lambda: core.get("/api/v1/trading/ticks", vt_symbol=SYMBOL)["ticks"])
    core.call("POST", "/api/v1/trading/orders", status=201, **order_of(contract, type="MARKET", price=0, volume=3))
    with Stream(core.url, "alert", snapshot=True) as stream:
        traded = eventually(lambda: (row := drift(core, "AGREES"))["account"] == 3 and row)
        assert (traded["strategies"], traded["others"], traded["drift"]) == (0, 3, 0)
        assert not [event for event in stream.events if event["data"].get("alert_id") == ALERT]
    assert core.stop() == 0

    variables = core.data_dir / ".vntrader" / "cta_strategy_data.json"
    saved = json.loads(variables.read_text()) if variables.exists() else {}
    variables.write_text(json.dumps(saved | {"mine": saved.get("mine", {}) | {"pos": 2}}))
    core = service(CONFIG)
    found = drift(core, "DRIFTED")
    assert (found["strategies"], found["others"], found["account"], found["drift"]) == (2, 3, 3, -2)
    assert found["positions"] == {"mine": 2}
    with Stream(core.url, "alert", snapshot=True) as stream:
        raised = stream.wait_for(lambda e: e["data"].get("alert_id") == ALERT and not e["data"]["resolved"])
        assert "a drift of -2" in raised["data"]["summary"]
        accepted = core.call("POST", f"/api/v1/trading/drift/SIM/{SYMBOL}/accept")
        assert (accepted["state"], accepted["others"], accepted["drift"]) == ("AGREES", 1, 0)
        stream.wait_for(lambda e: e["topic"] == "alert.resolved" and e["data"]["alert_id"] == ALERT)
    again = core.call("POST", f"/api/v1/trading/drift/SIM/{SYMBOL}/accept", status=409)
    assert again["code"] == "not_drifted"
    assert core.stop() == 0

    core = service(CONFIG)
    assert drift(core, "AGREES")["others"] == 1
