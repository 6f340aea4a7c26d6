"""The trading routes: gateways, subscriptions, orders, and what the market and the accounts look like."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Body, Path, Query, Request, Response

from vnpy_core.errors import Invalid, NotFound
from vnpy_core.models import Account, Contract, Model, Position, Tick
from vnpy_core.routers import examples
from vnpy_core.routers.answers import (
    AccountPage,
    CancelAllResult,
    ContractPage,
    GatewayPage,
    IntentPage,
    OrderPage,
    PositionPage,
    Subscription,
    SubscriptionResult,
    TickPage,
    TradePage,
)
from vnpy_core.routers.openapi import answer
from vnpy_core.routers.pages import encoded, json_response, list_page, past_page
from vnpy_core.routers.requests import (
    NO_QUERY,
    AccountQuery,
    CancelAllBody,
    CancelQuery,
    ContractQuery,
    GatewayQuery,
    IntentQuery,
    JsonObject,
    OrderBody,
    OrderQuery,
    Page,
    PositionQuery,
    SubscriptionBody,
    TickQuery,
    TradeQuery,
)
from vnpy_core.routers.service import Service, State
from vnpy_core.trading.filters import all_of

GatewayPath = Annotated[str, Path(description="Gateway / 接口名", examples=["SIM"])]
OrderPath = Annotated[
    str, Path(description="vt_orderid, or the plain orderid with gateway_name / 委托号", examples=["SIM.26010500001"])
]
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
    _add_intents(router, service)
    _add_lists(router, service)
    return router


def _add_gateways(router: APIRouter, service: Service) -> None:
    @router.get(
        "/gateways",
        operation_id="list_gateways",
        summary="List the gateways and their states / 查询接口及其状态",
        responses=answer(GatewayPage(gateways=[examples.GATEWAY], next_cursor=None), "The gateways / 接口列表"),
    )
    async def list_gateways(request: Request, query: Annotated[GatewayQuery, Query()]) -> Response:
        return list_page(request.scope, "gateways", service.read_model.gateways, None, query.cursor, query.limit)

    @router.post(
        "/gateways/{name}/connect",
        operation_id="connect_gateway",
        summary="Begin to connect a gateway / 连接接口",
        description=(
            "Answers at once; that it is connected is told by its state. The body may carry settings that go over "
            "the configured ones. 立即返回，连接结果见接口状态；请求体可覆盖配置的连接参数。"
        ),
        responses=answer(examples.GATEWAY, "Its state now / 当前状态", 404, 409, 503, 504),
        dependencies=NO_QUERY,
    )
    async def connect_gateway(name: GatewayPath, setting: Setting = None) -> Response:
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

    @router.post(
        "/orders",
        status_code=201,
        operation_id="send_order",
        summary="Send an order / 发送委托",
        description=(
            "The intent is on disk before the order goes out. 409: it was refused, the detail says why. 503: it was "
            "not sent, and its `client_order_id` may be used again. **504: it may have been sent; look at the list "
            "before you repeat it.** Give a `client_order_id` to be safe from sending twice. "
            "委托意图先落盘再发出。409 为拒绝；503 为未发出，client_order_id 可再用；"
            "504 为结果未知，重发前请先查询委托。"
        ),
        responses=answer(examples.SUBMITTED, "It was sent / 已发出", 404, 409, 503, 504, status=201),
        dependencies=NO_QUERY,
    )
    async def send_order(body: OrderBody) -> Response:
        spec = body.spec()
        gateway_name = body.gateway_name or only_gateway(service.read_model, spec.vt_symbol)
        return encoded(await service.orders.submit(spec, gateway_name, body.client_order_id), 201)

    @router.post(
        "/orders/cancel-all",
        operation_id="cancel_all_orders",
        summary="Cancel all active orders, or those that are meant / 批量撤单",
        description=(
            "Without a body every active order is cancelled. One that fails holds up no other. "
            "无请求体则撤销全部活动委托；单笔失败不影响其他。"
        ),
        responses=answer(examples.CANCELLED_ALL, "One result for each order / 每笔委托的结果", 503, 504),
        dependencies=NO_QUERY,
    )
    async def cancel_all_orders(body: CancelAllBody | None = None) -> Response:
        results = await service.orders.cancel_all((body or CancelAllBody()).which())
        accepted = sum(result.accepted for result in results)
        return encoded(CancelAllResult(results=results, accepted=accepted, refused=len(results) - accepted))

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

    @router.delete(
        "/orders/{order_id}",
        operation_id="cancel_order",
        summary="Cancel an order / 撤单",
        description=(
            "Hands the cancel to the gateway; that the order is cancelled is told by its next state. "
            "将撤单请求交给接口，撤单结果见委托状态。"
        ),
        responses=answer(examples.CANCELLED, "The cancel was handed over / 已提交撤单", 404, 409, 503, 504),
    )
    async def cancel_order(order_id: OrderPath, query: Annotated[CancelQuery, Query()]) -> Response:
        return encoded(await service.orders.cancel(vt_orderid_of(order_id, query.gateway_name)))


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


def vt_orderid_of(order_id: str, gateway_name: str | None) -> str:
    """Return ``order_id``, with the gateway's name before it if that is missing."""
    if gateway_name is None or order_id.startswith(f"{gateway_name}."):
        return order_id
    return f"{gateway_name}.{order_id}"


def only_gateway(state: State, vt_symbol: str) -> str:
    """Return the gateway that has the contract.

    Raises:
        NotFound: none has. Invalid: several have.
    """
    names = [event.data.key for event in state.gateways.values()]
    having = [name for name in names if state.contracts.get(f"{name}.{vt_symbol}") is not None]
    if not having:
        raise NotFound(f"No gateway has told of a contract {vt_symbol!r}.", code="unknown_contract")
    if len(having) > 1:
        message = f"{vt_symbol} is traded through {', '.join(having)}: say which"
        raise Invalid(f"gateway_name: {message}", errors=[{"field": "gateway_name", "message": message}])
    return having[0]


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
