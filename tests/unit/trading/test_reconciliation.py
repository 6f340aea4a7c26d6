"""The comparison of what is known with what a venue reports: every case that decides whether orders are taken."""

from typing import Any

import msgspec
import pytest
from tests.facts import account, intent, order, position, trade

from vnpy_core.data.read_model import ReadModel
from vnpy_core.engine.venue_reports import VenueReport
from vnpy_core.enums import Direction, Offset, OrderStatus
from vnpy_core.events import Event
from vnpy_core.models import Model, Order, OrderIntent, Position
from vnpy_core.trading.comparison import Comparison
from vnpy_core.trading.reconciliation import Difference, Resolution, take_known

CREATED = "2026-01-05T01:30:00.000000+00:00"
LONG_BEFORE = "2026-01-01T00:00:00.000000+00:00"
SYMBOL = "rb2501.SHFE"


def known(*models: Model) -> ReadModel:
    """Return a read model that has heard these facts, in this order."""
    made = ReadModel()
    events = [Event(model) for model in models]
    for number, event in enumerate(events, 1):
        event.seq = number
    made.apply(events)
    return made


def report(*models: Model, markers: dict[str, str] | None = None, since: str | None = None) -> VenueReport:
    made = VenueReport(gateway_name="SIM", began=CREATED, markers=markers or {}, complete_since=since)
    tables: dict[str, dict[str, Any]] = {
        "Order": made.orders, "Trade": made.trades, "Position": made.positions, "Account": made.accounts,
    }  # fmt: skip
    for model in models:
        tables[type(model).__name__][model.key] = model
    return made


def asked(number: int | str = 1, **changes: Any) -> OrderIntent:
    """Return an intent that ``placed`` may have become."""
    base = {"symbol": "rb2501", "volume": 5.0, "price": 3500.0, "created": CREATED, "outcome": "UNKNOWN"}
    return msgspec.structs.replace(
        intent(number), direction=Direction.LONG, offset=Offset.OPEN, **base | changes
    )


def placed(number: int | str = 1, **changes: Any) -> Order:
    return order(number, **{"reference": "", "datetime": CREATED} | changes)


def find(
    tables: ReadModel, told: VenueReport, doubtful: list[OrderIntent] | None = None, **fields: Any
) -> list[Difference]:
    comparison = Comparison(take_known(tables, "SIM"), **fields)
    comparison.hear(told)
    return comparison.look(doubtful or []) + comparison.settled()


def seen(found: list[Difference], kind: str) -> list[tuple[str, str]]:
    return [(each.key, str(each.resolution)) for each in found if each.kind == kind]


def test_what_agrees_is_no_difference() -> None:
    facts = order(1), order(2, OrderStatus.ALLTRADED, traded=5.0), trade(1), position(volume=1.0), account()
    assert find(known(*facts), report(*facts)) == []


def test_an_intent_is_known_again_by_its_mark_whatever_the_order_looks_like() -> None:
    told = report(placed(7, datetime=LONG_BEFORE), placed(8), markers={"SIM.7": "i1"})
    found = find(known(order("old")), told, [asked(1)])
    (difference,) = [each for each in found if each.kind == "intent"]
    assert (difference.resolution, difference.vt_orderids, difference.holds) == (Resolution.SENT, ["SIM.7"], False)


@pytest.mark.parametrize(
    "changes",
    [
        {"datetime": None},
        {"datetime": "2026-01-05T01:30:59.000000+00:00"},
        {"datetime": "2026-01-05T01:29:56.000000+00:00"},
        {"status": OrderStatus.ALLTRADED, "traded": 5.0},
        {"status": OrderStatus.REJECTED},
    ],
)
def test_an_intent_becomes_the_only_order_that_fits(changes: dict[str, Any]) -> None:
    found = find(known(order("old", OrderStatus.CANCELLED)), report(placed(7, **changes)), [asked(1)])
    assert seen(found, "intent") == [("i1", "SENT")]
    assert seen(found, "order") == []


@pytest.mark.parametrize(
    "changes",
    [
        {"volume": 4.0},
        {"price": 3501.0},
        {"direction": Direction.SHORT},
        {"offset": Offset.CLOSE},
        {"symbol": "hc2501", "vt_symbol": "hc2501.SHFE"},
        {"datetime": "2026-01-05T01:29:54.000000+00:00"},
        {"datetime": "2026-01-05T01:31:01.000000+00:00"},
        {"client_order_id": "of-another-intent"},
    ],
)
def test_an_order_that_does_not_fit_leaves_the_intent_in_doubt(changes: dict[str, Any]) -> None:
    found = find(known(order("old", OrderStatus.CANCELLED)), report(placed(7, **changes)), [asked(1)])
    assert seen(found, "intent") == [("i1", "UNKNOWN")]
    assert found[0].holds


def test_two_orders_that_fit_are_both_named() -> None:
    (difference, *_) = find(known(order("old")), report(placed(7), placed(8)), [asked(1)])
    assert (difference.resolution, difference.vt_orderids) == (Resolution.UNKNOWN, ["SIM.7", "SIM.8"])


def test_two_intents_do_not_share_an_order() -> None:
    found = find(known(order("old", OrderStatus.CANCELLED)), report(placed(7)), [asked(1), asked(2)])
    assert seen(found, "intent") == [("i1", "UNKNOWN"), ("i2", "UNKNOWN")]
    assert seen(found, "order") == [("SIM.7", "EXTERNAL")]


def test_an_order_known_before_is_not_what_the_intent_became() -> None:
    facts = placed(7, client_order_id="c7")
    assert seen(find(known(facts), report(placed(7)), [asked(1)]), "intent") == [("i1", "UNKNOWN")]


@pytest.mark.parametrize(
    ("since", "resolution"), [(LONG_BEFORE, "NOT_SENT"), (CREATED, "NOT_SENT"), ("2026-01-06", "UNKNOWN")]
)
def test_absence_proves_something_only_where_nothing_is_forgotten(since: str, resolution: str) -> None:
    assert seen(find(known(account()), report(account(), since=since), [asked(1)]), "intent") == [("i1", resolution)]
    assert seen(find(known(account()), report(account()), [asked(1)]), "intent") == [("i1", "UNKNOWN")]


def test_a_working_order_that_is_not_reported_is_missing_and_never_final() -> None:
    (difference,) = find(known(order(1)), report())
    assert (difference.key, difference.resolution, difference.venue) == ("SIM.1", Resolution.MISSING, None)
    assert difference.holds
    (earlier,) = find(known(order(1)), report(), is_current=lambda order: False)
    assert (earlier.resolution, earlier.holds) == (Resolution.EARLIER_DAY, False)
    assert find(known(order(1, OrderStatus.CANCELLED)), report()) == []


def test_an_order_filled_while_nobody_looked_is_taken_over() -> None:
    filled = order(1, OrderStatus.ALLTRADED, traded=5.0)
    found = find(known(order(1)), report(filled, trade(1, volume=5.0), position(volume=5.0)))
    assert [(each.kind, each.resolution, each.venue) for each in found] == [
        ("order", Resolution.UPDATED, "ALLTRADED, 5 of 5 traded")
    ]


def test_an_order_of_somebody_else_is_external() -> None:
    found = find(known(order(1)), report(order(1), order(2, reference="")))
    assert seen(found, "order") == [("SIM.2", "EXTERNAL")]
    assert not found[0].holds
    assert find(known(order(1)), report(order(1), order(2)), is_ours=lambda order: True) == []


def test_another_gateway_is_not_looked_at() -> None:
    other = msgspec.structs.replace(order(1), gateway_name="CTP", vt_orderid="CTP.1")
    assert find(known(other), report()) == []


def test_a_position_is_what_it_was_with_the_trades_since() -> None:
    facts = [trade(1), position(volume=1.0), trade(2), trade(3, direction=Direction.SHORT, offset=Offset.CLOSE)]
    new = trade(4, volume=3.0)
    assert find(known(*facts), report(new, position(volume=4.0))) == []
    (difference,) = find(known(*facts), report(new, position(volume=2.0)))
    assert (difference.known, difference.venue, difference.difference) == ("4", "2", -2.0)
    assert difference.holds


def test_a_position_that_is_not_reported_is_a_difference_unless_it_was_closed() -> None:
    (difference,) = find(known(position(volume=2.0)), report())
    assert (difference.known, difference.venue, difference.difference) == ("2", None, -2.0)
    closed = trade(1, volume=2.0, direction=Direction.SHORT, offset=Offset.CLOSETODAY)
    assert find(known(position(volume=2.0)), report(closed)) == []


def test_a_short_position_is_opened_by_selling() -> None:
    short = msgspec.structs.replace(
        position(volume=2.0), direction=Direction.SHORT, vt_positionid=f"SIM.{SYMBOL}.SHORT"
    )
    sold = trade(1, direction=Direction.SHORT, offset=Offset.OPEN, volume=2.0)
    assert find(known(account()), report(account(), sold, short)) == []


def test_a_net_position_goes_below_zero() -> None:
    def net(volume: float) -> Position:
        return msgspec.structs.replace(
            position(volume=volume), direction=Direction.NET, vt_positionid=f"SIM.{SYMBOL}.NET"
        )

    sold = trade(1, direction=Direction.SHORT, offset=Offset.NONE, volume=3.0)
    assert find(known(net(1.0)), report(sold, net(-2.0))) == []
    assert find(known(account()), report(account(), sold, net(-3.0))) == []


def test_of_a_gateway_never_heard_before_nothing_is_expected() -> None:
    assert find(known(), report(position(volume=7.0), account())) == []


def test_funds_are_shown_and_hold_up_nothing() -> None:
    (difference,) = find(known(account(1e6)), report(account(9e5)))
    assert (difference.kind, difference.difference, difference.holds) == ("account", -1e5, False)
