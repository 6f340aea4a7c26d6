"""OrderJourneys: how long orders take from what asked for them to their fill, what they become, why they are refused.

A journey begins with a client's intent, or with the first thing that is told of an order of a strategy or another app.
"""

import time
from collections import Counter, OrderedDict
from collections.abc import Sequence
from typing import Protocol

from vnpy_core.enums import OrderStatus
from vnpy_core.events import Event
from vnpy_core.instruments import SLOW_S, Histogram
from vnpy_core.models import Order, OrderIntent, RiskRejection, Trade

# Orders that rest are followed to their end; of more than these the oldest are given up.
_FOLLOWED = 20_000
STAGES = ("journaled", "handed_over", "acknowledged", "filled")


class Journey:
    """Moments of one order, in ns of ``time.perf_counter_ns``; 0: not yet. ``context`` is whatever the observer gave.

    ``handed_over``: the gateway's ``send_order`` has returned. ``acknowledged``: the first state told that only the
    venue can know. ``seq``: the last fact of it.
    """

    __slots__ = (
        "acknowledged", "began", "context", "filled", "handed_over", "intent", "journaled", "order", "seq", "taken_up",
    )  # fmt: skip

    def __init__(self, began: int, intent: OrderIntent | None, context: object) -> None:
        self.began = began
        self.intent = intent
        self.context = context
        self.journaled = self.taken_up = self.handed_over = self.acknowledged = self.filled = 0
        self.order: Order | None = None
        self.seq = 0


class Observer(Protocol):
    """Who follows journeys beside the histograms: the traces. Loop only.

    What ``began`` returns, in the task of who asks for the order, is kept as ``Journey.context``.
    """

    def began(self) -> object: ...
    def ended(self, journey: Journey) -> None: ...


class OrderJourneys:
    """Loop only, except ``taken_up`` and ``handed_over``. To be subscribed to what is published."""

    def __init__(self) -> None:
        self.observer: Observer | None = None
        self.seconds = {stage: Histogram(SLOW_S) for stage in STAGES}
        self.states: Counter[OrderStatus] = Counter()
        self.refusals: Counter[str] = Counter()
        self.rejections: Counter[str] = Counter()
        self._by_intent: OrderedDict[str, Journey] = OrderedDict()
        self._by_order: OrderedDict[str, Journey] = OrderedDict()

    def begin(self, intents: Sequence[OrderIntent]) -> None:
        """Take note that these are about to be journaled and sent."""
        now = time.perf_counter_ns()
        context = self.observer.began() if self.observer is not None else None
        for intent in intents:
            self._by_intent[intent.intent_id] = Journey(now, intent, context)
        while len(self._by_intent) > _FOLLOWED:
            self._by_intent.popitem(last=False)

    def journaled(self, intents: Sequence[OrderIntent]) -> None:
        now = time.perf_counter_ns()
        for intent in intents:
            if (journey := self._by_intent.get(intent.intent_id)) is not None:
                journey.journaled = now
                self.seconds["journaled"].observe((now - journey.began) / 1e9)

    def taken_up(self, intent_id: str) -> None:
        """On the event thread: it is about to be handed to its gateway."""
        if (journey := self._by_intent.get(intent_id)) is not None:
            journey.taken_up = time.perf_counter_ns()

    def handed_over(self, intent_id: str, vt_orderid: str) -> None:
        """On the event thread, before anything of the order is told."""
        if (journey := self._by_intent.pop(intent_id, None)) is not None:
            journey.handed_over = time.perf_counter_ns()
            self.seconds["handed_over"].observe((journey.handed_over - journey.began) / 1e9)
            self._by_order[vt_orderid] = journey

    def refused(self, code: str, intent_id: str | None = None) -> None:
        """Take note of an order that is not known to be sent, and why."""
        self.refusals[code] += 1
        if intent_id is not None:
            self._by_intent.pop(intent_id, None)

    def on_events(self, events: Sequence[Event]) -> None:
        for event in events:
            if event.seq is None:
                continue
            data = event.data
            if isinstance(data, Order):
                self._on_order(data, event.seq)
            elif isinstance(data, Trade):
                if (journey := self._by_order.get(data.vt_orderid)) is not None:
                    journey.seq = event.seq
            elif isinstance(data, RiskRejection):
                self.rejections[data.code] += 1

    def _on_order(self, order: Order, seq: int) -> None:
        now = time.perf_counter_ns()
        self.states[order.status] += 1
        journey = self._by_order.get(order.vt_orderid)
        if journey is None:
            if order.status is not OrderStatus.SUBMITTING:
                return  # of an order that was there before, or is over
            journey = self._by_order[order.vt_orderid] = Journey(now, None, None)
            while len(self._by_order) > _FOLLOWED:
                self._by_order.popitem(last=False)
        journey.order, journey.seq = order, seq
        if not journey.acknowledged and order.status not in (OrderStatus.SUBMITTING, OrderStatus.UNKNOWN):
            journey.acknowledged = now
            self.seconds["acknowledged"].observe((now - journey.began) / 1e9)
        if order.status is OrderStatus.ALLTRADED:
            journey.filled = now
            self.seconds["filled"].observe((now - journey.began) / 1e9)
        if order.is_final:
            del self._by_order[order.vt_orderid]
            if self.observer is not None:
                self.observer.ended(journey)
