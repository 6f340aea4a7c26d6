"""The trading routes: gateways, subscriptions, orders, and what the market and the accounts look like."""

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Body, Path, Query, Request, Response

from vnpy_core.enums import Scope
from vnpy_core.errors import NotFound
from vnpy_core.models import Account, Contract, GatewayStatus, Model, Position, Tick
from vnpy_core.routers import examples
from vnpy_core.routers.answers import (
    AccountPage,
    ContractPage,
    GatewayPage,
    GatewayRow,
    IntentPage,
    OrderPage,
    PositionPage,
    Subscription,
    SubscriptionResult,
    TickPage,
    TradePage,
)
from vnpy_core.routers.gate import identity_of
from vnpy_core.routers.openapi import answer
from vnpy_core.routers.order_requests import CancelQuery
from vnpy_core.routers.orders import OrderPath, add_order_commands, vt_orderid_of
from vnpy_core.routers.pages import encoded, json_response, list_page, past_page
from vnpy_core.routers.requests import (
    NO_QUERY,
    AccountQuery,
    ContractQuery,
    GatewayQuery,
    IntentQuery,
    JsonObject,
    OrderQuery,
    Page,
    PositionQuery,
    SubscriptionBody,
    TickQuery,
    TradeQuery,
)
from vnpy_core.routers.service import Service
from vnpy_core.trading.filters import all_of

GatewayPath = Annotated[str, Path(description="Gateway / 接口名", examples=["SIM"])]
Setting = Annotated[
    JsonObject | None,
    Body(description="Settings that go over the configured ones / 覆盖配置的连接参数", examples=[{}]),
]

_PAST = """With `start` or `end`: of any day, oldest first, from SQL and, what that has not yet, from memory: complete
as of now. Rows stand at their `datetime`, or if their gateway gave none at the time of their latest state. 503 if SQL
is down. Without them: the live list, in the order in which they came. It has all that are not final; of the final ones
(trades are) those that the journal keeps, and at most the last 100,000. Older ones are found by `start`.

给出 `start` 或 `end` 时查询任意日期，按时间升序，数据来自数据库并合并内存中尚未入库的部分；数据库不可用时返回 503。
两者都未给出时返回当前列表（按到达顺序）：含全部未完结委托，已完结委托与成交最多保留最近 100,000 条；
更早的请用 `start` 查询。"""


def create_trading_router(service: Service) -> APIRouter:
    """Return the routes under ``/trading``."""
    router = APIRouter(prefix="/trading", tags=["trading"])
    _add_gateways(router, service)
    _add_orders(router, service)
    add_order_commands(router, service)
    _add_intents(router, service)
    _add_lists(router, service)
    return router


def _gateway_row(status: GatewayStatus, last_tick_age_s: float | None) -> GatewayRow:
    shown = None if last_tick_age_s is None else round(last_tick_age_s, 3)
    return GatewayRow(**msgspec.structs.asdict(status), last_tick_age_s=shown)


def _add_gateways(router: APIRouter, service: Service) -> None:
    @router.get(
        "/gateways",
        operation_id="list_gateways",
        summary="List the gateways and their states / 查询接口及其状态",
        responses=answer(
            GatewayPage(gateways=[_gateway_row(examples.GATEWAY, 0.4)], next_cursor=None), "The gateways / 接口列表"
        ),
    )
    async def list_gateways(query: Annotated[GatewayQuery, Query()]) -> Response:
        events, next_cursor = service.read_model.gateways.page(None, query.cursor, query.limit)
        rows = [
            _gateway_row(event.data, service.life.feeds.age_s(event.data.gateway_name))
            for event in events
            if isinstance(event.data, GatewayStatus)
        ]
        return encoded(GatewayPage(gateways=rows, next_cursor=next_cursor))

    @router.post(
        "/gateways/{name}/connect",
        operation_id="connect_gateway",
        summary="Begin to connect a gateway / 连接接口",
        description=(
            "Answers at once; that it is connected is told by its state. The body may carry settings that go over "
            "the configured ones, which takes the scope admin; once they have led to a connection they are kept, "
            "encrypted, also for the next start (`/trading/gateway-settings`). "
            "立即返回，连接结果见接口状态；请求体可覆盖配置的连接参数（需 admin 权限），"
            "连接成功后加密保存，重启后仍有效。"
        ),
        responses=answer(examples.GATEWAY, "Its state now / 当前状态", 404, 409, 503, 504),
        dependencies=NO_QUERY,
    )
    async def connect_gateway(request: Request, name: GatewayPath, setting: Setting = None) -> Response:
        if setting:
            identity_of(request.scope).require(Scope.ADMIN)
        return encoded(await service.gateways.connect(name, setting))

    @router.post(
        "/gateways/{name}/disconnect",
        operation_id="disconnect_gateway",
        summary="Disconnect a gateway / 断开接口",
        responses=answer(examples.GATEWAY, "Its state now / 当前状态", 404, 409, 503, 504),
        dependencies=NO_QUERY,
    )
    async def disconnect_gateway(name: GatewayPath) -> Response:
        return encoded(await service.gateways.disconnect(name))

    @router.post(
        "/subscriptions",
        operation_id="subscribe",
        summary="Ask for the ticks of symbols / 订阅行情",
        responses=answer(examples.SUBSCRIBED, "What was asked of whom / 已订阅", 404, 503, 504),
        dependencies=NO_QUERY,
    )
    async def subscribe(body: SubscriptionBody) -> Response:
        return _subscriptions(await service.gateways.subscribe(body.vt_symbols, body.gateway_name))

    @router.delete(
        "/subscriptions",
        operation_id="unsubscribe",
        summary="Ask for the ticks of symbols no longer / 取消订阅",
        description=("A gateway that cannot be told goes on sending them. 不支持退订的接口会继续推送。"),
        responses=answer(examples.SUBSCRIBED, "What was told to whom / 已退订", 404, 503, 504),
        dependencies=NO_QUERY,
    )
    async def unsubscribe(body: SubscriptionBody) -> Response:
        return _subscriptions(await service.gateways.unsubscribe(body.vt_symbols, body.gateway_name))


def _subscriptions(contracts: list[Contract]) -> Response:
    return encoded(
        SubscriptionResult(
            subscriptions=[Subscription(vt_symbol=c.vt_symbol, gateway_name=c.gateway_name) for c in contracts]
        )
    )


def _add_orders(router: APIRouter, service: Service) -> None:
    @router.get(
        "/orders",
        operation_id="list_orders",
        summary="List orders / 查询委托",
        description=_PAST,
        responses=answer(OrderPage(orders=[examples.ORDER], next_cursor=None), "The orders / 委托列表", 503),
    )
    async def list_orders(request: Request, query: Annotated[OrderQuery, Query()]) -> Response:
        which, table = query.which(), service.read_model.orders
        predicate = which.predicate()
        is_past = query.is_of_the_past
        if query.client_order_id is not None and predicate is not None:
            is_past = is_past or not any(predicate(event.data) for event in table.values())
        if is_past:
            return past_page("orders", await service.past.orders(which, *query.span, query.cursor, query.limit))
        return list_page(request.scope, "orders", table, predicate, query.cursor, query.limit)

    @router.get(
        "/orders/{order_id}",
        operation_id="get_order",
        summary="Get one order / 查询单笔委托",
        description="Of any day: one that memory has no longer is read from SQL. 不限日期，较早的委托从数据库读取。",
        responses=answer(examples.ORDER, "Its latest state / 最新状态", 404, 503),
    )
    async def get_order(order_id: OrderPath, query: Annotated[CancelQuery, Query()]) -> Response:
        vt_orderid = vt_orderid_of(order_id, query.gateway_name)
        event = service.read_model.orders.get(vt_orderid)
        payload = await service.past.order(vt_orderid) if event is None else event.payload
        if payload is None:
            raise NotFound(f"There is no order {vt_orderid!r}.")
        return json_response(payload)


def _add_intents(router: APIRouter, service: Service) -> None:
    @router.get(
        "/intents",
        operation_id="list_intents",
        summary="List orders whose fate is unknown / 查询结果未知的委托",
        description=(
            "What was asked, when, and why it is not known whether it went out, oldest first. Such an order is never "
            "sent again by itself, and its client_order_id stays used: look for it in the list of orders or at the "
            "broker. 列出是否发出尚不确定的委托请求及原因；不会自动重发，请在委托列表或柜台核对。"
        ),
        responses=answer(IntentPage(intents=[examples.INTENT], next_cursor=None), "The orders / 委托请求"),
    )
    async def list_intents(query: Annotated[IntentQuery, Query()]) -> Response:
        return encoded(IntentPage(intents=service.orders.unknown, next_cursor=None))


def _add_lists(router: APIRouter, service: Service) -> None:
    @router.get(
        "/trades",
        operation_id="list_trades",
        summary="List trades / 查询成交",
        description=_PAST,
        responses=answer(TradePage(trades=[examples.TRADE], next_cursor=None), "The trades / 成交列表", 503),
    )
    async def list_trades(request: Request, query: Annotated[TradeQuery, Query()]) -> Response:
        which = query.which()
        if query.is_of_the_past:
            return past_page("trades", await service.past.trades(which, *query.span, query.cursor, query.limit))
        table = service.read_model.trades
        return list_page(request.scope, "trades", table, which.predicate(), query.cursor, query.limit)

    @router.get(
        "/positions",
        operation_id="list_positions",
        summary="List positions / 查询持仓",
        responses=answer(PositionPage(positions=[examples.POSITION], next_cursor=None), "The positions / 持仓列表"),
    )
    async def list_positions(request: Request, query: Annotated[PositionQuery, Query()]) -> Response:
        table = service.read_model.positions
        return list_page(request.scope, "positions", table, all_of(_equal(query, Position)), query.cursor, query.limit)

    @router.get(
        "/accounts",
        operation_id="list_accounts",
        summary="List accounts / 查询资金",
        responses=answer(AccountPage(accounts=[examples.ACCOUNT], next_cursor=None), "The accounts / 资金列表"),
    )
    async def list_accounts(request: Request, query: Annotated[AccountQuery, Query()]) -> Response:
        table = service.read_model.accounts
        return list_page(request.scope, "accounts", table, all_of(_equal(query, Account)), query.cursor, query.limit)

    @router.get(
        "/contracts",
        operation_id="list_contracts",
        summary="List contracts / 查询合约",
        responses=answer(ContractPage(contracts=[examples.CONTRACT], next_cursor=None), "The contracts / 合约列表"),
    )
    async def list_contracts(request: Request, query: Annotated[ContractQuery, Query()]) -> Response:
        checks = _equal(query, Contract, but="symbol")
        if (prefix := query.symbol) is not None:
            checks.append(lambda contract: contract.symbol.startswith(prefix))
        table = service.read_model.contracts
        return list_page(request.scope, "contracts", table, all_of(checks), query.cursor, query.limit)

    @router.get(
        "/ticks",
        operation_id="list_latest_ticks",
        summary="List the latest tick of each symbol / 查询最新行情",
        responses=answer(TickPage(ticks=[examples.TICK], next_cursor=None), "The latest ticks / 最新行情"),
    )
    async def list_latest_ticks(request: Request, query: Annotated[TickQuery, Query()]) -> Response:
        checks = _equal(query, Tick, but="vt_symbol")
        if query.vt_symbol is not None:
            wanted = frozenset(query.vt_symbol)
            checks.append(lambda tick: tick.vt_symbol in wanted)
        table = service.read_model.ticks
        return list_page(request.scope, "ticks", table, all_of(checks), query.cursor, query.limit)


Check = Callable[[Any], bool]


def _equal(query: Page, kind: type[Model], *, but: str = "") -> list[Check]:
    """Return what tells whether a model has the values that ``query`` gives for fields of the same name."""
    return [
        lambda model, name=name, value=value: getattr(model, name) == value  # type: ignore[misc]
        for name, value in query
        if value is not None and name != but and name in kind.__struct_fields__
    ]
