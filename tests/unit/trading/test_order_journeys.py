"""The journeys of orders: from what asked for them to their end, also of orders that nobody asked for here."""

import msgspec
import pytest

from vnpy_core.enums import OrderStatus
from vnpy_core.events import Event
from vnpy_core.models import Order, OrderIntent, RiskRejection, now_timestamp
from vnpy_core.routers import examples
from vnpy_core.trading.order_journeys import Journey, OrderJourneys


class Follower:
    def __init__(self) -> None:
        self.over: list[Journey] = []

    def began(self) -> object:
        return "here"

    def ended(self, journey: Journey) -> None:
        self.over.append(journey)


class Road:
    def __init__(self) -> None:
        self.journeys = OrderJourneys()
        self.follower = self.journeys.observer = Follower()
        self._seq = 0

    def tell(self, status: OrderStatus, vt_orderid: str = "SIM.1") -> None:
        order: Order = msgspec.structs.replace(examples.ORDER, vt_orderid=vt_orderid, status=status)
        event = Event(order)
        self._seq += 1
        event.seq = self._seq
        self.journeys.on_events([event])

    def counts(self) -> dict[str, int]:
        return {stage: seconds.read().count for stage, seconds in self.journeys.seconds.items()}


@pytest.fixture
def road() -> Road:
    return Road()


def intent(name: str = "a") -> OrderIntent:
    return msgspec.structs.replace(examples.INTENT, intent_id=name)


def test_a_clients_order_is_followed_from_its_intent_to_its_fill(road: Road) -> None:
    road.journeys.begin([intent()])
    road.journeys.journaled([intent()])
    road.journeys.taken_up("a")
    road.journeys.handed_over("a", "SIM.1")
    road.tell(OrderStatus.SUBMITTING)
    assert road.counts() == {"journaled": 1, "handed_over": 1, "acknowledged": 0, "filled": 0}
    road.tell(OrderStatus.NOTTRADED)
    road.tell(OrderStatus.ALLTRADED)
    assert road.counts() == {"journaled": 1, "handed_over": 1, "acknowledged": 1, "filled": 1}
    (journey,) = road.follower.over
    moments = [
        journey.began, journey.journaled, journey.taken_up, journey.handed_over, journey.acknowledged, journey.filled,
    ]  # fmt: skip
    assert moments == sorted(moments)
    assert (journey.context, journey.seq, journey.intent) == ("here", 3, intent())
    road.tell(OrderStatus.ALLTRADED)  # told again, of an order that is over
    assert len(road.follower.over) == 1


def test_an_order_of_a_strategy_is_followed_from_the_first_that_is_told(road: Road) -> None:
    road.tell(OrderStatus.SUBMITTING)
    road.tell(OrderStatus.CANCELLED)
    assert road.counts() == {"journaled": 0, "handed_over": 0, "acknowledged": 1, "filled": 0}
    assert (road.follower.over[0].intent, road.follower.over[0].context) == (None, None)


def test_an_order_that_was_there_before_is_counted_and_not_timed(road: Road) -> None:
    road.tell(OrderStatus.NOTTRADED)
    road.tell(OrderStatus.ALLTRADED)
    assert not any(road.counts().values())
    assert road.journeys.states == {OrderStatus.NOTTRADED: 1, OrderStatus.ALLTRADED: 1}


def test_an_outcome_that_is_unknown_is_no_acknowledgement(road: Road) -> None:
    road.tell(OrderStatus.SUBMITTING)
    road.tell(OrderStatus.UNKNOWN)
    assert road.counts()["acknowledged"] == 0
    road.tell(OrderStatus.NOTTRADED)
    assert road.counts()["acknowledged"] == 1


def test_refusals_are_counted_by_code_and_followed_no_further(road: Road) -> None:
    road.journeys.begin([intent("a"), intent("b")])
    road.journeys.refused("risk_manager", "a")
    road.journeys.refused("unknown_contract")
    road.journeys.handed_over("a", "SIM.1")
    road.journeys.handed_over("b", "SIM.2")
    assert road.counts()["handed_over"] == 1
    rejection = Event(
        RiskRejection(
            code="order_rate", reason="too many", vt_symbol="rb2501.SHFE", gateway_name="SIM", reference="",
            datetime=now_timestamp(),
        )
    )  # fmt: skip
    rejection.seq = 7
    road.journeys.on_events([rejection])
    assert road.journeys.refusals == {"risk_manager": 1, "unknown_contract": 1}
    assert road.journeys.rejections == {"order_rate": 1}
