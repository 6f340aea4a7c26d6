"""OrderService: sends and cancels orders; whatever happens, none is sent twice and none is forgotten."""

import logging
from collections.abc import Iterable, MutableMapping, Sequence
from typing import Literal, Protocol

import msgspec

from vnpy_core.errors import Conflict, CoreError, NotFound, OutcomeUnknown, Unavailable
from vnpy_core.events import Event
from vnpy_core.models import KeyUse, Order, OrderIntent, OrderSpec, now_timestamp
from vnpy_core.trading.checks import PreTradeChecks
from vnpy_core.trading.event_thread import Call, EventThread, Series, Unanswered
from vnpy_core.trading.filters import OrderFilter
from vnpy_core.trading.intents import IntentBook, new_intent_id
from vnpy_core.trading.order_journeys import OrderJourneys
from vnpy_core.trading.results import CancelResult, Preview, SubmitResult
from vnpy_core.trading.submission import Commits, Sending, Submission, settled

logger = logging.getLogger(__name__)


class Commands(Sending, Protocol):
    """What runs on the event thread."""

    def try_order(self, gateway_name: str, spec: OrderSpec) -> None: ...
    def cancel_order(self, vt_orderid: str) -> None: ...


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """One order of a batch."""

    spec: OrderSpec
    gateway_name: str
    client_order_id: str


class OrderTable(Protocol):
    def get(self, key: str) -> Event | None: ...
    def values(self) -> Iterable[Event]: ...


class OrderStates(Protocol):
    """The read model, as far as orders need it."""

    @property
    def orders(self) -> OrderTable: ...




def _may_be(intent: OrderIntent, order: Order) -> bool:
    asked = (intent.gateway_name, intent.symbol, intent.exchange, intent.direction, intent.type, intent.volume)
    return asked == (order.gateway_name, order.symbol, order.exchange, order.direction, order.type, order.volume)


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
        replaces: MutableMapping[str, str] | None = None,
        checks: PreTradeChecks | None = None,
    ) -> None:
        self.checks = checks
        self.book = IntentBook()
        self.journeys = OrderJourneys()
        self.amending: dict[str, bool] = {}  # whether somebody else has asked for the cancel meanwhile
        self._commands = commands
        self._event_thread = EventThread(call, timeout_s)
        self._orders = read_model.orders
        self._pipeline = pipeline
        self._not_heard_of: set[str] = set()
        self._submission = Submission(
            commands,
            self._event_thread,
            pipeline,
            read_model.orders,
            self.book,
            client_order_ids if client_order_ids is not None else {},
            replaces if replaces is not None else {},
            self.journeys,
        )
        pipeline.subscribe(self.journeys.on_events)

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
        for intent in latest.values():
            if intent.vt_orderid is not None and self._orders.get(intent.vt_orderid) is None:
                self._not_heard_of.add(intent.vt_orderid)
        lost = [intent for intent in latest.values() if intent.outcome is None]
        for intent in lost:
            logger.warning("The service ended while order intent %s was being sent: outcome unknown", intent.intent_id)
            reason = "The service ended before the engine had answered."
            if intent.replaces is not None:
                reason = f"The service ended while it replaced {intent.replaces}, which may be cancelled."
            await self._submission.record([settled(intent, "UNKNOWN", reason=reason)])
        return lost

    def is_on_its_way(self, intent_id: str) -> bool:
        """Tell whether the engine has begun to send it and may still do so."""
        return intent_id in self._submission.unanswered

    def has_sent(self, vt_orderid: str) -> bool:
        """Tell whether a run before this one sent the order, and ended before any state of it was on disk."""
        return vt_orderid in self._not_heard_of

    async def resolve(
        self, intent_id: str, outcome: Literal["SENT", "NOT_SENT"], *, vt_orderid: str | None = None, reason: str
    ) -> OrderIntent:
        """Settle what is UNKNOWN: ``SENT`` as ``vt_orderid``; or ``NOT_SENT``, so that its id may be used again.

        Raises:
            NotFound: no intent of that id is UNKNOWN (``unknown_intent``).
            Conflict: the engine may still send it (``on_its_way``), or the order is another one (``another_order``).
        """
        intent = next((each for each in self.unknown if each.intent_id == intent_id), None)
        if intent is None:
            raise NotFound(f"There is no order intent {intent_id!r} whose outcome is unknown.", code="unknown_intent")
        if self.is_on_its_way(intent_id):
            raise Conflict(f"The engine may still send order intent {intent_id}.", code="on_its_way")
        event = self._orders.get(vt_orderid) if vt_orderid is not None else None
        order = event.data if event is not None and isinstance(event.data, Order) else None
        if order is not None and not _may_be(intent, order):
            raise Conflict(f"Order {vt_orderid} is not what was asked for.", code="another_order")
        result = settled(intent, outcome, vt_orderid=vt_orderid, reason=reason)
        await self._submission.record([result])
        about = {"vt_orderid": vt_orderid} if vt_orderid is not None else None
        logger.warning("Order intent %s: %s %s. %s", intent_id, outcome, vt_orderid or "", reason, extra=about)
        if order is not None:
            self._pipeline.emit(msgspec.structs.replace(order, client_order_id=intent.client_order_id, external=False))
        return result

    async def preview(self, spec: OrderSpec, gateway_name: str, client_order_id: str | None = None) -> Preview:
        """Return what ``submit`` would hand to vn.py's rules, or raise why it would not come to them.

        Leaves no trace, in no count either.

        Raises:
            Conflict, NotFound, OrderRefused, Unavailable: as ``submit``.
        """
        if client_order_id is not None:
            self.book.refuse_second_use(client_order_id)
        order = self.checked(spec, gateway_name)
        self._pipeline.require_writable()
        try:
            await self._event_thread.run(lambda: self._commands.try_order(gateway_name, order))
        except Unanswered:
            raise Unavailable(
                f"The engine did not answer within {self._event_thread.timeout_s:g} s.", code="event_thread_busy"
            ) from None
        return Preview(gateway_name=gateway_name, client_order_id=client_order_id, order=order)

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
        intent = self.intent(spec, gateway_name, client_order_id)
        (result,) = await self._submission.send([intent], self.with_intents(key, [intent]))
        if isinstance(result, CoreError):
            raise result
        return result

    async def submit_batch(
        self, drafts: Sequence[Draft], key: KeyUse | None = None
    ) -> list[SubmitResult | CoreError]:
        """Send orders in their order, and return for each what ``submit`` would return or raise.

        All of them are one call of the event thread and one commit before it and after it. One that fails holds up no
        other.
        """
        answers: list[SubmitResult | CoreError | None] = []
        intents: list[OrderIntent] = []
        for draft in drafts:
            try:
                intent = self.intent(draft.spec, draft.gateway_name, draft.client_order_id)
            except CoreError as error:
                answers.append(error)
                continue
            self.book.put(intent)  # its id is used from here on, also for those that follow
            intents.append(intent)
            answers.append(None)
        results = iter(await self._submission.send(intents, self.with_intents(key, intents)) if intents else [])
        return [next(results) if answer is None else answer for answer in answers]

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
        self._stop_amending([vt_orderid])
        (error,) = await self.hand_over_cancels([vt_orderid])
        if error is not None:
            raise error
        return CancelResult(vt_orderid=vt_orderid, accepted=True)

    async def cancel_batch(self, vt_orderids: Sequence[str]) -> list[CancelResult]:
        """Ask for the cancel of each, in one call of the event thread; one that fails holds up no other."""
        self._stop_amending(vt_orderids)
        return [
            CancelResult(vt_orderid=vt_orderid, accepted=True)
            if error is None
            else CancelResult(vt_orderid=vt_orderid, accepted=False, code=error.error_code, detail=error.detail)
            for vt_orderid, error in zip(vt_orderids, await self.hand_over_cancels(vt_orderids), strict=True)
        ]

    async def cancel_all(self, which: OrderFilter) -> list[CancelResult]:
        """Ask for the cancel of every active order that is meant."""
        meant = msgspec.structs.replace(which, active=True).predicate()
        wanted = [event.data.key for event in self._orders.values() if meant is not None and meant(event.data)]
        return await self.cancel_batch(wanted)

    async def close(self, timeout_s: float = 5.0) -> None:
        """Wait for submissions that are on their way, and give up those that the engine has not answered by then."""
        await self._submission.close(timeout_s)

    def _stop_amending(self, vt_orderids: Sequence[str]) -> None:
        """Have nothing sent in the place of these: who cancels an order wants it gone."""
        for vt_orderid in self.amending.keys() & set(vt_orderids):
            self.amending[vt_orderid] = True

    async def hand_over_cancels(self, vt_orderids: Sequence[str]) -> list[CoreError | None]:
        """Return for each why its cancel was not handed over; ``None``: it was."""
        errors: dict[str, CoreError | None] = {}
        for vt_orderid in vt_orderids:
            known = self._orders.get(vt_orderid)
            if known is not None and isinstance(known.data, Order) and not known.data.is_active:
                errors[vt_orderid] = Conflict(
                    f"Order {vt_orderid} is {known.data.status}.", code="order_not_active", vt_orderid=vt_orderid
                )
        wanted = [vt_orderid for vt_orderid in dict.fromkeys(vt_orderids) if vt_orderid not in errors]
        if wanted:
            errors |= zip(wanted, await self._call_cancels(wanted), strict=True)
        return [errors[vt_orderid] for vt_orderid in vt_orderids]

    async def _call_cancels(self, vt_orderids: Sequence[str]) -> list[CoreError | None]:
        call = Series(self._commands.cancel_order, vt_orderids)
        unsent: CoreError = Unavailable("The engine did not come to it in time; it was withdrawn.")
        try:
            await self._event_thread.run(call)
        except Unanswered:
            pass
        except CoreError as error:
            unsent = error
        begun, ended = call.withdraw(), not call.is_running
        errors: list[CoreError | None] = []
        for number, (vt_orderid, result) in enumerate(zip(vt_orderids, call.results, strict=True)):
            if number >= begun:
                errors.append(unsent)
            elif isinstance(result, CoreError):
                errors.append(result)
            elif isinstance(result, Exception):
                logger.error("The cancel of %s failed", vt_orderid, exc_info=result, extra={"vt_orderid": vt_orderid})
                errors.append(OutcomeUnknown(f"The cancel of {vt_orderid} raised {type(result).__name__}: {result}"))
            elif number == begun - 1 and not ended:
                errors.append(OutcomeUnknown(f"The cancel of {vt_orderid} was handed over and not answered in time."))
            else:
                errors.append(None)
        return errors

    async def send(self, intent: OrderIntent) -> SubmitResult:
        """Send what ``intent`` is of, after its checks; raises as ``submit``."""
        (result,) = await self._submission.send([intent])
        if isinstance(result, CoreError):
            raise result
        return result

    async def record(self, intent: OrderIntent) -> None:
        """Journal what became of ``intent``; if that is not possible now, later."""
        await self._submission.record([intent])

    def checked(self, spec: OrderSpec, gateway_name: str) -> OrderSpec:
        return spec if self.checks is None else self.checks.pass_or_refuse(spec, gateway_name)

    def intent(
        self, spec: OrderSpec, gateway_name: str, client_order_id: str | None, replaces: str | None = None
    ) -> OrderIntent:
        """Return the intent of an order that may be sent, or raise why it may not."""
        try:
            if client_order_id is not None:
                self.book.refuse_second_use(client_order_id)
            spec = self.checked(spec, gateway_name)
        except CoreError as error:
            self.journeys.refused(error.error_code)
            raise
        intent_id = new_intent_id()
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
            replaces=replaces,
        )

    def with_intents(self, key: KeyUse | None, intents: Sequence[OrderIntent]) -> KeyUse | None:
        """Return ``key`` as it is journaled with ``intents``, which are followed for it from now on."""
        if key is None:
            return None
        self.book.follow(key.key, intents)
        return msgspec.structs.replace(key, intent_ids=[intent.intent_id for intent in intents])
