"""The routes that send and cancel orders."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from starlette.types import Scope

from vnpy_core.errors import CoreError, Invalid, NotFound, OrderRefused, OutcomeUnknown, Unavailable
from vnpy_core.models import KeyUse, OrderIntent, OrderSpec
from vnpy_core.routers import examples
from vnpy_core.routers.answers import BatchItem, BatchResult, CancelAllResult, ItemProblem
from vnpy_core.routers.gate import identity_of
from vnpy_core.routers.idempotency import KeyHeader, once
from vnpy_core.routers.openapi import answer
from vnpy_core.routers.order_requests import (
    AmendBody,
    BatchBody,
    CancelAllBody,
    CancelBatchBody,
    CancelQuery,
    DryRunQuery,
    OrderBody,
)
from vnpy_core.routers.pages import encoded
from vnpy_core.routers.requests import NO_QUERY
from vnpy_core.routers.service import Service, State
from vnpy_core.security.throttle import LimitClass
from vnpy_core.trading.orders import Draft
from vnpy_core.trading.results import CancelResult, SubmitResult

OrderPath = Annotated[
    str, Path(description="vt_orderid, or the plain orderid with gateway_name / 委托号", examples=["SIM.26010500001"])
]


def add_order_commands(router: APIRouter, service: Service) -> None:
    _add_sending(router, service)
    _add_amending(router, service)
    _add_batches(router, service)
    _add_cancelling(router, service)


def _add_sending(router: APIRouter, service: Service) -> None:
    @router.post(
        "/orders",
        status_code=201,
        operation_id="send_order",
        summary="Send an order / 发送委托",
        description=(
            "The order is checked against its contract first; the intent is on disk before it goes out. 409: it was "
            "refused, `code` says by what (docs/order-refusals.md). 503: it was not sent, and its `client_order_id` "
            "and `Idempotency-Key` may be used again. **504: it may have been sent; look at the list before you repeat "
            "it,** or repeat it with the same `Idempotency-Key`: then it is never sent twice. With `dry_run=true` "
            "all is asked that is asked before an order goes to vn.py's risk rules: the contract, whether orders are "
            "taken (gateway, reconciliation, journal), the trading state and the account's limits. Nothing is sent, "
            "recorded or counted. vn.py's rules are not asked, because to them each question is an order; they and "
            "the gateway may still refuse it. "
            "先按合约校验，委托意图落盘后再发出。409 为拒绝（code 说明原因）；503 为未发出，client_order_id 与 "
            "Idempotency-Key 可再用；504 为结果未知，可用相同的 Idempotency-Key 重试，绝不会重复发出。"
            "dry_run=true 校验合约、接口与对账状态、日志、交易状态和账户限额，不发送、不记录、不计数；"
            "不询问 vn.py 风控规则（询问即计为一笔委托），该规则与接口仍可能拒绝。"
        ),
        responses=answer(examples.SUBMITTED, "It was sent / 已发出", 404, 409, 503, 504, status=201)
        | answer(examples.PREVIEW, "With dry_run: what would be sent / 试算结果", 404, 409, 503, 504),
    )
    async def send_order(
        request: Request, body: OrderBody, query: Annotated[DryRunQuery, Query()], idempotency_key: KeyHeader = None
    ) -> Response:
        spec = body.spec()
        if query.dry_run:
            gateway_name = body.gateway_name or only_gateway(service.read_model, spec.vt_symbol)
            return encoded(await service.orders.preview(spec, gateway_name, body.client_order_id))
        return await submit(service, request.scope, spec, body.gateway_name, body.client_order_id, idempotency_key)


async def submit(
    service: Service,
    scope: Scope,
    spec: OrderSpec,
    gateway_name: str | None,
    client_order_id: str | None,
    idempotency_key: str | None,
) -> Response:
    """Send an order, or answer as it was answered before."""

    async def send(key: KeyUse | None) -> Response:
        name = gateway_name or only_gateway(service.read_model, spec.vt_symbol)
        return encoded(await service.orders.submit(spec, name, client_order_id, key), 201)

    def sent_again(intents: Sequence[OrderIntent]) -> Response:
        result = service.orders.result_of(intents[0])
        if isinstance(result, CoreError):
            raise result
        return encoded(result, 201)

    if idempotency_key is None:
        return await send(None)
    asked = ("POST /orders", spec, gateway_name, client_order_id)
    return await once(service, scope, idempotency_key, asked, send, sent_again)


def _add_amending(router: APIRouter, service: Service) -> None:
    @router.patch(
        "/orders/{order_id}",
        operation_id="amend_order",
        summary="Amend an order / 改单",
        description=(
            "Checks what it would become, cancels it, waits until the venue has confirmed that, and sends what is left "
            "as a new order with `replaces`; the old one has `replaced_by`. 409 with `filled_meanwhile`: it was filled "
            "first, the detail says how much. 504 with `cancel_not_confirmed`: nothing was sent, and the old order may "
            "still be cancelled. "
            "先撤单，交易所确认后以新价格或数量发送剩余部分；新旧委托以 replaces、replaced_by 关联。"
            "409 filled_meanwhile：期间已成交；504 cancel_not_confirmed：撤单未确认，未发送新委托。"
        ),
        responses=answer(examples.AMENDED, "The new order / 新委托", 404, 409, 503, 504),
    )
    async def amend_order(
        request: Request,
        order_id: OrderPath,
        body: AmendBody,
        query: Annotated[CancelQuery, Query()],
        idempotency_key: KeyHeader = None,
    ) -> Response:
        vt_orderid = vt_orderid_of(order_id, query.gateway_name)

        async def amend(key: KeyUse | None) -> Response:
            return encoded(await service.amendments.amend(vt_orderid, **body.model_dump(), key=key))

        def amended_again(intents: Sequence[OrderIntent]) -> Response:
            result = service.amendments.result_of(intents[0])
            if isinstance(result, CoreError):
                raise result
            return encoded(result)

        asked = ("PATCH /orders", vt_orderid, body.model_dump())
        return await once(service, request.scope, idempotency_key, asked, amend, amended_again)


def _add_batches(router: APIRouter, service: Service) -> None:
    @router.post(
        "/orders/batch",
        operation_id="send_orders",
        summary="Send several orders / 批量委托",
        description=(
            "One after the other, in one go: one that is refused holds up no other. The answer is 200 with the status "
            "of each, which is what it would have been answered alone; 503 only if none was sent and each may be sent "
            "again. It counts as so many orders. "
            "按顺序一次性发送，单笔被拒不影响其他；返回 200，逐笔给出状态；全部未发出时返回 503；按笔数计入限速。"
        ),
        responses=answer(examples.BATCH, "One item for each order / 每笔委托的结果", 409, 503),
        dependencies=NO_QUERY,
    )
    async def send_orders(request: Request, body: BatchBody, idempotency_key: KeyHeader = None) -> Response:
        identity_of(request.scope).count(LimitClass.ORDERS, len(body.orders))
        specs = [order.spec() for order in body.orders]
        ids = [order.client_order_id for order in body.orders]

        async def send(key: KeyUse | None) -> Response:
            found = [_gateway_of(order.gateway_name, spec) for order, spec in zip(body.orders, specs, strict=True)]
            drafts = [
                Draft(spec=spec, gateway_name=name, client_order_id=client_order_id)
                for spec, name, client_order_id in zip(specs, found, ids, strict=True)
                if isinstance(name, str)
            ]
            results = iter(await service.orders.submit_batch(drafts, key))
            return _batch(ids, [next(results) if isinstance(name, str) else name for name in found])

        def sent_again(intents: Sequence[OrderIntent]) -> Response:
            by_id = {intent.client_order_id: service.orders.result_of(intent) for intent in intents}
            refused = OrderRefused("It was refused before anything was sent.")
            return _batch(ids, [by_id.get(client_order_id, refused) for client_order_id in ids])

        asked = ("POST /orders/batch", specs, [order.gateway_name for order in body.orders], ids)
        return await once(service, request.scope, idempotency_key, asked, send, sent_again)

    def _gateway_of(gateway_name: str | None, spec: OrderSpec) -> str | CoreError:
        try:
            return gateway_name or only_gateway(service.read_model, spec.vt_symbol)
        except CoreError as error:
            return error


def _batch(client_order_ids: Sequence[str], results: Sequence[SubmitResult | CoreError]) -> Response:
    """Answer one item for each order; raise what is true of all of them if none was sent and all may be again."""
    first = results[0]
    if isinstance(first, Unavailable) and all(isinstance(result, Unavailable) for result in results):
        raise first
    items = [_item(*one) for one in zip(client_order_ids, results, strict=True)]
    sent = sum(item.result is not None for item in items)
    unknown = sum(item.status == OutcomeUnknown.status for item in items)
    return encoded(BatchResult(results=items, sent=sent, refused=len(items) - sent - unknown, unknown=unknown))


def _item(client_order_id: str, result: SubmitResult | CoreError) -> BatchItem:
    if isinstance(result, SubmitResult):
        return BatchItem(client_order_id=client_order_id, status=201, result=result)
    about = {name: result.extra.get(name) for name in ("vt_orderid", "intent_id")}
    problem = ItemProblem(code=result.error_code, detail=result.detail, **about)
    return BatchItem(client_order_id=client_order_id, status=result.status, problem=problem)


def _add_cancelling(router: APIRouter, service: Service) -> None:
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
        return _cancelled(await service.orders.cancel_all((body or CancelAllBody()).which()))

    @router.post(
        "/orders/cancel-batch",
        operation_id="cancel_orders",
        summary="Cancel several orders / 撤销指定委托",
        description="One that fails holds up no other. 单笔失败不影响其他。",
        responses=answer(examples.CANCELLED_ALL, "One result for each order / 每笔委托的结果"),
        dependencies=NO_QUERY,
    )
    async def cancel_orders(body: CancelBatchBody) -> Response:
        wanted = [vt_orderid_of(order_id, body.gateway_name) for order_id in body.order_ids]
        return _cancelled(await service.orders.cancel_batch(wanted))

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


def _cancelled(results: list[CancelResult]) -> Response:
    accepted = sum(result.accepted for result in results)
    return encoded(CancelAllResult(results=results, accepted=accepted, refused=len(results) - accepted))


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
