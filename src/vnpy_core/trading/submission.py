"""Submission: the way of orders from their intents to their answers, many in one call and two commits.

An intent is journaled before the engine sees its order, the outcome after it answered. An intent without an outcome is
therefore an order whose fate is unknown; it is said to be so, and never sent again. The intents that one commit has
brought to disk go to the engine together, whoever asked for them; each is answered as soon as its own outcome is there.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, MutableMapping, Sequence
from typing import Any, Literal, Protocol

import msgspec

from vnpy_core.errors import CoreError, OrderRefused, OutcomeUnknown, Unavailable
from vnpy_core.events import Event
from vnpy_core.models import KeyUse, Model, Order, OrderIntent, OrderSpec
from vnpy_core.trading.departures import Departures
from vnpy_core.trading.event_thread import EventThread, Series, Unanswered, retrieve
from vnpy_core.trading.intents import IntentBook
from vnpy_core.trading.order_journeys import OrderJourneys
from vnpy_core.trading.results import SubmitResult

logger = logging.getLogger(__name__)
Outcome = Literal["SENT", "REFUSED", "NOT_SENT", "UNKNOWN"]

# Gateways report an order while they send it, so its first state is usually there within a few milliseconds.
FIRST_STATE_WAIT_S = 0.1
# So long the outcome waits for that state, to go to disk with it: one commit instead of two before the answer.
TOGETHER_WAIT_S = 0.01


class Sending(Protocol):
    """The commands of the event thread, as far as they send."""

    def send_order(self, gateway_name: str, spec: OrderSpec) -> str: ...


class Commits(Protocol):
    """The pipeline, as far as orders need it."""

    def require_writable(self) -> None: ...
    async def commit_all(self, models: Sequence[Model]) -> None: ...
    def begin_commit_all(self, models: Sequence[Model]) -> "asyncio.Future[Event | None]": ...
    def begin_commit(self, model: Model) -> "asyncio.Future[Event]": ...
    def emit(self, model: Model) -> None: ...
    def watch(self, callback: Callable[[Model], None]) -> None: ...
    def subscribe(self, callback: Callable[[Sequence[Event]], None]) -> None: ...


class StateTable(Protocol):
    def get(self, key: str) -> Event | None: ...


class Submission:
    """Loop only; what it has begun goes on to its end even if the caller is cancelled.

    ``client_order_ids`` and ``replaces`` are the bridge's maps, written on its thread.
    """

    def __init__(
        self,
        commands: Sending,
        event_thread: EventThread,
        pipeline: Commits,
        orders: StateTable,
        book: IntentBook,
        client_order_ids: MutableMapping[str, str],
        replaces: MutableMapping[str, str],
        journeys: OrderJourneys,
    ) -> None:
        self._commands = commands
        self._event_thread = event_thread
        self._pipeline = pipeline
        self._orders = orders
        self._book = book
        self._client_order_ids = client_order_ids
        self._replaces = replaces
        self._journeys = journeys
        self._departures: Departures[tuple[Sequence[OrderIntent], KeyUse | None]] = Departures(self._depart)
        self._answers: dict[str, asyncio.Future[SubmitResult | CoreError]] = {}  # by intent
        self._ready: list[OrderIntent] = []  # on disk, and to be handed over next
        self._sent: dict[str, OrderIntent] = {}  # written on the event thread
        self._stateless: dict[str, OrderIntent] = {}  # all is recorded but the order's first state
        self._tasks: set[asyncio.Task[Any]] = set()
        self.unanswered: set[str] = set()  # intents that the engine has begun to send, and may still send
        pipeline.subscribe(self._on_events)
        pipeline.watch(self._on_taken)

    async def send(self, intents: Sequence[OrderIntent], key: KeyUse | None = None) -> list[SubmitResult | CoreError]:
        """Send orders in their order, and return for each what it is called or why it is not known to be sent.

        ``Unavailable``: nothing was sent of it, and it may come again.
        """
        self._journeys.begin(intents)
        loop = asyncio.get_running_loop()
        answers = [loop.create_future() for _ in intents]
        for intent, answer in zip(intents, answers, strict=True):
            self._answers[intent.intent_id] = answer
            self._book.put(intent)
        self._departures.add((intents, key), len(intents))
        results = [await answer for answer in answers]
        if logger.isEnabledFor(logging.DEBUG):
            for intent, result in zip(intents, results, strict=True):
                if isinstance(result, SubmitResult):
                    about = {"vt_orderid": result.vt_orderid}
                    logger.debug("Order intent %s is %s", intent.intent_id, result.vt_orderid, extra=about)
        return results

    def result_of(self, intent: OrderIntent) -> SubmitResult | CoreError:
        """Return what is to be said of an intent now, long after it was answered first, or after a restart."""
        if intent.outcome == "SENT" and intent.vt_orderid is not None:
            return self._result(intent, intent.vt_orderid)
        reason = intent.reason or "The engine has not answered yet."
        if intent.outcome == "REFUSED":
            return OrderRefused(reason, intent_id=intent.intent_id)
        if intent.outcome == "NOT_SENT":
            return Unavailable(reason, intent_id=intent.intent_id)
        return _unknown(intent, reason)

    async def record(self, intents: Sequence[OrderIntent]) -> bool:
        """Journal what became of ``intents``; return whether it is on disk already; if not, it will be later."""
        for intent in intents:
            self._book.put(intent)
        try:
            await self._pipeline.commit_all(intents)
        except Unavailable:
            for intent in intents:
                self._pipeline.emit(intent)
            return False
        return True

    async def close(self, timeout_s: float) -> None:
        """Wait for submissions that are on their way, and give up those that the engine has not answered by then."""
        under_way = {*self._tasks, *self._answers.values()}
        if under_way:
            await asyncio.wait(under_way, timeout=timeout_s)
        late = list(self._tasks)
        for waiting in (*late, *self._answers.values()):
            waiting.cancel()
        self._record_rest(list(self._sent))
        await asyncio.gather(*late, return_exceptions=True)

    # -- the way

    def _depart(self, group: Sequence[tuple[Sequence[OrderIntent], KeyUse | None]]) -> None:
        for intents, key in group:
            self._journal(intents, key)

    def _journal(self, intents: Sequence[OrderIntent], key: KeyUse | None) -> None:
        try:
            on_disk = self._pipeline.begin_commit_all(intents if key is None else [key, *intents])
        except Unavailable as error:
            self._not_on_disk(intents, error)
        else:
            on_disk.add_done_callback(lambda future: self._on_disk(intents, future))

    def _on_disk(self, intents: Sequence[OrderIntent], commit: "asyncio.Future[Event | None]") -> None:
        error = commit.exception()
        if isinstance(error, CoreError):
            self._not_on_disk(intents, error)
            return
        self._journeys.journaled(intents)
        if not self._ready:  # those of the same commit come before this has its turn
            asyncio.get_running_loop().call_soon(self._hand_over)
        self._ready += intents

    def _not_on_disk(self, intents: Sequence[OrderIntent], error: CoreError) -> None:
        # Of very many some may be on disk: they must not look as if they had been sent.
        for intent in intents:
            self._book.forget(intent)
            if len(intents) > 1:
                self._pipeline.emit(settled(intent, "NOT_SENT", reason=error.detail))
            self._refuse(intent, error)

    def _hand_over(self) -> None:
        intents, self._ready = self._ready, []
        self._spawn(self._send(intents)).add_done_callback(lambda task: self._broken_off(intents, task))

    def _broken_off(self, intents: Sequence[OrderIntent], task: asyncio.Task[None]) -> None:
        """Answer those of whom a fault of our own has left the answers open."""
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("Sending %d orders broke off", len(intents), exc_info=error)
            for intent in intents:
                self._answer(intent, _unknown(intent, "Something went wrong in the service."))

    async def _send(self, intents: Sequence[OrderIntent]) -> None:
        call = Series(self._send_one, intents)
        late: asyncio.Future[Any] | None = None
        unsent: CoreError = Unavailable("The engine did not come to it in time; it was withdrawn.")
        try:
            await self._event_thread.run(call)
        except Unanswered as error:
            late = error.future
        except Unavailable as error:  # it has not begun, and never will
            unsent = error
        except Exception as error:
            logger.exception("Sending %d orders broke off", len(intents))
            unsent = Unavailable(f"The sending broke off before it: {error!r}")
        begun = call.withdraw()
        results = list(call.results)  # the one that is late may change its own at any moment
        others = [
            self._outcome(intent, result if number < begun else unsent)
            for number, (intent, result) in enumerate(zip(intents, results, strict=True))
            if not isinstance(result, str)
        ]
        if late is not None:
            under_way = [number for number in range(begun) if results[number] is None]
            self.unanswered |= {intents[number].intent_id for number in under_way}
            self._spawn(self._record_late(late, [intents[number] for number in under_way], call, under_way))
        self._record_soon([result for result in results if isinstance(result, str)])
        if others:
            await self.record([intent for intent, _ in others])
            for intent, refusal in others:
                self._refuse(intent, refusal)

    def _send_one(self, intent: OrderIntent) -> str:
        """On the event thread: events of the order wait behind this, so its first one already carries the id."""
        self._journeys.taken_up(intent.intent_id)
        vt_orderid = self._commands.send_order(intent.gateway_name, spec_of(intent))
        self._journeys.handed_over(intent.intent_id, vt_orderid)
        if intent.client_order_id is not None:
            self._client_order_ids[vt_orderid] = intent.client_order_id
        if intent.replaces is not None:
            self._replaces[vt_orderid] = intent.replaces
        self._sent[vt_orderid] = intent
        return vt_orderid

    def _outcome(self, intent: OrderIntent, result: Exception | None) -> tuple[OrderIntent, CoreError]:
        """Return the intent with its outcome, and the error to tell, of an order that is not known to be sent."""
        if result is None:
            reason = f"The engine did not answer within {self._event_thread.timeout_s:g} s."
            return settled(intent, "UNKNOWN", reason=reason), _unknown(intent, reason)
        if isinstance(result, OutcomeUnknown):
            result.extra["intent_id"] = intent.intent_id
            return settled(intent, "UNKNOWN", reason=result.detail), result
        if isinstance(result, CoreError):
            outcome: Outcome = "NOT_SENT" if isinstance(result, Unavailable) else "REFUSED"
            return settled(intent, outcome, reason=result.detail), result
        # A gateway may raise anything, and may have sent the order before.
        logger.error("Sending order intent %s failed", intent.intent_id, exc_info=result)
        reason = f"Gateway {intent.gateway_name} raised {type(result).__name__}: {result}"
        return settled(intent, "UNKNOWN", reason=reason), _unknown(intent, reason)

    def _result(self, intent: OrderIntent, vt_orderid: str) -> SubmitResult:
        return SubmitResult(
            vt_orderid=vt_orderid,
            orderid=vt_orderid.removeprefix(f"{intent.gateway_name}."),
            client_order_id=intent.client_order_id or intent.intent_id,
            intent_id=intent.intent_id,
            order=self._order(vt_orderid),
        )

    def _answer(self, intent: OrderIntent, answer: SubmitResult | CoreError) -> None:
        waiting = self._answers.pop(intent.intent_id, None)
        if waiting is None:
            return
        if not waiting.done():
            waiting.set_result(answer)
        self._departures.arrived()

    def _refuse(self, intent: OrderIntent, error: CoreError) -> None:
        """Answer that it is not known to be sent."""
        self._journeys.refused(error.error_code, intent.intent_id)
        self._answer(intent, error)

    async def _record_late(
        self,
        future: "asyncio.Future[Any]",
        intents: Sequence[OrderIntent],
        call: Series[OrderIntent, str],
        numbers: Sequence[int],
    ) -> None:
        """Journal the outcome of a command that was answered after its time, whenever that is."""
        await asyncio.wait({future})
        for intent, number in zip(intents, numbers, strict=True):
            self.unanswered.discard(intent.intent_id)
            result = call.results[number]
            if isinstance(result, str):
                about = {"vt_orderid": result}
                logger.warning("Order intent %s was sent after all, as %s", intent.intent_id, result, extra=about)
                self._record_soon([result])
            elif isinstance(result, CoreError) and not isinstance(result, OutcomeUnknown):
                await self.record([self._outcome(intent, result)[0]])

    # -- what was sent

    def _on_taken(self, fact: Model) -> None:
        """The first state of an order is on its way to disk: what became of its intent goes with it."""
        if self._sent and isinstance(fact, Order) and fact.vt_orderid in self._sent:
            self._begin_record(fact.vt_orderid)

    def _record_soon(self, vt_orderids: Sequence[str]) -> None:
        """Journal that these were sent, each with its first state if that comes soon."""
        if left := [vt_orderid for vt_orderid in vt_orderids if vt_orderid in self._sent]:
            asyncio.get_running_loop().call_later(TOGETHER_WAIT_S, self._record_rest, left)

    def _record_rest(self, vt_orderids: Sequence[str]) -> None:
        for vt_orderid in vt_orderids:
            if vt_orderid in self._sent:
                self._begin_record(vt_orderid)

    def _begin_record(self, vt_orderid: str) -> None:
        outcome = settled(self._sent.pop(vt_orderid), "SENT", vt_orderid=vt_orderid)
        self._book.put(outcome)
        try:
            recording = self._pipeline.begin_commit(outcome)
        except Unavailable:
            self._not_recorded(outcome, vt_orderid)
        else:
            recording.add_done_callback(lambda future: self._recorded(outcome, vt_orderid, future))

    def _recorded(self, outcome: OrderIntent, vt_orderid: str, commit: "asyncio.Future[Event]") -> None:
        if commit.exception() is not None:
            self._not_recorded(outcome, vt_orderid)
        elif self._order(vt_orderid) is not None:
            self._answer(outcome, self._result(outcome, vt_orderid))
        else:
            self._stateless[vt_orderid] = outcome
            asyncio.get_running_loop().call_later(FIRST_STATE_WAIT_S, self._answer_sent, vt_orderid)

    def _not_recorded(self, outcome: OrderIntent, vt_orderid: str) -> None:
        self._pipeline.emit(outcome)
        self._answer(outcome, OutcomeUnknown(
            f"Order {vt_orderid} was sent, but the journal cannot record it now. Do not repeat it.",
            code="not_journaled", vt_orderid=vt_orderid, intent_id=outcome.intent_id,
        ))  # fmt: skip

    def _on_events(self, events: Sequence[Event]) -> None:
        if self._stateless:
            for event in events:
                if isinstance(event.data, Order):
                    self._answer_sent(event.data.vt_orderid)

    def _answer_sent(self, vt_orderid: str) -> None:
        if (outcome := self._stateless.pop(vt_orderid, None)) is not None:
            self._answer(outcome, self._result(outcome, vt_orderid))

    def _order(self, vt_orderid: str) -> Order | None:
        known = self._orders.get(vt_orderid)
        return known.data if known is not None and isinstance(known.data, Order) else None

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(retrieve)
        return task


def settled(
    intent: OrderIntent, outcome: Outcome, *, vt_orderid: str | None = None, reason: str | None = None
) -> OrderIntent:
    return msgspec.structs.replace(intent, outcome=outcome, vt_orderid=vt_orderid, reason=reason)


def spec_of(intent: OrderIntent) -> OrderSpec:
    """Return the order that the intent is of."""
    return OrderSpec(
        symbol=intent.symbol, exchange=intent.exchange, direction=intent.direction, type=intent.type,
        volume=intent.volume, price=intent.price, offset=intent.offset, reference=intent.reference,
        marker=intent.intent_id,
    )  # fmt: skip


def _unknown(intent: OrderIntent, reason: str) -> OutcomeUnknown:
    return OutcomeUnknown(
        f"{reason} The order may have been sent; look at the order list before you repeat it.",
        intent_id=intent.intent_id,
    )
