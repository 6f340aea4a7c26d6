"""Submission: the way of orders from their intents to their answers, many in one call and two commits.

The intents are journaled before the engine sees the first order, the outcomes after it answered. An intent without an
outcome is therefore an order whose fate is unknown; it is said to be so, and never sent again.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, MutableMapping, Sequence
from typing import Any, Literal, Protocol, TypeVar

import msgspec

from vnpy_core.errors import CoreError, OrderRefused, OutcomeUnknown, Unavailable
from vnpy_core.events import Event
from vnpy_core.models import KeyUse, Model, Order, OrderIntent, OrderSpec
from vnpy_core.trading.event_thread import EventThread, Series, Unanswered, retrieve
from vnpy_core.trading.intents import IntentBook
from vnpy_core.trading.order_journeys import OrderJourneys
from vnpy_core.trading.results import SubmitResult

logger = logging.getLogger(__name__)
T = TypeVar("T")
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
        self._first_states: dict[str, asyncio.Future[Order]] = {}
        self._sent: dict[str, OrderIntent] = {}  # written on the event thread
        self._taken: dict[str, asyncio.Future[None]] = {}
        self._recording: dict[str, tuple[OrderIntent, asyncio.Future[Event] | None]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self.unanswered: set[str] = set()  # intents that the engine has begun to send, and may still send
        pipeline.subscribe(self._on_events)
        pipeline.watch(self._on_taken)

    async def send(self, intents: Sequence[OrderIntent], key: KeyUse | None = None) -> list[SubmitResult | CoreError]:
        """Send orders in their order, and return for each what it is called or why it is not known to be sent.

        Raises:
            Unavailable: the intents are not on disk, and nothing was sent.
        """
        self._journeys.begin(intents)
        for intent in intents:
            self._book.put(intent)
        return await asyncio.shield(self._spawn(self._send(intents, key)))

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
        if self._tasks:
            _, late = await asyncio.wait(set(self._tasks), timeout=timeout_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    # -- the way

    async def _send(self, intents: Sequence[OrderIntent], key: KeyUse | None) -> list[SubmitResult | CoreError]:
        try:
            await self._pipeline.commit_all(intents if key is None else [key, *intents])
        except CoreError as error:
            # Of very many some may be on disk: they must not look as if they had been sent.
            for intent in intents:
                self._journeys.refused(error.error_code, intent.intent_id)
                self._book.forget(intent)
                if len(intents) > 1:
                    self._pipeline.emit(settled(intent, "NOT_SENT", reason=error.detail))
            raise
        self._journeys.journaled(intents)
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
        outcomes = [
            self._outcome(intent, result if number < begun else unsent)
            for number, (intent, result) in enumerate(zip(intents, call.results, strict=True))
        ]
        if late is not None:
            under_way = [number for number in range(begun) if call.results[number] is None]
            self.unanswered |= {intents[number].intent_id for number in under_way}
            self._spawn(self._record_late(late, [outcomes[number][0] for number in under_way], call, under_way))
        return await self._answers(outcomes)

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

    def _outcome(self, intent: OrderIntent, result: str | Exception | None) -> tuple[OrderIntent, CoreError | None]:
        """Return the intent with its outcome, and the error to tell if it is not known to be sent."""
        if isinstance(result, str):
            return settled(intent, "SENT", vt_orderid=result), None
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

    async def _answers(
        self, outcomes: Sequence[tuple[OrderIntent, CoreError | None]]
    ) -> list[SubmitResult | CoreError]:
        sent = [intent.vt_orderid for intent, _ in outcomes if intent.vt_orderid is not None]
        first_states = [self._expect(vt_orderid) for vt_orderid in sent]
        on_disk = await self._record_sent(sent)
        if others := [intent for intent, _ in outcomes if intent.vt_orderid is None]:
            await self.record(others)
        if on_disk and first_states:
            await asyncio.wait(first_states, timeout=FIRST_STATE_WAIT_S)
        for vt_orderid in sent:
            self._first_states.pop(vt_orderid, None)
        answers: list[SubmitResult | CoreError] = []
        for intent, error in outcomes:
            if error is not None or intent.vt_orderid is None:
                error = error or CoreError("An order without a name.")
                self._journeys.refused(error.error_code, intent.intent_id)
                answers.append(error)
            elif not on_disk:
                answers.append(OutcomeUnknown(
                    f"Order {intent.vt_orderid} was sent, but the journal cannot record it now. Do not repeat it.",
                    code="not_journaled", vt_orderid=intent.vt_orderid, intent_id=intent.intent_id,
                ))  # fmt: skip
            else:
                answers.append(self._result(intent, intent.vt_orderid))
        return answers

    def _result(self, intent: OrderIntent, vt_orderid: str) -> SubmitResult:
        return SubmitResult(
            vt_orderid=vt_orderid,
            orderid=vt_orderid.removeprefix(f"{intent.gateway_name}."),
            client_order_id=intent.client_order_id or intent.intent_id,
            intent_id=intent.intent_id,
            order=self._order(vt_orderid),
        )

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
                logger.warning("Order intent %s was sent after all, as %s", intent.intent_id, result)
                await self._record_sent([result])
            elif isinstance(result, CoreError) and not isinstance(result, OutcomeUnknown):
                await self.record([self._outcome(intent, result)[0]])

    async def _record_sent(self, vt_orderids: Sequence[str]) -> bool:
        """Journal that these were sent, each with its first state if that comes soon; tell whether it is on disk."""
        waiting = [self._taking(vt_orderid) for vt_orderid in vt_orderids if vt_orderid in self._sent]
        if waiting:
            await asyncio.wait(waiting, timeout=TOGETHER_WAIT_S)
        on_disk = True
        for vt_orderid in vt_orderids:
            self._taken.pop(vt_orderid, None)
            if vt_orderid in self._sent:
                self._begin_record(vt_orderid)
        for vt_orderid in vt_orderids:
            outcome, recording = self._recording.pop(vt_orderid)
            try:
                if recording is None:
                    raise Unavailable("The journal cannot be written.")
                await recording
            except Unavailable:
                self._pipeline.emit(outcome)
                on_disk = False
        return on_disk

    def _taking(self, vt_orderid: str) -> "asyncio.Future[None]":
        future = self._taken[vt_orderid] = asyncio.get_running_loop().create_future()
        return future

    def _on_taken(self, fact: Model) -> None:
        """The first state of an order is on its way to disk: what became of its intent goes with it."""
        if self._sent and isinstance(fact, Order) and fact.vt_orderid in self._sent:
            self._begin_record(fact.vt_orderid)
            taken = self._taken.pop(fact.vt_orderid, None)
            if taken is not None and not taken.done():
                taken.set_result(None)

    def _begin_record(self, vt_orderid: str) -> None:
        outcome = settled(self._sent.pop(vt_orderid), "SENT", vt_orderid=vt_orderid)
        self._book.put(outcome)
        try:
            recording = self._pipeline.begin_commit(outcome)
            recording.add_done_callback(retrieve)
        except Unavailable:
            self._recording[vt_orderid] = outcome, None
        else:
            self._recording[vt_orderid] = outcome, recording

    # -- the first state of an order

    def _on_events(self, events: Sequence[Event]) -> None:
        if self._first_states:
            for event in events:
                if isinstance(event.data, Order):
                    waiting = self._first_states.get(event.data.vt_orderid)
                    if waiting is not None and not waiting.done():
                        waiting.set_result(event.data)

    def _expect(self, vt_orderid: str) -> "asyncio.Future[Order]":
        future: asyncio.Future[Order] = asyncio.get_running_loop().create_future()
        self._first_states[vt_orderid] = future
        if (known := self._order(vt_orderid)) is not None:
            future.set_result(known)
        return future

    def _order(self, vt_orderid: str) -> Order | None:
        known = self._orders.get(vt_orderid)
        return known.data if known is not None and isinstance(known.data, Order) else None

    def _spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
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
