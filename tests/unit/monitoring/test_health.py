"""How a gateway is told of among what the service stands on."""

import msgspec
import pytest

from vnpy_core.enums import GatewayState
from vnpy_core.monitoring.health import gateway_dependency
from vnpy_core.routers import examples
from vnpy_core.trading.reconciliation import Reconciliation


def compared(state: str, holds: bool, detail: str | None = None) -> Reconciliation:
    return Reconciliation(gateway_name="SIM", state=state, holds=holds, detail=detail)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("result", "state", "words"),
    [
        (compared("RUNNING", True), "DEGRADED", "reconciling: the venue"),
        (compared("DIFFERENT", True, "1 differences: order SIM.7 MISSING"), "DEGRADED", "SIM.7 MISSING"),
        (compared("RUNNING", False), "UP", None),
        (compared("PASSED", False), "UP", None),
        (compared("OFF", False), "UP", None),
    ],
)
def test_a_connected_gateway_that_takes_no_orders_is_degraded(
    result: Reconciliation, state: str, words: str | None
) -> None:
    found = gateway_dependency(examples.GATEWAY, result, wanted=True)
    assert (found.name, found.state, found.needed) == ("gateway.SIM", state, False)
    assert words in found.detail if words is not None and found.detail is not None else found.detail is words


@pytest.mark.parametrize(("wanted", "state"), [(True, "DOWN"), (False, "DEGRADED")])
def test_a_gateway_that_is_not_connected_is_down_if_it_should_be(wanted: bool, state: str) -> None:
    gone = msgspec.structs.replace(examples.GATEWAY, state=GatewayState.DISCONNECTED, detail="wrong password")
    found = gateway_dependency(gone, compared("WAITING", True), wanted=wanted)
    assert (found.state, found.detail) == (state, "DISCONNECTED: wrong password")
