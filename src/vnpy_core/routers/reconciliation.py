"""The reconciliation routes: what the venues report beside what is known, and what a person says about it."""

from typing import Annotated, Literal

import msgspec
from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, ConfigDict, Field

from vnpy_core.errors import Conflict
from vnpy_core.models import OrderIntent
from vnpy_core.routers import examples
from vnpy_core.routers.answers import DriftPage, ReconciliationPage
from vnpy_core.routers.openapi import answer
from vnpy_core.routers.pages import encoded
from vnpy_core.routers.requests import NO_QUERY, Text
from vnpy_core.routers.service import Service
from vnpy_core.trading.drift_sides import Drift
from vnpy_core.trading.reconciliation import Difference, Reconciliation, Resolution

GatewayPath = Annotated[str, Path(description="Gateway / 接口名", examples=["SIM"])]
VtSymbolPath = Annotated[str, Path(description="symbol.EXCHANGE / 合约代码.交易所", examples=["rb2501.SHFE"])]
IntentPath = Annotated[str, Path(description="intent_id / 委托意图编号", examples=[examples.INTENT.intent_id])]


class ResolveBody(BaseModel):
    """What became of an order whose sending is in doubt, by whoever has looked at the venue."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        json_schema_extra={"examples": [{"outcome": "SENT", "vt_orderid": "SIM.26010500001"}, {"outcome": "NOT_SENT"}]},
    )

    outcome: Literal["SENT", "NOT_SENT"]
    vt_orderid: Annotated[Text | None, Field(description="With SENT: the order it is / SENT 时对应的委托")] = None
    reason: Annotated[Text, Field(description="For the record / 备注")] = ""


EXAMPLE = Reconciliation(
    gateway_name="SIM",
    state="DIFFERENT",
    holds=True,
    started=examples.GATEWAY.since,
    finished=examples.GATEWAY.since,
    detail="1 differences: order SIM.26010500001 MISSING",
    compared={"intents": 0, "orders": 12, "trades": 9, "positions": 2, "accounts": 1},
    differences=[
        Difference(
            kind="order", key="SIM.26010500001", vt_symbol="rb2501.SHFE", known="NOTTRADED, 0 of 5 traded",
            resolution=Resolution.MISSING, detail="The venue does not report it; what became of it is not known.",
        )
    ],
)  # fmt: skip
DRIFT = Drift(
    gateway_name="SIM", vt_symbol="rb2501.SHFE", state="DRIFTED", strategies=2.0, others=1.0, account=4.0, drift=1.0,
    positions={"demo": 2.0},
)  # fmt: skip
RESOLVED: OrderIntent = msgspec.structs.replace(examples.INTENT, outcome="NOT_SENT", reason="Looked up at the broker")


def create_reconciliation_router(service: Service) -> APIRouter:
    """Return the routes that belong to reconciliation, under ``/trading``."""
    router = APIRouter(prefix="/trading", tags=["trading"])

    @router.get(
        "/reconciliation",
        operation_id="list_reconciliations",
        summary="Compare what the venues report with what is known / 查询对账结果",
        description=(
            "After each connection of a gateway, what it reports is compared with what is known: orders in doubt, "
            "working orders, positions, funds. While `holds` is true its orders are answered by 503 `reconciling`, "
            "those of strategies too; cancels pass. 每次连接后将柜台上报与本地记录对账；`holds` 为 true 时拒绝新委托"
            "（503 `reconciling`），撤单不受限。"
        ),
        responses=answer(ReconciliationPage(reconciliations=[EXAMPLE], next_cursor=None), "By gateway / 各接口结果"),
        dependencies=NO_QUERY,
    )
    async def list_reconciliations() -> Response:
        return encoded(ReconciliationPage(reconciliations=service.life.reconciler.results(), next_cursor=None))

    @router.post(
        "/reconciliation/{gateway}/accept",
        operation_id="accept_reconciliation",
        summary="Take orders in spite of the differences / 接受对账差异",
        description=(
            "An order that the venue does not report stays as it is: nobody has said what became of it. "
            "柜台未上报的委托保持原状态。"
        ),
        responses=answer(
            msgspec.structs.replace(EXAMPLE, state="ACCEPTED", holds=False, detail=None),
            "How it stands now / 当前结果", 404, 409, 503, 504,
        ),
        dependencies=NO_QUERY,
    )  # fmt: skip
    async def accept_reconciliation(gateway: GatewayPath) -> Response:
        return encoded(await service.life.reconciler.accept(gateway))

    @router.get(
        "/drift",
        operation_id="list_drifts",
        summary="Compare the strategies' positions with the accounts' / 查询策略持仓与账户持仓的偏差",
        description=(
            "By gateway and symbol, while connected: the sum of the strategies' `pos`, what is of no strategy (there "
            "at the first comparison, with the trades of others since), and what the account holds. A difference that "
            "lasts raises the alert `drift.<gateway>.<vt_symbol>`. 按接口与合约持续比对策略持仓、非策略持仓与账户持仓，"
            "偏差持续存在时发出告警。"
        ),
        responses=answer(DriftPage(drifts=[DRIFT], next_cursor=None), "By gateway and symbol / 各合约结果"),
        dependencies=NO_QUERY,
    )
    async def list_drifts() -> Response:
        return encoded(DriftPage(drifts=service.life.drift.results(), next_cursor=None))

    @router.post(
        "/drift/{gateway}/{vt_symbol}/accept",
        operation_id="accept_drift",
        summary="Take a drift as it is / 接受持仓偏差",
        description="The difference is of no strategy from now on. No position is changed. 差额此后计入非策略持仓。",
        responses=answer(
            msgspec.structs.replace(DRIFT, state="AGREES", others=2.0, drift=0.0), "How it stands now / 当前结果",
            404, 409, 503,
        ),
        dependencies=NO_QUERY,
    )  # fmt: skip
    async def accept_drift(gateway: GatewayPath, vt_symbol: VtSymbolPath) -> Response:
        return encoded(await service.life.drift.accept(gateway, vt_symbol))

    @router.post(
        "/intents/{intent_id}/resolve",
        operation_id="resolve_intent",
        summary="Say what became of an order in doubt / 人工确认结果未知的委托",
        description=(
            "SENT names the order that it is. NOT_SENT lets its client_order_id be used again: be sure that the venue "
            "does not have it. SENT 需给出对应委托；NOT_SENT 后 client_order_id 可再次使用，请先在柜台核对。"
        ),
        responses=answer(RESOLVED, "The intent now / 当前状态", 404, 409, 503),
        dependencies=NO_QUERY,
    )
    async def resolve_intent(intent_id: IntentPath, body: ResolveBody) -> Response:
        if (body.outcome == "SENT") != (body.vt_orderid is not None):
            raise Conflict("SENT names the vt_orderid that it is, and NOT_SENT none.", code="order_not_named")
        reason = body.reason or "Resolved by hand."
        return encoded(
            await service.orders.resolve(intent_id, body.outcome, vt_orderid=body.vt_orderid, reason=reason)
        )

    return router
