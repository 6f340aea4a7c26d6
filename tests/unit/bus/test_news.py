"""News: echoes and late states are told from what is new; an order never goes back."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.facts import WHEN, account, gateway, of, order, position, trade

from vnpy_core.bus.news import Echo, news
from vnpy_core.enums import ACTIVE_STATUSES, FINAL_STATUSES, Direction, GatewayState, OrderStatus
from vnpy_core.models import FACTS, Model, Order
from vnpy_core.routers.risk_examples import ALGO, HALTED

LATER = "2026-01-06T01:30:00.000000+00:00"
S = OrderStatus


def test_what_nobody_knows_is_news() -> None:
    assert news(None, order()) == order()


@pytest.mark.parametrize("kind", FACTS, ids=lambda kind: kind.__name__)
@given(data=st.data())
def test_what_is_equal_is_a_duplicate(kind: type[Model], data: st.DataObject) -> None:
    model = data.draw(of(kind))
    assert news(model, msgspec.structs.replace(model)) is Echo.DUPLICATE


@pytest.mark.parametrize(
    ("latest", "incoming"),
    [
        (position(volume=1), position(volume=0)),
        (account(1), account(2)),
        (gateway(state=GatewayState.CONNECTED), gateway(state=GatewayState.DISCONNECTED)),
    ],
)
def test_other_facts_may_change_as_they_like(latest: Model, incoming: Model) -> None:
    assert news(latest, incoming) is incoming


def test_an_algo_does_not_go_back() -> None:
    latest = msgspec.structs.replace(ALGO, status="FINISHED", traded=10.0, left=0.0)
    assert news(latest, ALGO) is Echo.STALE
    assert news(latest, msgspec.structs.replace(latest, status="RUNNING")) is Echo.STALE
    stopped = msgspec.structs.replace(ALGO, status="STOPPED")
    assert news(ALGO, stopped) is stopped
    filled = msgspec.structs.replace(stopped, traded=5.0)
    assert news(stopped, filled) is filled


def test_a_state_of_risk_control_does_not_go_back() -> None:
    assert news(HALTED, msgspec.structs.replace(HALTED, revision=HALTED.revision - 1)) is Echo.STALE
    later = msgspec.structs.replace(HALTED, revision=HALTED.revision + 1)
    assert news(HALTED, later) is later


@pytest.mark.parametrize(
    ("known", "known_traded", "late", "late_traded"),
    [
        (S.CANCELLED, 0, S.NOTTRADED, 0),
        (S.REJECTED, 0, S.SUBMITTING, 0),
        (S.ALLTRADED, 5, S.PARTTRADED, 3),
        (S.ALLTRADED, 5, S.CANCELLED, 3),
        (S.ALLTRADED, 5, S.UNKNOWN, 5),
        (S.CANCELLED, 2, S.PARTTRADED, 4),
        (S.PARTTRADED, 3, S.NOTTRADED, 0),
        (S.PARTTRADED, 3, S.PARTTRADED, 2),
        (S.NOTTRADED, 0, S.SUBMITTING, 0),
    ],
)
def test_a_late_state_is_stale(known: S, known_traded: float, late: S, late_traded: float) -> None:
    assert news(order(1, known, traded=known_traded), order(1, late, traded=late_traded)) is Echo.STALE


@pytest.mark.parametrize(
    ("known", "known_traded", "next_", "next_traded", "traded"),
    [
        (S.SUBMITTING, 0, S.NOTTRADED, 0, 0),
        (S.SUBMITTING, 0, S.ALLTRADED, 5, 5),
        (S.PARTTRADED, 1, S.PARTTRADED, 2, 2),
        (S.PARTTRADED, 3, S.CANCELLED, 0, 3),
        (S.CANCELLED, 3, S.ALLTRADED, 5, 5),
        (S.REJECTED, 0, S.CANCELLED, 0, 0),
        (S.NOTTRADED, 0, S.UNKNOWN, 0, 0),
        (S.UNKNOWN, 0, S.SUBMITTING, 0, 0),
        (S.UNKNOWN, 2, S.PARTTRADED, 2, 2),
    ],
)
def test_a_next_state_is_news(known: S, known_traded: float, next_: S, next_traded: float, traded: float) -> None:
    told = news(order(1, known, traded=known_traded), order(1, next_, traded=next_traded))
    assert told == order(1, next_, traded=traded)


def test_what_a_later_state_leaves_out_is_kept() -> None:
    known = order(1, client_order_id="mine", datetime=WHEN, reference="Cta_demo", rejected_reason="why")
    bare = order(1, S.CANCELLED, datetime=None, reference="")
    assert news(known, bare) == msgspec.structs.replace(known, status=S.CANCELLED)
    assert news(known, order(1, datetime=None, reference="")) is Echo.DUPLICATE


@pytest.mark.parametrize(
    "changes",
    [{"volume": 7.0}, {"direction": Direction.SHORT}, {"vt_symbol": "rb2505.SHFE"}, {"datetime": LATER}],
    ids=lambda changes: next(iter(changes)),
)
def test_a_final_orders_id_may_be_used_anew(changes: dict[str, Any]) -> None:
    known = order(1, S.ALLTRADED, traded=5.0, client_order_id="mine")
    another = order(1, S.NOTTRADED, **changes)
    assert news(known, another) is another


STATES = st.builds(
    order, st.just(1), st.sampled_from(list(OrderStatus)), traded=st.integers(0, 5).map(float),
    client_order_id=st.sampled_from([None, "mine"]),
)  # fmt: skip


@given(st.lists(STATES, min_size=1, max_size=12))
def test_an_order_never_goes_back_in_any_sequence(states: list[Order]) -> None:
    latest: Order | None = None
    for state in states:
        told = news(latest, state)
        if isinstance(told, Echo):
            assert latest is not None
            continue
        assert isinstance(told, Order)
        if latest is not None:
            assert told != latest
            assert told.traded >= latest.traded
            assert not (latest.status in FINAL_STATUSES and told.status in ACTIVE_STATUSES)
            assert latest.client_order_id is None or told.client_order_id == latest.client_order_id
        latest = told
        assert news(latest, state) is Echo.DUPLICATE


def test_a_known_trade_is_a_duplicate_however_its_time_is_written() -> None:
    assert news(trade(), trade(datetime="2026-01-05T01:30:00.500000+00:00")) is Echo.DUPLICATE
    assert news(trade(), trade(datetime=None)) is Echo.DUPLICATE


@pytest.mark.parametrize("changes", [{"price": 1.0}, {"volume": 2.0}, {"vt_symbol": "x.SHFE"}, {"datetime": LATER}])
def test_another_trade_under_a_known_id_is_news(changes: dict[str, Any]) -> None:
    another = trade(**changes)
    assert news(trade(), another) is another
