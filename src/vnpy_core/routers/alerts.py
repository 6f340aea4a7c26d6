"""The alert routes: what is wrong and was, who sees to it, of what nobody is told, the rules and the channels."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from vnpy_core.config.alert_rules import RULE_NAME
from vnpy_core.errors import NotFound
from vnpy_core.routers import alert_answers as answers
from vnpy_core.routers.alert_requests import (
    AcknowledgeBody,
    AlertQuery,
    AlertRuleBody,
    SilenceAlertBody,
    SilenceBody,
)
from vnpy_core.routers.openapi import answer
from vnpy_core.routers.pages import encoded
from vnpy_core.routers.requests import NO_QUERY
from vnpy_core.routers.service import Service

_ID = r"^[0-9a-f]{16}$"
IncidentPath = Annotated[
    str, Path(pattern=_ID, description="incident_id / 告警编号", examples=[answers.INCIDENT.incident_id])
]
SilencePath = Annotated[
    str, Path(pattern=_ID, description="silence_id / 静默编号", examples=[answers.SILENCE.silence_id])
]
RulePath = Annotated[str, Path(pattern=RULE_NAME, description="Rule / 规则", examples=["gateway_down"])]
ChannelPath = Annotated[str, Path(description="Channel / 通道", examples=["ops"])]

_ACKNOWLEDGED = AcknowledgeBody()
_LIST = """The newest first; those of the last 10,000 that are over. `SILENCED`: nobody is told, because of a silence or
because of another alert that is the cause; `silenced_by` says which.

最新的在前；已恢复的保留最近 10,000 条。`SILENCED` 表示因静默或根因告警而不通知，见 `silenced_by`。"""
_SET_RULE = """What is left out is as the configured rule of this name has it. It holds at once and over restarts, until
it is removed. A rule watches a metric of `/metrics` or events by their topic.

未给出的字段沿用同名已配置规则；立即生效并在重启后保持，直至删除。规则可监视 `/metrics` 指标或事件主题。"""
_SILENCE = """Of what all matchers hold, nobody is told while it lasts; without matchers of nothing at all (a
maintenance window, which may be set in advance). Alerts are found and listed all the same; what still fires at its end
is told then.

静默期间不通知匹配的告警；不带匹配条件即为维护窗口（可预先设置）。告警照常检测与列出，结束时仍在触发的会再通知。"""


def create_alert_router(service: Service) -> APIRouter:
    """Return the routes under ``/alerts``."""
    router = APIRouter(prefix="/alerts", tags=["alerts"])
    _add_silences(router, service)
    _add_rules(router, service)
    _add_channels(router, service)
    _add_alerts(router, service)
    return router


def _who(request: Request) -> str:
    identity = request.scope["vnpy_core.identity"]
    return str(identity.username) if identity is not None else ""


def _add_alerts(router: APIRouter, service: Service) -> None:
    @router.get(
        "",
        operation_id="list_alerts",
        summary="List alerts / 查询告警",
        description=_LIST,
        responses=answer(answers.AlertPage(alerts=[answers.INCIDENT], next_cursor=None), "The alerts / 告警列表"),
    )
    async def list_alerts(query: Annotated[AlertQuery, Query()]) -> Response:
        found, next_cursor = service.alerts.page(**query.model_dump())
        return encoded(answers.AlertPage(alerts=found, next_cursor=next_cursor))

    @router.get(
        "/{incident_id}",
        operation_id="get_alert",
        summary="Get an alert / 查询单个告警",
        responses=answer(answers.INCIDENT, "The alert / 告警", 404),
        dependencies=NO_QUERY,
    )
    async def get_alert(incident_id: IncidentPath) -> Response:
        return encoded(service.alerts.get(incident_id))

    @router.post(
        "/{incident_id}/acknowledge",
        operation_id="acknowledge_alert",
        summary="Say that one sees to it / 确认告警",
        description="Nobody is reminded of it any more; its end is told. 不再重复提醒；恢复时仍会通知。",
        responses=answer(answers.ACKNOWLEDGED, "The alert now / 确认后的告警", 404, 409),
        dependencies=NO_QUERY,
    )
    async def acknowledge_alert(
        request: Request, incident_id: IncidentPath, body: AcknowledgeBody = _ACKNOWLEDGED
    ) -> Response:
        return encoded(service.alerts.acknowledge(incident_id, body.note, _who(request)))

    @router.post(
        "/{incident_id}/silence",
        operation_id="silence_alert",
        summary="Tell nobody of an alert for a while / 静默单个告警",
        description="Also not if it is over and comes again meanwhile. 期间恢复后再次触发也不通知。",
        responses=answer(answers.SILENCE, "The silence / 静默", 404, 409, 503, status=201),
        status_code=201,
        dependencies=NO_QUERY,
    )
    async def silence_alert(request: Request, incident_id: IncidentPath, body: SilenceAlertBody) -> Response:
        silence = await service.alerts.silence_alert(incident_id, body.duration_s, body.reason, _who(request))
        return encoded(silence, 201)


def _add_silences(router: APIRouter, service: Service) -> None:
    @router.get(
        "/silences",
        operation_id="list_silences",
        summary="List silences and maintenance windows / 查询静默与维护窗口",
        description="Those that hold or will, all on one page. 正在生效或将要生效的，全部在一页内返回。",
        responses=answer(answers.SilencePage(silences=[answers.SILENCE], next_cursor=None), "The silences / 静默列表"),
        dependencies=NO_QUERY,
    )
    async def list_silences() -> Response:
        return encoded(answers.SilencePage(silences=service.alerts.silences(), next_cursor=None))

    @router.post(
        "/silences",
        operation_id="add_silence",
        summary="Tell nobody of some alerts for a while / 新增静默或维护窗口",
        description=_SILENCE,
        responses=answer(answers.SILENCE, "The silence / 静默", 409, 503, status=201),
        status_code=201,
        dependencies=NO_QUERY,
    )
    async def add_silence(request: Request, body: SilenceBody) -> Response:
        silence = await service.alerts.add_silence(
            body.matchers, body.starts, body.duration_s, body.reason, _who(request)
        )
        return encoded(silence, 201)

    @router.delete(
        "/silences/{silence_id}",
        operation_id="end_silence",
        summary="End a silence before its time / 提前结束静默",
        responses=answer(answers.SILENCE, "It is over / 已结束", 404, 503),
        dependencies=NO_QUERY,
    )
    async def end_silence(silence_id: SilencePath) -> Response:
        return encoded(await service.alerts.end_silence(silence_id))


def _add_rules(router: APIRouter, service: Service) -> None:
    @router.get(
        "/rules",
        operation_id="list_alert_rules",
        summary="List the rules / 查询告警规则",
        description="Those that hold, all on one page; `source` says who has set them. 全部规则及其来源。",
        responses=answer(answers.AlertRulePage(rules=[answers.RULE], next_cursor=None), "The rules / 规则列表"),
        dependencies=NO_QUERY,
    )
    async def list_alert_rules() -> Response:
        return encoded(answers.AlertRulePage(rules=service.alerts.rules(), next_cursor=None))

    @router.get(
        "/rules/{name}",
        operation_id="get_alert_rule",
        summary="Get a rule / 查询单条告警规则",
        responses=answer(answers.RULE, "The rule / 规则", 404),
        dependencies=NO_QUERY,
    )
    async def get_alert_rule(name: RulePath) -> Response:
        return encoded(service.alerts.rule(name))

    @router.put(
        "/rules/{name}",
        operation_id="set_alert_rule",
        summary="Add a rule, or change one / 新增或修改告警规则",
        description=_SET_RULE,
        responses=answer(answers.RULE, "The rule now / 生效的规则", 503),
        dependencies=NO_QUERY,
    )
    async def set_alert_rule(request: Request, name: RulePath, body: AlertRuleBody) -> Response:
        given = body.model_dump(mode="json", exclude_unset=True)
        return encoded(await service.alerts.set_rule(name, given, _who(request)))

    @router.delete(
        "/rules/{name}",
        operation_id="remove_alert_rule",
        summary="Remove what the API has set / 删除经接口设置的规则",
        description="The configured rule holds again, or none. 恢复为配置中的规则；若无则规则不再存在。",
        responses=answer(answers.RuleRemoved(name="gateway_down", rule=answers.RULE), "Done / 已删除", 404, 409, 503),
        dependencies=NO_QUERY,
    )
    async def remove_alert_rule(request: Request, name: RulePath) -> Response:
        await service.alerts.remove_rule(name, _who(request))
        try:
            rule = service.alerts.rule(name)
        except NotFound:
            rule = None
        return encoded(answers.RuleRemoved(name=name, rule=rule))


def _add_channels(router: APIRouter, service: Service) -> None:
    @router.get(
        "/channels",
        operation_id="list_alert_channels",
        summary="List the channels / 查询告警通道",
        description="How they are; never where they lead. 通道状态，不含地址。",
        responses=answer(answers.ChannelPage(channels=[answers.CHANNEL], next_cursor=None), "The channels / 通道列表"),
        dependencies=NO_QUERY,
    )
    async def list_alert_channels() -> Response:
        return encoded(answers.ChannelPage(channels=service.alerts.channels(), next_cursor=None))

    @router.post(
        "/channels/{name}/test",
        operation_id="test_alert_channel",
        summary="Send a test message / 测试告警通道",
        description="It waits for what becomes of it, at most half a minute. 等待发送结果，最长半分钟。",
        responses=answer(answers.CHANNEL_TEST, "What became of it / 测试结果", 404),
        dependencies=NO_QUERY,
    )
    async def test_alert_channel(name: ChannelPath) -> Response:
        return encoded(await service.alerts.test_channel(name))
