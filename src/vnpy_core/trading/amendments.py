"""Amendments: an order is changed by cancelling it and sending what is left of it anew, as vn.py's gateways must.

The intent of the new order is journaled before the cancel goes out, and the new order is sent only when the venue has
said that the old one is cancelled, and with how much of it traded. So there are never two in the market, and a crash
in between leaves an intent that is listed and sent by nobody.
"""

import asyncio
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, NoReturn, Protocol

from msgspec.structs import replace

from vnpy_core.enums import OrderStatus
from vnpy_core.errors import Conflict, CoreError, NotFound, OutcomeUnknown, Unavailable
from vnpy_core.events import Event
from vnpy_core.models import KeyUse, Model, Order, OrderIntent, OrderSpec
from vnpy_core.trading.event_thread import retrieve
from vnpy_core.trading.orders import OrderService
from vnpy_core.trading.results import AmendResult, SubmitResult
from vnpy_core.trading.submission import Outcome, settled, spec_of


class Pipeline(Protocol):
    """The pipeline, as far as amendments need it."""

    async def commit_all(self, models: Sequence[Model]) -> None: ...
    def emit(self, model: Model) -> None: ...
    def subscribe(self, callback: Callable[[Sequence[Event]], None]) -> None: ...


class StateTable(Protocol):
    def get(self, key: str) -> Event | None: ...


class Amendments:
    """Loop only. ``timeout_s``: for the venue to confirm a cancel."""

    def __init__(self, orders: OrderService, pipeline: Pipeline, states: StateTable, *, timeout_s: float = 5.0) -> None:
        self._orders = orders
        self._pipeline = pipeline
        self._states = states
        self._timeout_s = timeout_s
        self._ends: dict[str, asyncio.Future[Order]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        pipeline.subscribe(self._on_events)

    async def amend(
        self,
        vt_orderid: str,
        *,
        price: float | None = None,
        volume: float | None = None,
        client_order_id: str | None = None,
        key: KeyUse | None = None,
    ) -> AmendResult:
        """Cancel an order and send what is left of it with another price, or of another whole volume.

        ``volume`` counts what was traded before. Goes on to its end even if the caller is cancelled.

        Raises:
            NotFound: no such order.
            Conflict: it is not active, or was filled or cancelled meanwhile; or what is left may not be sent.
            OutcomeUnknown: its cancel was not confirmed in time, and nothing was sent; or the new one may have been.
            Unavailable: nothing was cancelled and nothing sent.
        """
        order = self._state(vt_orderid)
        if order is None:
            raise NotFound(f"no order {vt_orderid}", code="unknown_order")
        if not order.is_active:
            raise Conflict(f"Order {vt_orderid} is {order.status}.", code="order_not_active", vt_orderid=vt_orderid)
        if vt_orderid in self._orders.amending:
            raise Conflict(
                f"Order {vt_orderid} is being amended.", code="amendment_under_way", vt_orderid=vt_orderid
            )
        total = order.volume if volume is None else volume
        spec = OrderSpec(
            symbol=order.symbol, exchange=order.exchange, direction=_direction(order), type=order.type,
            volume=_left(total, order), price=(order.price or 0.0) if price is None else price, offset=order.offset,
            reference=order.reference,
        )  # fmt: skip
        if spec.volume <= 0:
            raise Conflict(
                f"{order.traded:g} of {vt_orderid} are traded already: {total:g} leaves nothing to send.",
                code="filled_meanwhile", vt_orderid=vt_orderid,
            )  # fmt: skip
        intent = self._orders.intent(spec, order.gateway_name, client_order_id, replaces=vt_orderid)
        self._orders.amending[vt_orderid] = False
        self._orders.book.put(intent)
        task = asyncio.create_task(self._run(order, intent, total, self._orders.with_intents(key, [intent])))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(retrieve)
        return await asyncio.shield(task)

    def result_of(self, intent: OrderIntent) -> AmendResult | CoreError:
        """Return what is to be said of an amendment's intent now."""
        result = self._orders.result_of(intent)
        return result if isinstance(result, CoreError) else _amended(result, intent)

    async def close(self) -> None:
        """Give up what is under way; an intent that has no outcome then is found and listed at the next start."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(self, order: Order, intent: OrderIntent, total: float, key: KeyUse | None) -> AmendResult:
        end = self._ends[order.vt_orderid] = asyncio.get_running_loop().create_future()
        try:
            try:
                await self._pipeline.commit_all([intent] if key is None else [key, intent])
            except Unavailable:
                self._orders.book.forget(intent)
                raise
            last = await self._cancelled(order, intent, end)
            return await self._replace(last, intent, total)
        finally:
            self._orders.amending.pop(order.vt_orderid, None)
            self._ends.pop(order.vt_orderid, None)

    async def _cancelled(self, order: Order, intent: OrderIntent, end: "asyncio.Future[Order]") -> Order:
        """Have the order cancelled, and return its last state."""
        known = self._state(order.vt_orderid)
        if known is not None and known.is_final:
            return known
        (error,) = await self._orders.hand_over_cancels([order.vt_orderid])
        if isinstance(error, Unavailable | NotFound):
            await self._give_up(intent, "NOT_SENT", error)
        # What it is if it is no longer active, and what becomes of a cancel that may have gone out, its states tell.
        done, _ = await asyncio.wait({end}, timeout=self._timeout_s)
        if not done:
            await self._give_up(intent, "NOT_SENT", OutcomeUnknown(
                f"The cancel of {order.vt_orderid} was not confirmed within {self._timeout_s:g} s. Nothing was sent in "
                "its place, and it may still be cancelled.",
                code="cancel_not_confirmed", vt_orderid=order.vt_orderid, intent_id=intent.intent_id,
            ))  # fmt: skip
        return end.result()

    async def _replace(self, last: Order, intent: OrderIntent, total: float) -> AmendResult:
        """Send what is left of an order that has come to its end, if it may be."""
        about = {"vt_orderid": last.vt_orderid, "intent_id": intent.intent_id}
        left = _left(total, last)
        if last.status is OrderStatus.ALLTRADED or left <= 0:
            await self._give_up(intent, "REFUSED", Conflict(
                f"Order {last.vt_orderid} is {last.status}, with {last.traded:g} of {last.volume:g} traded; nothing "
                "was sent in its place.", code="filled_meanwhile", **about,
            ))  # fmt: skip
        if last.status is not OrderStatus.CANCELLED or self._orders.amending.get(last.vt_orderid):
            await self._give_up(intent, "REFUSED", Conflict(
                f"Order {last.vt_orderid} was {last.status} by somebody else meanwhile; nothing was sent in its place.",
                code="cancelled_meanwhile", **about,
            ))  # fmt: skip
        gone = f"Order {last.vt_orderid}, which it was to replace, is cancelled."
        try:
            spec = self._orders.checked(replace(spec_of(intent), volume=left), intent.gateway_name)
            intent = replace(intent, price=spec.price, volume=spec.volume)
        except CoreError as error:
            await self._give_up(intent, "REFUSED", _after_the_cancel(error, gone, about))
        try:
            sent = await self._orders.send(intent)
        except Unavailable as error:
            await self._give_up(intent, "NOT_SENT", _after_the_cancel(error, gone, about))
        except Conflict as error:
            error.detail = f"{error.detail} {gone}"
            raise
        self._pipeline.emit(replace(self._state(last.vt_orderid) or last, replaced_by=sent.vt_orderid))
        return _amended(sent, intent)

    async def _give_up(self, intent: OrderIntent, outcome: Outcome, error: CoreError) -> NoReturn:
        """Record that nothing was sent, and raise ``error``."""
        await self._orders.record(settled(intent, outcome, reason=error.detail))
        raise error

    def _on_events(self, events: Sequence[Event]) -> None:
        if self._ends:
            for event in events:
                if isinstance(event.data, Order) and event.data.is_final:
                    end = self._ends.get(event.data.vt_orderid)
                    if end is not None and not end.done():
                        end.set_result(event.data)

    def _state(self, vt_orderid: str) -> Order | None:
        known = self._states.get(vt_orderid)
        return known.data if known is not None and isinstance(known.data, Order) else None


def _after_the_cancel(error: CoreError, gone: str, about: dict[str, Any]) -> Conflict:
    """Return the refusal to tell: not 503, since repeating the request cannot bring the order back."""
    code = "replacement_not_sent" if isinstance(error, Unavailable) else error.error_code
    return Conflict(f"{error.detail} {gone}", code=code, **about)


def _amended(sent: SubmitResult, intent: OrderIntent) -> AmendResult:
    return AmendResult(
        vt_orderid=sent.vt_orderid, orderid=sent.orderid, client_order_id=sent.client_order_id,
        intent_id=sent.intent_id, replaces=intent.replaces or "", order=sent.order,
    )  # fmt: skip


def _direction(order: Order) -> Any:
    if order.direction is None:
        raise Conflict(f"Order {order.vt_orderid} has no side.", code="order_not_active", vt_orderid=order.vt_orderid)
    return order.direction


def _left(total: float, order: Order) -> float:
    """Return what of ``total`` is not traded; exact, as 0.3 - 0.1 is not."""
    return float(Decimal(repr(total)) - Decimal(repr(order.traded)))
