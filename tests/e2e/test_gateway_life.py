"""A gateway whose market data stops, and one whose connection is lost: both come back by themselves."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.process import ServiceProcess, eventually
from tests.e2e.stream import Stream
from tests.e2e.test_tour import order_of

# Of an exchange without a table of sessions: it trades at any time of the day.
SYMBOL = "BTCUSDT.GLOBAL"
CONFIG = """
demo = false
[gateways.SIM]
class = "tests.e2e.parts.cutting.CuttingGateway"
auto_connect = true
mute_after_s = 2.0
stale_orders = "refuse"
reconnect_max_s = 1.0
"""


@pytest.fixture
def core(service: Callable[..., ServiceProcess]) -> ServiceProcess:
    started = service(CONFIG, python_path=Path(__file__).resolve().parents[2])
    started.call("POST", "/api/v1/trading/subscriptions", vt_symbols=[SYMBOL])
    eventually(lambda: started.get("/api/v1/trading/ticks", vt_symbol=SYMBOL)["ticks"])
    return started


def gateway(core: ServiceProcess) -> dict[str, Any]:
    (found,) = core.get("/api/v1/trading/gateways")["gateways"]
    assert isinstance(found, dict)
    return found


def order(core: ServiceProcess) -> dict[str, Any]:
    contract = next(c for c in core.get("/api/v1/trading/contracts")["contracts"] if c["vt_symbol"] == SYMBOL)
    return order_of(contract, type="MARKET", price=0, volume=contract["min_volume"])


def passed_since(core: ServiceProcess, moment: str) -> dict[str, Any]:
    """Return the reconciliation that has begun after ``moment`` and passed."""

    def found() -> dict[str, Any] | None:
        (row,) = core.get("/api/v1/trading/reconciliation")["reconciliations"]
        return row if row["state"] == "PASSED" and row["started"] > moment else None

    return eventually(found, 30, "it was reconciled")


def test_a_mute_feed_is_stale_and_heals_with_its_ticks(core: ServiceProcess) -> None:
    passed_since(core, "")
    assert gateway(core)["state"] == "CONNECTED"
    asked = order(core)
    (core.data_dir / "silence").touch()
    stale = eventually(lambda: (g := gateway(core))["state"] == "STALE" and g, 30)
    assert stale["last_tick_age_s"] > 2
    assert core.call("POST", "/api/v1/trading/orders", status=503, **asked)["code"] == "gateway_stale"
    (core.data_dir / "silence").unlink()
    healed = eventually(lambda: (g := gateway(core))["state"] == "CONNECTED" and g, 30)
    assert (healed["losses"], healed["connections"]) == (0, 1)
    core.call("POST", "/api/v1/trading/orders", status=201, **asked)


def test_a_lost_connection_comes_back_reconciled_and_subscribed(core: ServiceProcess) -> None:
    first = passed_since(core, "")
    with Stream(core.url, "gateway", snapshot=False) as stream:
        (core.data_dir / "cut").touch()
        lost = stream.wait_for(lambda e: e["data"]["state"] == "DISCONNECTED", 30)
        assert (lost["data"]["recovery"], lost["data"]["losses"]) == ("SERVICE", 1)
        stream.wait_for(lambda e: e["data"]["state"] == "CONNECTED" and e["data"]["connections"] == 2, 30)
    assert passed_since(core, first["started"])["holds"] is False
    told = core.get("/api/v1/trading/ticks", vt_symbol=SYMBOL)["ticks"][0]
    eventually(lambda: core.get("/api/v1/trading/ticks", vt_symbol=SYMBOL)["ticks"][0] != told, 15, "ticks again")
    core.call("POST", "/api/v1/trading/orders", status=201, **order(core))
