"""The OpenAPI document: the models' own schemas, an example with every answer, and every error a route can give."""

from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from vnpy_core import models, reports, strategy_files
from vnpy_core.bus import messages
from vnpy_core.enums import Scope
from vnpy_core.routers import alert_answers, answers, auth_answers, risk_answers, strategy_answers
from vnpy_core.routers.problems import MEDIA_TYPE, Problem
from vnpy_core.routers.rules import Rule, Rules
from vnpy_core.strategies.chart_reports import Chart, IndicatorPage
from vnpy_core.strategies.performance_reports import DailyPage, EquityPage, Performance
from vnpy_core.strategy_log import LogPage
from vnpy_core.trading.calendar_day import CalendarDay
from vnpy_core.trading.results import AmendResult, Preview, SubmitResult
from vnpy_core.trading.risk_reports import RiskOverview

_REF = "#/components/schemas/{name}"

# Everything that travels; what these are made of comes along.
_SCHEMAS: tuple[type, ...] = (
    answers.OrderPage, answers.TradePage, answers.PositionPage, answers.AccountPage, answers.ContractPage,
    answers.TickPage, answers.GatewayPage, answers.StrategyPage, answers.BarPage, answers.OverviewPage,
    answers.CancelAllResult, answers.SubscriptionResult, answers.Parameters, answers.Variables, answers.Removed,
    strategy_answers.SavedStatePage, strategy_answers.StrategyErrorPage, reports.PositionStanding, reports.StrategyPlan,
    answers.ClassPage, answers.ServicePage, answers.SessionPage, answers.SessionEnded,
    answers.IntentPage, answers.ReconciliationPage, answers.DriftPage, answers.GivenSettingPage,
    answers.SettingForgotten, answers.BatchResult, AmendResult, SubmitResult,
    Preview, Problem,
    CalendarDay, Chart, IndicatorPage, LogPage,
    Performance, DailyPage, EquityPage, models.Download, reports.SystemStatus,
    reports.Readiness, reports.Liveness, models.StopOrder, models.Algo, models.RiskRule, models.RiskRejection,
    models.RiskState, models.RiskLimits, models.RiskDay, models.KillSwitchReport, RiskOverview, risk_answers.RulePage,
    risk_answers.AlgoPage, risk_answers.AlgoTemplatePage, risk_answers.AlgosStopped,
    alert_answers.AlertPage, alert_answers.SilencePage, alert_answers.AlertRulePage, alert_answers.ChannelPage,
    alert_answers.RuleRemoved, reports.ChannelTest,
    models.Log, models.Alert, messages.Subscribe, messages.Unsubscribe, messages.Ping, messages.Ack, messages.Pong,
    messages.Gap, messages.Failure,
    strategy_files.FilePage, strategy_files.VersionPage, strategy_files.FileSource, strategy_files.FileDiff,
    strategy_files.ClassReload,
    auth_answers.Tokens, auth_answers.Me, auth_answers.Ticket, auth_answers.User, auth_answers.UserPage,
    auth_answers.ApiKey, auth_answers.NewApiKey, auth_answers.ApiKeyPage, auth_answers.Session,
    auth_answers.LoginSessionPage, auth_answers.TotpSecret, auth_answers.AuditPage, auth_answers.Done,
)  # fmt: skip

_WHEN = {
    401: "It is not known who asks / 未认证",
    403: "That may not be done by who asks / 无权限",
    404: "There is no such thing / 不存在",
    413: "The body is too large / 请求体过大",
    409: "Refused as things stand / 业务拒绝",
    422: "The request is malformed / 请求格式错误",
    429: "Too many requests: wait for Retry-After / 请求过于频繁",
    500: "Something went wrong in the service / 服务内部错误",
    503: "Something that is needed is down / 依赖不可用",
    504: "Handed over, and the outcome is unknown / 结果未知",
}
_CODES = {
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    409: "conflict",
    413: "body_too_large",
    422: "invalid",
    429: "too_many_requests",
    500: "internal",
    503: "unavailable",
    504: "outcome_unknown",
}

TAGS = [
    {"name": "trading", "description": "Gateways, orders, positions, market data / 接口、委托、持仓、行情"},
    {"name": "strategies", "description": "CTA strategies / CTA 策略"},
    {"name": "risk", "description": "What orders are let through, and the kill switch / 风控与紧急停止"},
    {"name": "algos", "description": "Execution algorithms / 算法交易"},
    {"name": "data", "description": "Stored bars and ticks / 历史数据"},
    {"name": "alerts", "description": "What is wrong, the rules and the channels / 告警、规则与通道"},
    {"name": "charts", "description": "Bars with indicators and marks / 图表、指标与标注"},
    {"name": "system", "description": "How the service is / 服务状态"},
    {"name": "auth", "description": "Logging in, users, API keys, audit log / 登录、用户、API 密钥、审计日志"},
]

DESCRIPTION = """
vn.py (VeighNa) as a service. 把 vn.py（VeighNa）作为服务运行。

* Say who asks: `Authorization: Bearer` and an API key or an access token. `x-required-scopes` of an operation: any one
  of them will do. 请求须携带 `Authorization: Bearer` 与 API 密钥或访问令牌；`x-required-scopes` 为所需权限（任一）。
* Enums travel by name (`LONG`, `OPEN`, `SHFE`); requests may also use vn.py's English or Chinese values.
  枚举以名称传输；请求中也接受 vn.py 的英文或中文取值。
* Times are ISO 8601 with an offset, answers in UTC. A time without an offset is refused.
  时间为带时区偏移的 ISO 8601，返回值为 UTC；缺少时区的时间会被拒绝。
* Lists are wrapped and paged: pass `next_cursor` as `cursor`. 列表分页：将 `next_cursor` 作为 `cursor` 传回。
* An unknown query parameter is refused, because a misspelt filter must not mean "all". 未知的查询参数会被拒绝。
* Errors are RFC 9457 problem documents with `code` and `request_id`. 错误为 RFC 9457 格式。
* `/ws` is a WebSocket: send `Subscribe`, `Unsubscribe` or `Ping`, receive `Ack`, `Pong`, `Gap` or `Failure`, and
  arrays of events `{"seq", "topic", "ts", "data"}`; in JSON, or by the subprotocol `vnpy-core.msgpack.v1` in
  MessagePack. `/ws` 为 WebSocket：消息格式见下方 schemas；默认 JSON，子协议 `vnpy-core.msgpack.v1` 为 MessagePack。
"""


def answer(example: msgspec.Struct, description: str, *errors: int, status: int = 200) -> dict[int | str, Any]:
    """Return what FastAPI is to document of a route: its answer, and the errors besides 422 and 500."""
    documented: dict[int | str, Any] = {
        status: {
            "description": description,
            "content": {
                "application/json": {
                    "schema": {"$ref": _REF.format(name=type(example).__name__)},
                    "example": _text(example),
                }
            },
        }
    }
    for code in sorted({*errors, 422, 500}):
        documented[code] = _problem(code)
    return documented


def _problem(status: int) -> dict[str, Any]:
    title = _CODES[status].replace("_", " ").capitalize()
    example = Problem(
        type=f"urn:vnpy-core:problem:{_CODES[status]}", title=title, status=status,
        detail="What was wrong, and what to do about it.", code=_CODES[status], request_id="7f3a09c1-42",
    )  # fmt: skip
    return {
        "description": _WHEN[status],
        "headers": {"X-Request-ID": {"schema": {"type": "string"}}},
        "content": {
            MEDIA_TYPE: {"schema": {"$ref": _REF.format(name="Problem")}, "example": _text(example)}
        },
    }


def _text(example: msgspec.Struct) -> str:
    """Return the example as text: FastAPI would drop the nulls in it. ``document`` makes it an object again."""
    return msgspec.json.encode(example).decode()


def _add_access(operation: dict[str, Any], rule: Rule | None) -> None:
    """Say what the operation takes, and the errors of who has not got it."""
    errors: tuple[int, ...] = ()
    if rule is None or not rule.open:
        operation["security"] = [{"bearer": []}]
        operation["x-required-scopes"] = sorted(rule.scopes) if rule is not None else [Scope.ADMIN]
        errors = (401, 403, 429)
    elif rule.login:
        errors = (403, 429)
    for status in errors:
        operation["responses"].setdefault(str(status), _problem(status))


def document(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document of ``app``; made once."""
    if app.openapi_schema is None:
        schema = get_openapi(
            title=app.title, version=app.version, summary=app.summary, description=app.description,
            routes=app.routes, tags=app.openapi_tags,
        )  # fmt: skip
        _, components = msgspec.json.schema_components(_SCHEMAS, ref_template=_REF)
        schemas = schema.setdefault("components", {}).setdefault("schemas", {})
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        schemas.update(components)
        schema["components"]["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
        rules = Rules()
        for path, operations in schema["paths"].items():
            for method, operation in operations.items():
                _add_access(operation, rules.of(method.upper(), path))
                if "requestBody" in operation:
                    operation["responses"]["413"] = _problem(413)
                for response in operation["responses"].values():
                    for content in response["content"].values():
                        content["example"] = msgspec.json.decode(content["example"])
        app.openapi_schema = schema
    return app.openapi_schema
