"""The risk routes: what is let through, the limits, vn.py's rules, and the kill switch."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from vnpy_core.errors import NotFound
from vnpy_core.routers import risk_examples as examples
from vnpy_core.routers.openapi import answer
from vnpy_core.routers.pages import encoded, json_response, list_page
from vnpy_core.routers.requests import NO_QUERY, Page
from vnpy_core.routers.risk_requests import HaltBody, KillSwitchBody, LimitsBody, ResumeBody, RuleBody, limits_of
from vnpy_core.routers.service import Service

RulePath = Annotated[str, Path(description="Class of the rule / 规则类名", examples=["OrderSizeRule"])]

_HALT_ALL, _RESUME_ALL = HaltBody(), ResumeBody()
_HALT = """Cancels always pass. While REDUCING, orders that can only make a position smaller pass, whoever sends them;
while HALTED, those of clients alone (`halted_reducing` can let strategies' pass). It holds at once, is on disk when
this answers, and stays over a restart until it is resumed.

撤单始终放行。REDUCING 时放行只会减少持仓的委托；HALTED 时仅放行客户端的减仓委托（可由 `halted_reducing` 放宽）。
立即生效，返回时已落盘，重启后保持，直至恢复。"""

_KILL = """Halts all accounts, stops strategies and algos, asks for the cancel of every order again and again until the
exchange says it is gone, closes the positions if `flatten` is true, and answers with what is left open and why. It
takes at most `timeout_s`. Trading stays HALTED.

暂停全部账户，停止策略与算法，反复撤单直至交易所确认；`flatten` 为 true 时平仓；最后返回仍未了结的委托与持仓及原因。
最长用时 `timeout_s`，之后保持 HALTED。"""


def create_risk_router(service: Service) -> APIRouter:
    """Return the routes under ``/risk``."""
    router = APIRouter(prefix="/risk", tags=["risk"])
    _add_state(router, service)
    _add_limits(router, service)
    _add_rules(router, service)
    _add_kill_switch(router, service)
    return router


def _add_state(router: APIRouter, service: Service) -> None:
    @router.get(
        "/state",
        operation_id="get_risk_state",
        summary="What each account may do, and what it has lost today / 查询交易状态与当日亏损",
        responses=answer(examples.OVERVIEW, "The states / 交易状态"),
        dependencies=NO_QUERY,
    )
    async def get_risk_state() -> Response:
        return encoded(service.risk.overview())

    @router.post(
        "/halt",
        operation_id="halt_trading",
        summary="Refuse new orders / 暂停交易",
        description=_HALT,
        responses=answer(examples.HALTED, "It holds / 已生效", 404, 503, 504),
        dependencies=NO_QUERY,
    )
    async def halt_trading(body: HaltBody = _HALT_ALL) -> Response:
        return encoded(await service.risk.halt(body.scope, body.reason, body.state))

    @router.post(
        "/resume",
        operation_id="resume_trading",
        summary="Take orders again / 恢复交易",
        description=(
            "Of this scope alone: an account that is halted itself stays so when all are resumed. Losses are measured "
            "anew. 仅恢复该范围；恢复后亏损重新计量。"
        ),
        responses=answer(examples.RESUMED, "Orders are taken / 已恢复", 404, 503, 504),
        dependencies=NO_QUERY,
    )
    async def resume_trading(body: ResumeBody = _RESUME_ALL) -> Response:
        return encoded(await service.risk.resume(body.scope, body.reason))


def _add_limits(router: APIRouter, service: Service) -> None:
    @router.get(
        "/limits",
        operation_id="get_risk_limits",
        summary="Get the limits / 查询风控限额",
        responses=answer(examples.LIMITS, "All limits; null: none / 全部限额"),
        dependencies=NO_QUERY,
    )
    async def get_risk_limits() -> Response:
        return encoded(service.risk.limits())

    @router.put(
        "/limits",
        operation_id="set_risk_limits",
        summary="Replace the limits / 修改风控限额",
        description=(
            "All of them: what is left out is unlimited. In force at once, and from then on instead of the configured "
            "ones. 整体替换，未给出的不限制；立即生效，并取代配置文件中的限额。"
        ),
        responses=answer(examples.LIMITS, "The limits now / 修改后的限额", 503, 504),
        dependencies=NO_QUERY,
    )
    async def set_risk_limits(body: LimitsBody) -> Response:
        return encoded(await service.risk.set_limits(limits_of(body)))


def _add_rules(router: APIRouter, service: Service) -> None:
    @router.get(
        "/rules",
        operation_id="list_risk_rules",
        summary="List the rules of vn.py's RiskManager / 查询风控规则",
        responses=answer(examples.RULES, "The rules, with parameters and counts / 规则、参数与计数"),
    )
    async def list_risk_rules(request: Request, query: Annotated[Page, Query()]) -> Response:
        return list_page(request.scope, "rules", service.read_model.risk_rules, None, None, query.limit)

    @router.get(
        "/rules/{class_name}",
        operation_id="get_risk_rule",
        summary="Get a rule / 查询单个风控规则",
        responses=answer(examples.RULE, "The rule / 规则", 404),
        dependencies=NO_QUERY,
    )
    async def get_risk_rule(class_name: RulePath) -> Response:
        return encoded(service.risk.rule(class_name))

    @router.patch(
        "/rules/{class_name}",
        operation_id="change_risk_rule",
        summary="Change some of a rule's parameters / 修改风控规则参数",
        description="In force at once, and kept; those left out stay as they are. 立即生效并保存，其余参数不变。",
        responses=answer(examples.RULE, "The rule now / 修改后的规则", 404, 503, 504),
        dependencies=NO_QUERY,
    )
    async def change_risk_rule(class_name: RulePath, body: RuleBody) -> Response:
        return encoded(await service.risk.change_rule(class_name, body.parameters))


def _add_kill_switch(router: APIRouter, service: Service) -> None:
    @router.post(
        "/kill-switch",
        operation_id="kill_switch",
        summary="Stop everything / 紧急停止",
        description=_KILL,
        responses=answer(examples.REPORT, "What was done, and what is left / 执行结果", 503, 504),
        dependencies=NO_QUERY,
    )
    async def kill_switch(body: KillSwitchBody) -> Response:
        return encoded(await service.kill_switch.run(**body.model_dump()))

    @router.get(
        "/kill-switch",
        operation_id="get_kill_switch",
        summary="The last report of the kill switch / 最近一次紧急停止的报告",
        responses=answer(examples.REPORT, "The report / 报告", 404),
        dependencies=NO_QUERY,
    )
    async def get_kill_switch() -> Response:
        known = service.read_model.kill_switch.get("kill_switch")
        if known is None:
            raise NotFound("The kill switch was never used.", code="no_report")
        return json_response(known.payload)
