"""OrderService: sends and cancels orders; whatever happens, none is sent twice and none is forgotten.

The intent is journaled before the engine sees the order, the outcome after it answered. An intent without an outcome
is therefore an order whose fate is unknown; it is said to be so, and never sent again.
"""

import asyncio
import logging
import uuid
from collections.abc import Callable, Coroutine, Iterable, MutableMapping, Sequence
from typing import Any, Literal, Protocol, TypeVar

import msgspec

from vnpy_core.errors import Conflict, CoreError, OutcomeUnknown, Unavailable
from vnpy_core.events import Event
from vnpy_core.models import Model, Order, OrderIntent, OrderSpec, now_timestamp
from vnpy_core.trading.event_thread import Call, EventThread, Unanswered, retrieve
from vnpy_core.trading.filters import OrderFilter
from vnpy_core.trading.results import CancelResult, SubmitResult

logger = logging.getLogger(__name__)
T = TypeVar("T")
Outcome = Literal["SENT", "REFUSED", "NOT_SENT", "UNKNOWN"]

# Gateways report an order while they send it, so its first state is usually there within a few milliseconds.
FIRST_STATE_WAIT_S = 0.1


class Commands(Protocol):
    """What runs on the event thread."""

    def send_order(self, gateway_name: str, spec: OrderSpec) -> str: ...
    def cancel_order(self, vt_orderid: str) -> None: ...


class Commits(Protocol):
    """The pipeline, as far as orders need it."""

    async def commit(self, model: Model) -> Event: ...
    def emit(self, model: Model) -> None: ...
    def subscribe(self, callback: Callable[[Sequence[Event]], None]) -> None: ...


class OrderTable(Protocol):
    def get(self, key: str) -> Event | None: ...
    def values(self) -> Iterable[Event]: ...


class OrderStates(Protocol):
    """The read model, as far as orders need it."""

    @property
    def orders(self) -> OrderTable: ...


def _refusal(error: CoreError) -> Outcome:
    return "NOT_SENT" if isinstance(error, Unavailable) else "REFUSED"


class OrderService:
    """The one way by which clients' orders go out. ``client_order_ids`` is the bridge's map, written on its thread."""

    def __init__(
        self,
        commands: Commands,
        call: Call,
        pipeline: Commits,
        read_model: OrderStates,
        *,
        timeout_s: float = 5.0,
        client_order_ids: MutableMapping[str, str] | None = None,
    ) -> None:
        self._commands = commands
        self._event_thread = EventThread(call, timeout_s)
        self._pipeline = pipeline
        self._orders = read_model.orders
        self._client_order_ids = client_order_ids if client_order_ids is not None else {}
        self._by_client_order_id: dict[str, OrderIntent] = {}
        self._unknown: dict[str, OrderIntent] = {}
        self._first_states: dict[str, asyncio.Future[Order]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        pipeline.subscribe(self._on_events)

    @property
    def unknown(self) -> list[OrderIntent]:
        """Orders that were handed over and of which nobody has said what became of them."""
        return list(self._unknown.values())

    def restore(self, intents: Iterable[OrderIntent]) -> None:
        """Take up what the journal has, oldest first; a later state of an intent replaces an earlier one."""
        for intent in intents:
            self._remember(intent)

    async def resolve_at_start(self, intents: Iterable[OrderIntent]) -> list[OrderIntent]:
        """Restore ``intents``, mark those that a crash left without an outcome UNKNOWN, and return these."""
        latest = {intent.intent_id: intent for intent in intents}
        self.restore(latest.values())
        lost = [intent for intent in latest.values() if intent.outcome is None]
        for intent in lost:
            logger.warning("The service ended while order intent %s was being sent: outcome unknown", intent.intent_id)
            await self._record(intent, "UNKNOWN", reason="The service ended before the engine had answered.")
        return lost

    async def submit(
        self, spec: OrderSpec, gateway_name: str, client_order_id: str | None = None
    ) -> SubmitResult:
        """Send an order and return what it is called. Goes on to its end even if the caller is cancelled.

        Raises:
            Conflict: ``client_order_id`` was used before; the detail names its order.
            OrderRefused, NotFound: it was not sent.
            Unavailable: it came to nobody; ``client_order_id`` may be used again.
            OutcomeUnknown: it may have been sent. Never repeat it without a look at the order list.
        """
        intent_id = uuid.uuid4().hex
        intent = OrderIntent(
            intent_id=intent_id,
            client_order_id=client_order_id if client_order_id is not None else intent_id,
            gateway_name=gateway_name,
            symbol=spec.symbol,
            exchange=spec.exchange,
            direction=spec.direction,
            offset=spec.offset,
            type=spec.type,
            price=spec.price,
            volume=spec.volume,
            reference=spec.reference,
            created=now_timestamp(),
        )
        if client_order_id is not None:
            self._refuse_second_use(client_order_id)
        self._remember(intent)
        return await asyncio.shield(self._spawn(self._submit(intent, spec)))

    async def cancel(self, vt_orderid: str) -> CancelResult:
        """Ask the gateway to cancel an order; that it is cancelled is told by its next state.

        Raises:
            NotFound: no such order.
            Conflict: it is no longer active.
            OutcomeUnknown: the request may or may not have gone out; repeating it does no harm.
        """
        known = self._orders.get(vt_orderid)
        if known is not None and isinstance(known.data, Order) and not known.data.is_active:
            raise Conflict(f"Order {vt_orderid} is {known.data.status}.", code="order_not_active")
        try:
            await self._event_thread.run(lambda: self._commands.cancel_order(vt_orderid))
        except Unanswered as error:
            raise OutcomeUnknown(f"The cancel of {vt_orderid} was handed over and not answered in time.") from error
        return CancelResult(vt_orderid=vt_orderid, accepted=True)

    async def cancel_all(self, which: OrderFilter) -> list[CancelResult]:
        """Ask for the cancel of every active order that is meant; one that fails holds up no other."""
        meant = msgspec.structs.replace(which, active=True).predicate()
        wanted = [event.data.key for event in self._orders.values() if meant is not None and meant(event.data)]
        return list(await asyncio.gather(*(self._try_cancel(vt_orderid) for vt_orderid in wanted)))

    async def close(self, timeout_s: float = 5.0) -> None:
        """Wait for submissions that are on their way, and give up those that the engine has not answered by then."""
        if self._tasks:
            _, late = await asyncio.wait(set(self._tasks), timeout=timeout_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _try_cancel(self, vt_orderid: str) -> CancelResult:
        try:
            return await self.cancel(vt_orderid)
        except CoreError as error:
            return CancelResult(
                vt_orderid=vt_orderid, accepted=False, code=error.error_code, detail=error.detail
            )

    async def _submit(self, intent: OrderIntent, spec: OrderSpec) -> SubmitResult:
        try:
            await self._pipeline.commit(intent)
        except CoreError:
            self._forget(intent)
            raise
        try:
            vt_orderid = await self._event_thread.run(lambda: self._send(intent, spec))
        except Unanswered as error:
            reason = f"The engine did not answer within {self._event_thread.timeout_s:g} s."
            await self._record(intent, "UNKNOWN", reason=reason)
            self._spawn(self._record_late(intent, error.future))
            raise self._outcome_unknown(intent, reason) from error
        except OutcomeUnknown as error:
            await self._record(intent, "UNKNOWN", reason=error.detail)
            error.extra["intent_id"] = intent.intent_id
            raise
        except CoreError as error:
            await self._record(intent, _refusal(error), reason=error.detail)
            raise
        except Exception as error:  # a gateway may raise anything, and may have sent the order before
            logger.exception("Sending order intent %s failed", intent.intent_id)
            reason = f"Gateway {intent.gateway_name} raised {type(error).__name__}: {error}"
            await self._record(intent, "UNKNOWN", reason=reason)
            raise self._outcome_unknown(intent, reason) from error
        first_state = self._expect(vt_orderid)
        if not await self._record(intent, "SENT", vt_orderid=vt_orderid):
            raise OutcomeUnknown(
                f"Order {vt_orderid} was sent, but the journal cannot record it now. Do not repeat it.",
                code="not_journaled", vt_orderid=vt_orderid, intent_id=intent.intent_id,
            )  # fmt: skip
        return SubmitResult(
            vt_orderid=vt_orderid,
            orderid=vt_orderid.removeprefix(f"{intent.gateway_name}."),
            client_order_id=intent.client_order_id or intent.intent_id,
            intent_id=intent.intent_id,
            order=await self._first_state(vt_orderid, first_state),
        )

    def _send(self, intent: OrderIntent, spec: OrderSpec) -> str:
        """On the event thread: events of the order wait behind this, so its first one already carries the id."""
        vt_orderid = self._commands.send_order(intent.gateway_name, spec)
        if intent.client_order_id is not None:
            self._client_order_ids[vt_orderid] = intent.client_order_id
        return vt_orderid

    async def _record(
        self, intent: OrderIntent, outcome: Outcome, *, vt_orderid: str | None = None, reason: str | None = None
    ) -> bool:
        """Journal what became of ``intent`` and return whether it is on disk already; if not, it will be later."""
        settled = msgspec.structs.replace(intent, outcome=outcome, vt_orderid=vt_orderid, reason=reason)
        self._remember(settled)
        try:
            await self._pipeline.commit(settled)
        except Unavailable:
            self._pipeline.emit(settled)
            return False
        return True

    async def _record_late(self, intent: OrderIntent, future: "asyncio.Future[str]") -> None:
        """Journal the outcome of a command that was answered after its time, whenever that is."""
        await asyncio.wait({future})
        error = None if future.cancelled() else future.exception()
        if error is None and not future.cancelled():
            logger.warning("Order intent %s was sent after all, as %s", intent.intent_id, future.result())
            await self._record(intent, "SENT", vt_orderid=future.result())
        elif isinstance(error, CoreError) and not isinstance(error, OutcomeUnknown):
            await self._record(intent, _refusal(error), reason=error.detail)

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
        known = self._orders.get(vt_orderid)
        if known is not None and isinstance(known.data, Order):
            future.set_result(known.data)
        return future

    async def _first_state(self, vt_orderid: str, future: "asyncio.Future[Order]") -> Order | None:
        await asyncio.wait({future}, timeout=FIRST_STATE_WAIT_S)
        self._first_states.pop(vt_orderid, None)
        known = self._orders.get(vt_orderid)
        return known.data if known is not None and isinstance(known.data, Order) else None

    def _refuse_second_use(self, client_order_id: str) -> None:
        earlier = self._by_client_order_id.get(client_order_id)
        if earlier is None:
            return
        what = {
            None: "is being sent",
            "SENT": f"is order {earlier.vt_orderid}",
            "REFUSED": f"was refused: {earlier.reason}",
        }.get(earlier.outcome, "was handed over, and its outcome is unknown")
        raise Conflict(
            f"client_order_id {client_order_id!r} was used before; the order with it {what}.",
            code="duplicate_client_order_id", vt_orderid=earlier.vt_orderid, intent_id=earlier.intent_id,
        )  # fmt: skip

    def _remember(self, intent: OrderIntent) -> None:
        if intent.outcome == "NOT_SENT":
            self._forget(intent)
        # An id we made up equals its intent's id and comes never again, so it need not be kept.
        elif intent.client_order_id is not None and intent.client_order_id != intent.intent_id:
            self._by_client_order_id[intent.client_order_id] = intent
        if intent.outcome == "UNKNOWN":
            self._unknown[intent.intent_id] = intent
        else:
            self._unknown.pop(intent.intent_id, None)

    def _forget(self, intent: OrderIntent) -> None:
        """Let the ``client_order_id`` be used again, if no later order has it already."""
        client_order_id = intent.client_order_id or ""
        used = self._by_client_order_id.get(client_order_id)
        if used is not None and used.intent_id == intent.intent_id:
            del self._by_client_order_id[client_order_id]

    def _outcome_unknown(self, intent: OrderIntent, reason: str) -> OutcomeUnknown:
        return OutcomeUnknown(
            f"{reason} The order may have been sent; look at the order list before you repeat it.",
            intent_id=intent.intent_id,
        )

    def _spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(retrieve)
        return task
