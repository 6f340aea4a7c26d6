"""Trading: gateways, subscriptions, orders, and what the accounts and the market look like.

A send is never repeated by the client. It goes out under a ``client_order_id`` and an ``Idempotency-Key``; if the
connection breaks off, the service is asked what became of the order of that id.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any

import msgspec

from vnpy_core.client.connection import segment
from vnpy_core.client.errors import BrokenOff, ClientError, OutcomeUnknown
from vnpy_core.client.mode import Mode, Resource, listing, operation
from vnpy_core.enums import Direction, Exchange, Offset, OrderStatus, OrderType, Product
from vnpy_core.models import Account, Contract, GatewayStatus, Order, OrderIntent, Position, Tick, Trade
from vnpy_core.routers.answers import (
    AccountPage,
    BatchResult,
    CancelAllResult,
    ContractPage,
    GatewayPage,
    GatewayRow,
    GivenSettingPage,
    IntentPage,
    OrderPage,
    PositionPage,
    SettingForgotten,
    Subscription,
    SubscriptionResult,
    TickPage,
    TradePage,
)
from vnpy_core.trading.calendar_day import CalendarDay
from vnpy_core.trading.results import CancelResult, GivenSetting, Preview, SubmitResult

# How long the service is asked for an order whose answer was lost, before its outcome is said to be unknown.
OUTCOME_WAIT_S = 10.0
_ASK_EVERY_S = 0.25


class NewOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order to be sent. Without a ``client_order_id`` one is made up."""

    symbol: str
    exchange: Exchange
    direction: Direction
    volume: float
    price: float = 0.0
    type: OrderType = OrderType.LIMIT
    offset: Offset = Offset.NONE
    gateway_name: str | None = None
    reference: str = ""
    client_order_id: str | None = None


class Trading(Resource[Mode]):
    """``/trading``."""

    @operation
    async def send_order(
        self,
        symbol: str,
        exchange: Exchange,
        direction: Direction,
        volume: float,
        price: float = 0.0,
        *,
        type: OrderType = OrderType.LIMIT,
        offset: Offset = Offset.NONE,
        gateway_name: str | None = None,
        reference: str = "",
        client_order_id: str | None = None,
        idempotency_key: str | None = None,
        outcome_wait_s: float = OUTCOME_WAIT_S,
    ) -> SubmitResult:
        """Send an order, once. Whatever is left out of the two ids is made up.

        Raises:
            Conflict: it was refused; ``code`` says by what.
            Unreachable, Unavailable: it was not sent.
            OutcomeUnknown: it may have been sent; ``extra["client_order_id"]`` is its id.
        """
        client_order_id = client_order_id or uuid.uuid4().hex
        order = NewOrder(
            symbol=symbol, exchange=exchange, direction=direction, type=type, volume=volume, price=price,
            offset=offset, gateway_name=gateway_name, reference=reference, client_order_id=client_order_id,
        )  # fmt: skip
        headers = {"Idempotency-Key": idempotency_key or client_order_id}
        try:
            return await self._connection.call("POST", "/trading/orders", SubmitResult, body=order, headers=headers)
        except BrokenOff as error:
            return await self._outcome(client_order_id, outcome_wait_s, error)
        except OutcomeUnknown as error:
            error.extra["client_order_id"] = client_order_id
            raise

    @operation
    async def send_orders(self, orders: Sequence[NewOrder], *, idempotency_key: str | None = None) -> BatchResult:
        """Send several orders, once, one after the other; the answer has what became of each.

        Raises:
            Unreachable, Unavailable: none was sent.
            OutcomeUnknown: any may have been sent; ``extra["client_order_ids"]`` are their ids.
        """
        named = [
            order if order.client_order_id else msgspec.structs.replace(order, client_order_id=uuid.uuid4().hex)
            for order in orders
        ]
        headers = {"Idempotency-Key": idempotency_key or uuid.uuid4().hex}
        path, body = "/trading/orders/batch", {"orders": named}
        try:
            return await self._connection.call("POST", path, BatchResult, body=body, headers=headers)
        except OutcomeUnknown as error:
            error.extra["client_order_ids"] = [order.client_order_id for order in named]
            raise

    @operation
    async def preview_order(self, order: NewOrder) -> Preview:
        """Have the service ask all that comes before vn.py's own risk rules, and send and count nothing."""
        path = "/trading/orders"
        return await self._connection.call("POST", path, Preview, body=order, params={"dry_run": True})

    @operation
    async def cancel_orders(self, vt_orderids: Sequence[str]) -> CancelAllResult:
        """Hand over a cancel for each; one that fails holds up no other."""
        body = {"order_ids": list(vt_orderids)}
        return await self._connection.call("POST", "/trading/orders/cancel-batch", CancelAllResult, body=body)

    @operation
    async def cancel_order(self, vt_orderid: str) -> CancelResult:
        """Hand a cancel to the gateway; what came of it is told by the order's next state."""
        return await self._connection.call("DELETE", f"/trading/orders/{segment(vt_orderid)}", CancelResult)

    @operation
    async def cancel_all_orders(
        self,
        *,
        vt_symbol: str | None = None,
        symbol: str | None = None,
        exchange: Exchange | None = None,
        gateway_name: str | None = None,
        direction: Direction | None = None,
        reference: str | None = None,
        strategy: str | None = None,
    ) -> CancelAllResult:
        """Hand over a cancel for every active order that is meant; with nothing given: for every one."""
        given = {
            "vt_symbol": vt_symbol, "symbol": symbol, "exchange": exchange, "gateway_name": gateway_name,
            "direction": direction, "reference": reference, "strategy": strategy,
        }  # fmt: skip
        body = {name: value for name, value in given.items() if value is not None}
        return await self._connection.call("POST", "/trading/orders/cancel-all", CancelAllResult, body=body)

    @operation
    async def order(self, vt_orderid: str) -> Order:
        return await self._connection.get(f"/trading/orders/{segment(vt_orderid)}", Order)

    @listing
    def orders(
        self,
        *,
        vt_symbol: str | None = None,
        symbol: str | None = None,
        exchange: Exchange | None = None,
        gateway_name: str | None = None,
        status: OrderStatus | None = None,
        active: bool | None = None,
        direction: Direction | None = None,
        reference: str | None = None,
        strategy: str | None = None,
        client_order_id: str | None = None,
        since: datetime | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> AsyncIterator[list[Order]]:
        """Iterate over orders; ``start`` and ``end`` look into past days."""
        return self._connection.pages(
            "/trading/orders", OrderPage, lambda page: page.orders,
            vt_symbol=vt_symbol, symbol=symbol, exchange=exchange, gateway_name=gateway_name, status=status,
            active=active, direction=direction, reference=reference, strategy=strategy,
            client_order_id=client_order_id, since=since, start=start, end=end,
        )  # fmt: skip

    @listing
    def trades(
        self,
        *,
        vt_symbol: str | None = None,
        symbol: str | None = None,
        exchange: Exchange | None = None,
        gateway_name: str | None = None,
        direction: Direction | None = None,
        vt_orderid: str | None = None,
        since: datetime | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> AsyncIterator[list[Trade]]:
        """Iterate over trades; ``start`` and ``end`` look into past days."""
        return self._connection.pages(
            "/trading/trades", TradePage, lambda page: page.trades,
            vt_symbol=vt_symbol, symbol=symbol, exchange=exchange, gateway_name=gateway_name, direction=direction,
            vt_orderid=vt_orderid, since=since, start=start, end=end,
        )  # fmt: skip

    @operation
    async def unknown_intents(self) -> list[OrderIntent]:
        """Return the orders of which nobody knows whether they were sent."""
        return (await self._connection.get("/trading/intents", IntentPage)).intents

    @listing
    def positions(
        self,
        *,
        vt_symbol: str | None = None,
        symbol: str | None = None,
        exchange: Exchange | None = None,
        gateway_name: str | None = None,
        direction: Direction | None = None,
    ) -> AsyncIterator[list[Position]]:
        return self._connection.pages(
            "/trading/positions", PositionPage, lambda page: page.positions,
            vt_symbol=vt_symbol, symbol=symbol, exchange=exchange, gateway_name=gateway_name, direction=direction,
        )  # fmt: skip

    @listing
    def accounts(self, *, gateway_name: str | None = None) -> AsyncIterator[list[Account]]:
        return self._connection.pages(
            "/trading/accounts", AccountPage, lambda page: page.accounts, gateway_name=gateway_name
        )

    @listing
    def contracts(
        self,
        *,
        vt_symbol: str | None = None,
        symbol: str | None = None,
        exchange: Exchange | None = None,
        gateway_name: str | None = None,
        product: Product | None = None,
    ) -> AsyncIterator[list[Contract]]:
        """Iterate over contracts; ``symbol`` is what it begins with."""
        return self._connection.pages(
            "/trading/contracts", ContractPage, lambda page: page.contracts,
            vt_symbol=vt_symbol, symbol=symbol, exchange=exchange, gateway_name=gateway_name, product=product,
        )  # fmt: skip

    @listing
    def ticks(
        self,
        *,
        vt_symbols: Sequence[str] = (),
        exchange: Exchange | None = None,
        gateway_name: str | None = None,
    ) -> AsyncIterator[list[Tick]]:
        """Iterate over the latest tick of each symbol."""
        return self._connection.pages(
            "/trading/ticks", TickPage, lambda page: page.ticks,
            vt_symbol=list(vt_symbols), exchange=exchange, gateway_name=gateway_name,
        )  # fmt: skip

    @listing
    def gateways(self) -> AsyncIterator[list[GatewayRow]]:
        return self._connection.pages("/trading/gateways", GatewayPage, lambda page: page.gateways)

    @operation
    async def calendar_day(self, vt_symbol: str, day: date | None = None) -> CalendarDay:
        """Return the sessions that count for a day, by default the present trading day, and what is open now."""
        named = None if day is None else day.isoformat()
        return await self._connection.get("/trading/calendar", CalendarDay, vt_symbol=vt_symbol, date=named)

    @operation
    async def connect_gateway(self, name: str, setting: Mapping[str, Any] | None = None) -> GatewayStatus:
        """Begin to connect a gateway; that it is connected is told by its state."""
        path = f"/trading/gateways/{segment(name)}/connect"
        return await self._connection.call("POST", path, GatewayStatus, body=setting)

    @operation
    async def gateway_settings(self) -> list[GivenSetting]:
        """Return the names of what was given over the API to connect gateways by, and goes over their configuration."""
        page = await self._connection.get("/trading/gateway-settings", GivenSettingPage)
        return page.gateway_settings

    @operation
    async def forget_gateway_setting(self, name: str) -> None:
        """Have a gateway connected as it is configured, from the next time on."""
        await self._connection.call("DELETE", f"/trading/gateway-settings/{segment(name)}", SettingForgotten)

    @operation
    async def disconnect_gateway(self, name: str) -> GatewayStatus:
        return await self._connection.call("POST", f"/trading/gateways/{segment(name)}/disconnect", GatewayStatus)

    @operation
    async def subscribe(self, vt_symbols: Sequence[str], gateway_name: str | None = None) -> list[Subscription]:
        """Ask the gateways for the ticks of symbols."""
        return await self._subscriptions("POST", vt_symbols, gateway_name)

    @operation
    async def unsubscribe(self, vt_symbols: Sequence[str], gateway_name: str | None = None) -> list[Subscription]:
        return await self._subscriptions("DELETE", vt_symbols, gateway_name)

    async def _subscriptions(
        self, method: str, vt_symbols: Sequence[str], gateway_name: str | None
    ) -> list[Subscription]:
        body = {"vt_symbols": list(vt_symbols), "gateway_name": gateway_name}
        path = "/trading/subscriptions"
        return (await self._connection.call(method, path, SubscriptionResult, body=body)).subscriptions

    async def _outcome(self, client_order_id: str, wait_s: float, lost: BrokenOff) -> SubmitResult:
        """Ask what became of an order whose answer was lost, until it is known or the time is over."""
        detail = f"{lost.detail} The service was asked for {wait_s:g} s, and knows no order of that client_order_id."
        ends = asyncio.get_running_loop().time() + wait_s
        while True:
            try:
                page = await self._connection.get("/trading/orders", OrderPage, client_order_id=client_order_id)
                for order in page.orders:
                    return SubmitResult(
                        vt_orderid=order.vt_orderid, orderid=order.orderid, client_order_id=client_order_id,
                        intent_id="", order=order,
                    )  # fmt: skip
                intents = await self._connection.get("/trading/intents", IntentPage)
                unknown = next((i for i in intents.intents if i.client_order_id == client_order_id), None)
                if unknown is not None:
                    detail = unknown.reason or "The service does not know it either."
                    break
            except ClientError as error:
                detail = f"{lost.detail} Nor could the service be asked: {error}"
            if asyncio.get_running_loop().time() > ends:
                break
            await asyncio.sleep(_ASK_EVERY_S)
        extra = {"client_order_id": client_order_id}
        raise OutcomeUnknown(detail, code="outcome_unknown", extra=extra) from lost
