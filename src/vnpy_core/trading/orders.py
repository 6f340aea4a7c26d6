"""OrderService: sends and cancels orders; whatever happens, none is sent twice and none is forgotten."""

import asyncio
import logging
import uuid
from collections.abc import Iterable, MutableMapping, Sequence
from typing import Protocol

import msgspec

from vnpy_core.errors import Conflict, CoreError, OutcomeUnknown
from vnpy_core.events import Event
from vnpy_core.models import KeyUse, Order, OrderIntent, OrderSpec, now_timestamp
from vnpy_core.trading.checks import PreTradeChecks
from vnpy_core.trading.event_thread import Call, EventThread, Unanswered
from vnpy_core.trading.filters import OrderFilter
from vnpy_core.trading.intents import IntentBook
from vnpy_core.trading.results import CancelResult, Preview, SubmitResult
from vnpy_core.trading.submission import Commits, Sending, Submission, settled

logger = logging.getLogger(__name__)


class Commands(Sending, Protocol):
    """What runs on the event thread."""

    def cancel_order(self, vt_orderid: str) -> None: ...


class OrderTable(Protocol):
    def get(self, key: str) -> Event | None: ...
    def values(self) -> Iterable[Event]: ...


class OrderStates(Protocol):
    """The read model, as far as orders need it."""

    @property
    def orders(self) -> OrderTable: ...




class OrderService:
    """The one way by which clients' orders go out. ``client_order_ids`` is the bridge's map, written on its thread.

    ``checks`` are what an order must pass before it leaves a trace; without them the engine alone judges it.
    """

    def __init__(
        self,
        commands: Commands,
        call: Call,
        pipeline: Commits,
        read_model: OrderStates,
        *,
        timeout_s: float = 5.0,
        client_order_ids: MutableMapping[str, str] | None = None,
        checks: PreTradeChecks | None = None,
    ) -> None:
        self.checks = checks
        self.book = IntentBook()
        self._commands = commands
        self._event_thread = EventThread(call, timeout_s)
        self._orders = read_model.orders
        self._submission = Submission(
            commands,
            self._event_thread,
            pipeline,
            read_model.orders,
            self.book,
            client_order_ids if client_order_ids is not None else {},
        )

    @property
    def unknown(self) -> list[OrderIntent]:
        """Orders that were handed over and of which nobody has said what became of them."""
        return self.book.unknown

    def restore(self, intents: Iterable[OrderIntent]) -> None:
        """Take up what the journal has, oldest first; a later state of an intent replaces an earlier one."""
        for intent in intents:
            self.book.put(intent)

    async def resolve_at_start(self, intents: Iterable[OrderIntent]) -> list[OrderIntent]:
        """Restore ``intents``, mark those that a crash left without an outcome UNKNOWN, and return these."""
        latest = {intent.intent_id: intent for intent in intents}
        self.restore(latest.values())
        lost = [intent for intent in latest.values() if intent.outcome is None]
        for intent in lost:
            logger.warning("The service ended while order intent %s was being sent: outcome unknown", intent.intent_id)
            reason = "The service ended before the engine had answered."
            await self._submission.record([settled(intent, "UNKNOWN", reason=reason)])
        return lost

    def preview(self, spec: OrderSpec, gateway_name: str, client_order_id: str | None = None) -> Preview:
        """Return what ``submit`` would send, or raise what it would raise before anything is journaled or sent."""
        if client_order_id is not None:
            self.book.refuse_second_use(client_order_id)
        return Preview(
            gateway_name=gateway_name, client_order_id=client_order_id, order=self._checked(spec, gateway_name)
        )

    async def submit(
        self, spec: OrderSpec, gateway_name: str, client_order_id: str | None = None, key: KeyUse | None = None
    ) -> SubmitResult:
        """Send an order and return what it is called. Goes on to its end even if the caller is cancelled.

        ``key`` is journaled with the intent.

        Raises:
            Conflict: ``client_order_id`` was used before; the detail names its order.
            OrderRefused, NotFound: it was not sent.
            Unavailable: it came to nobody; ``client_order_id`` may be used again.
            OutcomeUnknown: it may have been sent. Never repeat it without a look at the order list.
        """
        intent = self._intent(spec, gateway_name, client_order_id)
        (result,) = await self._submission.send([intent], self._with_intents(key, [intent]))
        if isinstance(result, CoreError):
            raise result
        return result

    def result_of(self, intent: OrderIntent) -> SubmitResult | CoreError:
        """Return what is to be said of an intent now, long after it was answered first, or after a restart."""
        return self._submission.result_of(intent)

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
        await self._submission.close(timeout_s)

    async def _try_cancel(self, vt_orderid: str) -> CancelResult:
        try:
            return await self.cancel(vt_orderid)
        except CoreError as error:
            return CancelResult(
                vt_orderid=vt_orderid, accepted=False, code=error.error_code, detail=error.detail
            )

    def _checked(self, spec: OrderSpec, gateway_name: str) -> OrderSpec:
        return spec if self.checks is None else self.checks.pass_or_refuse(spec, gateway_name)

    def _intent(self, spec: OrderSpec, gateway_name: str, client_order_id: str | None) -> OrderIntent:
        """Return the intent of an order that may be sent, or raise why it may not."""
        if client_order_id is not None:
            self.book.refuse_second_use(client_order_id)
        spec = self._checked(spec, gateway_name)
        intent_id = uuid.uuid4().hex
        return OrderIntent(
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

    def _with_intents(self, key: KeyUse | None, intents: Sequence[OrderIntent]) -> KeyUse | None:
        """Return ``key`` as it is journaled with ``intents``, which are followed for it from now on."""
        if key is None:
            return None
        self.book.follow(key.key, intents)
        return msgspec.structs.replace(key, intent_ids=[intent.intent_id for intent in intents])
