"""The bridge: carries what happens on vn.py's event thread to the loop, with one wake-up per burst.

On the event thread each event is translated and encoded after all other handlers of it have run, and appended to one
of two buffers: facts and contracts, which are never dropped, and ticks and log lines, of which the oldest is dropped
when ``tick_buffer`` of them wait for the loop. Both keep their order; within a burst the first buffer goes first.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

import msgspec
from vnpy.event import Event as VnEvent
from vnpy.trader.event import (
    EVENT_ACCOUNT,
    EVENT_CONTRACT,
    EVENT_LOG,
    EVENT_ORDER,
    EVENT_POSITION,
    EVENT_TICK,
    EVENT_TRADE,
)
from vnpy_algotrading.base import EVENT_ALGO_LOG, EVENT_ALGO_UPDATE
from vnpy_ctastrategy.base import EVENT_CTA_LOG, EVENT_CTA_STOPORDER, EVENT_CTA_STRATEGY
from vnpy_portfoliostrategy.base import EVENT_PORTFOLIO_LOG, EVENT_PORTFOLIO_STRATEGY
from vnpy_riskmanager.base import EVENT_RISK_NOTIFY, EVENT_RISK_RULE

from vnpy_core.engine import translate
from vnpy_core.engine.event_engine import EVENT_CORE_ALERT
from vnpy_core.engine.markers import is_of_engine, split_reference
from vnpy_core.engine.plain import shown
from vnpy_core.events import Event
from vnpy_core.models import Log, Model, Order

_SLICE = 1000  # events handed over before other work of the loop has its turn

Sink = Callable[[list[Event]], None]

logger = logging.getLogger(__name__)


class Taps(Protocol):
    """The event engine, as far as the bridge needs it."""

    def tap(self, type: str, handler: Callable[[VnEvent], Any]) -> None: ...


class BridgeStats(msgspec.Struct, frozen=True, kw_only=True):
    """``errors``: objects that could not be translated, and were left out."""

    buffered: int
    translated: int
    ticks_dropped: int
    errors: int
    wakes: int


class Bridge:
    """Buffers from its making on; ``attach`` and ``detach`` belong to the loop, the rest to the event thread."""

    def __init__(self, event_engine: Taps, *, tick_buffer: int) -> None:
        self.client_order_ids: dict[str, str] = {}
        self.replaces: dict[str, str] = {}
        self.sent: set[str] = set()
        self._tick_buffer = tick_buffer
        self._kept: deque[Event] = deque()
        self._droppable: deque[Event] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sink: Sink | None = None
        self._wake_pending = False
        self._translated = 0
        self._dropped = 0
        self._errors = 0
        self._wakes = 0
        kept: dict[str, Callable[[Any], Model]] = {
            EVENT_ORDER: self._order,
            EVENT_TRADE: translate.trade,
            EVENT_POSITION: translate.position,
            EVENT_ACCOUNT: translate.account,
            EVENT_CONTRACT: translate.contract,
            EVENT_CTA_STRATEGY: translate.strategy,
            EVENT_PORTFOLIO_STRATEGY: translate.strategy,
            EVENT_CTA_STOPORDER: translate.stop_order,
            EVENT_ALGO_UPDATE: translate.algo,
            EVENT_RISK_RULE: translate.risk_rule,
            EVENT_RISK_NOTIFY: translate.risk_rejection,
            EVENT_CORE_ALERT: _as_it_is,
        }
        droppable: dict[str, Callable[[Any], Model]] = {
            EVENT_TICK: translate.tick,
            EVENT_LOG: translate.log,
            EVENT_CTA_LOG: _strategy_log,
            EVENT_PORTFOLIO_LOG: _strategy_log,
            EVENT_ALGO_LOG: translate.log,
        }
        self._tell = self._keeper(_as_it_is)
        for event_type, translation in kept.items():
            event_engine.tap(event_type, self._keeper(translation))
        for event_type, translation in droppable.items():
            topic = "algo.log" if event_type == EVENT_ALGO_LOG else ""
            event_engine.tap(event_type, self._dropper(translation, topic))

    def attach(self, loop: asyncio.AbstractEventLoop, sink: Sink) -> None:
        """Give ``sink`` all that is buffered and all that comes, on ``loop`` and in slices of at most 1,000."""
        self._sink = sink
        self._loop = loop
        self._wake_pending = True
        loop.call_soon_threadsafe(self._drain)

    def detach(self) -> None:
        """Hand over what is buffered, then nothing more: later events are buffered for the next ``attach``."""
        sink, self._sink, self._loop = self._sink, None, None
        self._wake_pending = False
        if sink is not None:
            while batch := self._take():
                sink(batch)

    def stats(self) -> BridgeStats:
        return BridgeStats(
            buffered=len(self._kept) + len(self._droppable),
            translated=self._translated,
            ticks_dropped=self._dropped,
            errors=self._errors,
            wakes=self._wakes,
        )

    # -- the event thread

    def tell(self, fact: Model) -> None:
        """Hand over a fact that no event carries: after those told so far, and before that of the event at hand."""
        self._tell(VnEvent("", fact))

    def _keeper(self, translation: Callable[[Any], Model]) -> Callable[[VnEvent], None]:
        def on_event(event: VnEvent) -> None:
            if (made := self._made(translation, event, "")) is not None:
                self._kept.append(made)
                if not self._wake_pending:
                    self._wake()

        return on_event

    def _dropper(self, translation: Callable[[Any], Model], topic: str) -> Callable[[VnEvent], None]:
        buffer, limit = self._droppable, self._tick_buffer

        def on_event(event: VnEvent) -> None:
            if (made := self._made(translation, event, topic)) is not None:
                if len(buffer) >= limit:
                    self._drop_oldest()
                buffer.append(made)
                if not self._wake_pending:
                    self._wake()

        return on_event

    def _made(self, translation: Callable[[Any], Model], event: VnEvent, topic: str) -> Event | None:
        data = event.data
        try:
            model = data if isinstance(data, Model) else translation(data)
            try:
                made = Event(model, topic=topic)
            except UnicodeEncodeError:
                made = Event(translate.printable(model), topic=topic)
        except Exception:  # whatever one object is like, the next ones must arrive
            self._errors += 1
            if self._errors & (self._errors - 1) == 0:  # the 1st, 2nd, 4th, 8th … tells enough of a broken feed
                logger.exception("%s %s could not be translated (error %d)", event.type, shown(data), self._errors)
            return None
        self._translated += 1
        return made

    def _order(self, data: Any) -> Order:
        vt_orderid = data.vt_orderid
        client_order_id = self.client_order_ids.get(vt_orderid)
        made = translate.order(
            data, client_order_id, self.replaces.get(vt_orderid),
            external=client_order_id is None and vt_orderid not in self.sent and not _is_ours(data.reference),
        )  # fmt: skip
        if made.is_final:  # from here on the pipeline remembers them
            self.sent.discard(vt_orderid)
            self.client_order_ids.pop(vt_orderid, None)
            self.replaces.pop(vt_orderid, None)
        return made

    def _drop_oldest(self) -> None:
        try:
            self._droppable.popleft()
            self._dropped += 1
        except IndexError:  # the loop has taken them meanwhile
            pass

    def _wake(self) -> None:
        loop = self._loop
        if loop is None:
            return
        self._wake_pending = True
        self._wakes += 1
        try:
            loop.call_soon_threadsafe(self._drain)
        except RuntimeError:  # the loop is closed: buffer for the next one
            self._loop = None
            self._wake_pending = False

    # -- the loop

    def _drain(self) -> None:
        # Cleared before anything is taken: what is appended from now on is either taken here or wakes again.
        self._wake_pending = False
        sink, loop = self._sink, self._loop
        if sink is None or loop is None:
            return
        batch = self._take()
        if not batch:
            return
        # With more to come no wake-up is needed: the next slice has its turn after what this one has set off.
        more = self._wake_pending = bool(self._kept or self._droppable)
        try:
            sink(batch)
        finally:
            if more:
                loop.call_soon(self._drain)

    def _take(self) -> list[Event]:
        batch: list[Event] = []
        for buffer in (self._kept, self._droppable):
            try:
                while len(batch) < _SLICE:
                    batch.append(buffer.popleft())
            except IndexError:
                pass
        return batch


def _is_ours(reference: object) -> bool:
    """Tell whether the reference is one that this service gives, in this run or an earlier one."""
    return isinstance(reference, str) and (is_of_engine(reference) or bool(split_reference(reference)[1]))


def _as_it_is(data: Model) -> Model:
    raise TypeError(f"{data!r} is not a model")


def _strategy_log(data: Any) -> Log:
    return translate.log(data, of_strategies=True)

