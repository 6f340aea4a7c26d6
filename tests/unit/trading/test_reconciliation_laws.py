"""A venue, a service that crashes and loses its line, and what reconciliation makes of it beside the truth."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from tests.facts import account, intent, order, position, trade

from vnpy_core.data.read_model import ReadModel
from vnpy_core.engine.venue_reports import VenueReport
from vnpy_core.enums import Direction, Offset, OrderStatus
from vnpy_core.events import Event
from vnpy_core.models import Model, Order, OrderIntent, Trade, to_timestamp
from vnpy_core.trading.comparison import Comparison
from vnpy_core.trading.reconciliation import Resolution, take_known

BEGAN = datetime(2026, 1, 5, 1, 30, tzinfo=UTC)
EXTERNAL_VOLUME = 7.0  # without marks, another program's equal order could not be told from an intent's


class Trading(RuleBasedStateMachine):
    """``echoes``: the venue hands marks back; ``forgets_nothing``: and says that its report is complete."""

    def __init__(self) -> None:
        super().__init__()
        self.orders: dict[str, Order] = {}
        self.trades: dict[str, Trade] = {}
        self.markers: dict[str, str] = {}
        self.others: set[str] = set()
        self.truth: dict[str, str | None] = {}
        self.doubtful: dict[str, OrderIntent] = {}
        self.known = ReadModel()
        self.seq = 0
        self.number = 0
        self.connected = True
        self.missing: set[str] = set()

    @initialize(echoes=st.booleans(), forgets_nothing=st.booleans())
    def begin(self, echoes: bool, forgets_nothing: bool) -> None:
        self.echoes, self.forgets_nothing = echoes, echoes and forgets_nothing
        self.hear(account())

    def hear(self, *models: Model) -> None:
        for model in models:
            event = Event(model)
            self.seq += 1
            event.seq = self.seq
            self.known.apply([event])

    def tell(self, *models: Model) -> None:
        if self.connected:
            self.hear(*models)

    def holding(self) -> Model:
        return position(volume=sum(trade.volume for trade in self.trades.values()))

    def moment(self) -> str:
        self.number += 1
        return to_timestamp(BEGAN + timedelta(seconds=7 * self.number))

    def place(self, price: float, volume: float, **changes: Any) -> Order:
        made = order(f"{self.number}x", price=price, volume=volume, datetime=self.moment(), reference="", **changes)
        self.orders[made.vt_orderid] = msgspec.structs.replace(made, client_order_id=None)
        return made

    @precondition(lambda self: self.connected)
    @rule(
        price=st.sampled_from([3500.0, 3501.0]), volume=st.sampled_from([1.0, 2.0]),
        fate=st.sampled_from(["answered", "dies before", "dies after"]),
    )  # fmt: skip
    def submit(self, price: float, volume: float, fate: str) -> None:
        asked = msgspec.structs.replace(
            intent(self.number, "UNKNOWN"), direction=Direction.LONG, offset=Offset.OPEN, price=price, volume=volume,
            created=self.moment(),
        )  # fmt: skip
        self.truth[asked.intent_id] = None
        if fate == "answered":
            self.tell(self.place(price, volume, client_order_id=asked.client_order_id))
            return
        if fate == "dies after":
            placed = self.place(price, volume)
            self.truth[asked.intent_id] = placed.vt_orderid
            if self.echoes:
                self.markers[placed.vt_orderid] = asked.intent_id
        self.doubtful[asked.intent_id] = asked
        self.connected = False

    @rule(price=st.sampled_from([3500.0, 3501.0]))
    def another_program_places(self, price: float) -> None:
        placed = self.place(price, EXTERNAL_VOLUME)
        self.tell(placed)
        if not self.connected:
            self.others.add(placed.vt_orderid)

    def working(self) -> list[Order]:
        return [each for each in self.orders.values() if not each.is_final]

    @precondition(lambda self: bool(self.working()))
    @rule(data=st.data())
    def fill_one(self, data: st.DataObject) -> None:
        chosen = data.draw(st.sampled_from(self.working()))
        traded = chosen.traded + 1.0
        status = OrderStatus.ALLTRADED if traded == chosen.volume else OrderStatus.PARTTRADED
        filled = msgspec.structs.replace(chosen, traded=traded, status=status)
        self.orders[chosen.vt_orderid] = filled
        done = trade(f"{chosen.orderid}-{traded:g}", vt_orderid=chosen.vt_orderid, orderid=chosen.orderid)
        self.trades[done.key] = done
        self.tell(filled, done, self.holding())

    @precondition(lambda self: bool(self.working()))
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        chosen = data.draw(st.sampled_from(self.working()))
        self.orders[chosen.vt_orderid] = msgspec.structs.replace(chosen, status=OrderStatus.CANCELLED)
        self.tell(self.orders[chosen.vt_orderid])

    @rule()
    def cut(self) -> None:
        self.connected = False

    @precondition(lambda self: not self.connected and self.working())
    @rule(data=st.data())
    def the_venue_loses_an_order(self, data: st.DataObject) -> None:
        chosen = data.draw(st.sampled_from(self.working()))
        if chosen.traded or chosen.vt_orderid in self.truth.values():
            return
        del self.orders[chosen.vt_orderid]
        self.others.discard(chosen.vt_orderid)
        event = self.known.orders.get(chosen.vt_orderid)
        if event is not None:
            self.missing.add(chosen.vt_orderid)

    @precondition(lambda self: not self.connected)
    @rule()
    def connect(self) -> None:
        report = VenueReport(
            gateway_name="SIM", began=self.moment(), orders=dict(self.orders), trades=dict(self.trades),
            markers=dict(self.markers), accounts={account().key: account()},
            complete_since=to_timestamp(BEGAN) if self.forgets_nothing else None,
        )  # fmt: skip
        if self.trades:
            report.positions[self.holding().key] = self.holding()  # type: ignore[assignment]
        before = take_known(self.known, "SIM")
        comparison = Comparison(before)
        comparison.hear(report)
        found = comparison.look(list(self.doubtful.values())) + comparison.settled()

        for each in (each for each in found if each.kind == "intent"):
            really = self.truth[each.key]
            if each.resolution is Resolution.SENT:
                assert each.vt_orderids == [really]
            elif each.resolution is Resolution.NOT_SENT:
                assert really is None
            else:
                assert each.resolution is Resolution.UNKNOWN
                assert not self.forgets_nothing
                assert not self.echoes or really is None
        by_resolution = {r: {each.key for each in found if each.resolution is r} for r in Resolution}
        assert self.others <= by_resolution[Resolution.EXTERNAL]
        assert by_resolution[Resolution.MISSING] == self.missing
        assert not by_resolution[Resolution.DIFFERENT]

        self.connected = True
        self.tell(*self.orders.values(), *self.trades.values(), *([self.holding()] if self.trades else []))
        for each in found:
            if each.kind == "intent" and not each.holds:
                del self.doubtful[each.key]
        self.others.clear()
        for vt_orderid in self.missing:  # nobody has said what became of it
            event = self.known.orders.get(vt_orderid)
            assert event is not None
            assert not event.data.is_final


TestTrading = Trading.TestCase
TestTrading.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
