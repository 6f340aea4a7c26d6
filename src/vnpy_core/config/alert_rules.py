"""The rules of alerts: what one consists of, and those that hold unless the configuration or the API says otherwise."""

import re
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from vnpy_core.config.access_settings import Section

Severity = Literal["info", "warning", "critical"]
SEVERITIES: tuple[Severity, ...] = ("info", "warning", "critical")
Seconds = Annotated[float, Field(ge=0, le=30 * 86_400, allow_inf_nan=False)]
RULE_NAME = r"^[a-z][a-z0-9_]{0,63}$"
METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]{0,127}")
TOPIC = re.compile(r"[a-z_]+(\.[^\s.]{1,128}){0,4}")


class RuleSettings(Section):
    """One rule. What a rule of the same name below it (the default, or the configured one) sets, it may leave out.

    In titles ``{name}`` stands for a label, ``{value}`` for what was measured.
    """

    kind: Annotated[
        Literal["threshold", "rate", "absence", "raised"] | None,
        Field(description="rate: growth within window_s; absence: nothing for so long; raised: by the service"),
    ] = None
    metric: Annotated[str, Field(max_length=128, description="A sample of /metrics; each of its series by itself")] = ""
    topic: Annotated[str, Field(max_length=256, description="Events in place of a metric; rate: how many came")] = ""
    match: Annotated[dict[str, str], Field(max_length=16, description="Labels, or fields of the event's data")] = Field(
        default_factory=dict
    )
    op: Annotated[Literal[">", ">=", "<", "<=", "==", "!="], Field(description="How value is compared")] = ">"
    value: Annotated[float, Field(allow_inf_nan=False, description="What it is compared with")] = 0.0
    window_s: Annotated[Seconds, Field(description="Of rate and absence")] = 60.0
    for_s: Annotated[Seconds, Field(description="So long it must hold before it fires")] = 0.0
    resolve_s: Annotated[Seconds, Field(description="So long it must be over before it is resolved")] = 10.0
    severity: Annotated[Severity, Field(description="What channels are chosen by")] = "warning"
    title: Annotated[str, Field(max_length=256, description="English")] = ""
    title_zh: Annotated[str, Field(max_length=256, description="Chinese")] = ""
    suppressed_by: Annotated[
        tuple[Annotated[str, Field(pattern=RULE_NAME)], ...],
        Field(max_length=16, description="Rules that are its cause, where the labels that both have are equal"),
    ] = ()
    enabled: bool = True

    @model_validator(mode="after")
    def _names_are_names(self) -> Self:
        if self.metric and not METRIC.fullmatch(self.metric):
            raise ValueError("metric must be the name of a metric")
        if self.topic and not TOPIC.fullmatch(self.topic):
            raise ValueError("topic must be a topic such as risk.rejected")
        return self


def complete(rule: RuleSettings, below: RuleSettings | None) -> RuleSettings:
    """Return ``rule`` with what it leaves out taken from ``below``.

    Raises:
        ValueError: it is no rule then; the message says why.
    """
    if below is not None:
        changes = {name: getattr(rule, name) for name in rule.model_fields_set}
        rule = RuleSettings.model_construct(**below.model_dump() | changes)
    if rule.kind is None:
        raise ValueError("kind is missing: threshold, rate or absence")
    if rule.kind == "raised":
        if below is None or below.kind != "raised" or rule.metric or rule.topic:
            raise ValueError("raised is the kind of the service's own alerts, and has neither metric nor topic")
        return rule
    if below is not None and below.kind == "raised":
        raise ValueError("the service raises this one itself: its kind is raised")
    if bool(rule.metric) == bool(rule.topic):
        raise ValueError("a rule has either a metric or a topic")
    if rule.topic and rule.kind == "threshold":
        raise ValueError("of events there is rate and absence")
    if rule.kind != "threshold" and not rule.window_s:
        raise ValueError("window_s must be greater than 0")
    if not rule.title:
        raise ValueError("title is missing")
    return rule


def _metric(metric: str, title: str, title_zh: str, **rest: object) -> RuleSettings:
    fields = {"kind": "threshold", "metric": f"vnpy_core_{metric}", "title": title, "title_zh": title_zh}
    return RuleSettings.model_validate(fields | rest)


def _raised(title: str, title_zh: str, **rest: object) -> RuleSettings:
    """A rule whose alert a part of the service raises and resolves, at once and also while nothing is measured."""
    fields = {"kind": "raised", "title": title, "title_zh": title_zh, "severity": "critical", "resolve_s": 0.0}
    return RuleSettings.model_validate(fields | rest)


DEFAULT_RULES: Mapping[str, RuleSettings] = {
    "gateway_down": _metric(
        "gateway_missing", "Gateway {gateway} is not connected", "接口 {gateway} 未连接",
        for_s=10.0, severity="critical", suppressed_by=("event_thread_stalled",),
    ),
    "feed_mute": _metric(
        "gateway_mute", "No market data comes from gateway {gateway}", "接口 {gateway} 没有行情",
        for_s=5.0, severity="critical", suppressed_by=("gateway_down", "event_thread_stalled"),
    ),
    "event_lag": _metric(
        "event_lag_mean_seconds", "Events wait {value} s for the event thread", "事件延迟达 {value} 秒",
        value=0.25, for_s=10.0, suppressed_by=("event_thread_stalled",),
    ),
    "handler_errors": _metric(
        "event_engine_handler_errors_total", "A handler raises: {handler}", "事件处理函数出错：{handler}",
        kind="rate", window_s=60.0,
    ),
    "sink_down": _metric(
        "sink_healthy", "{sink} cannot be written; facts wait in the journal", "{sink} 无法写入，数据暂存于日志",
        op="==", value=0.0, for_s=15.0, severity="critical",
    ),
    "sink_behind": _metric(
        "sink_lag_facts", "{sink} is {value} facts behind", "{sink} 落后 {value} 条", value=10_000.0, for_s=30.0,
        suppressed_by=("sink_down",),
    ),
    "history_down": _metric(
        "history_healthy", "Ticks cannot be stored and wait in the spool", "行情无法入库，暂存于磁盘",
        op="==", value=0.0, for_s=15.0,
    ),
    "bus_down": _metric(
        "bus_healthy", "The message bus cannot be reached", "消息总线不可用", op="==", value=0.0, for_s=15.0
    ),
    "disk_low": _metric(
        "folder_free_bytes", "{value} bytes are free on the disk of {folder}", "{folder} 所在磁盘仅剩 {value} 字节",
        op="<", value=2e9, severity="critical",
    ),
    "loss_near": _metric(
        "loss_limit_used_ratio", "{gateway} has used {value} of its limit of {limit}",
        "{gateway} 已用去 {limit} 限额的 {value}", op=">=", value=0.8, suppressed_by=("risk_state",),
    ),
    "clock_skew": _metric(
        "clock_skew_seconds", "The clock is {value} s off the exchange's of {gateway}",
        "本机时钟与 {gateway} 交易所时间相差 {value} 秒", value=2.0, for_s=30.0,
    ),
    "certificate_expiry": _metric(
        "certificate_expires_seconds", "The TLS certificate expires in {value} s", "TLS 证书将于 {value} 秒后过期",
        op="<", value=14 * 86_400.0,
    ),
    "api_key_expiry": _metric(
        "api_key_expires_seconds", "API key {name} of {user} expires in {value} s",
        "{user} 的 API 密钥 {name} 将于 {value} 秒后过期", op="<", value=7 * 86_400.0,
    ),
    "unknown_orders": _metric(
        "unknown_orders", "{value} orders were sent and nobody knows their outcome", "{value} 笔委托结果未知",
        for_s=30.0, severity="critical",
    ),
    "channel_failing": _metric(
        "alert_channel_failing", "Alerts do not get through to {channel}", "告警无法送达 {channel}", for_s=30.0
    ),
    "ticks_dropped": _metric(
        "bridge_dropped_ticks_total", "{value} ticks were dropped: the service does not keep up",
        "丢弃了 {value} 笔行情",
        kind="rate", window_s=60.0,
    ),
    "rejections": RuleSettings(
        kind="rate", topic="risk.rejected", value=50.0, window_s=60.0, severity="warning",
        title="{value} orders were refused by risk control within a minute", title_zh="一分钟内风控拒单 {value} 笔",
    ),
    "strategy_failed": _raised(
        "Strategy {strategy} has failed and does not trade", "策略 {strategy} 出错，已停止交易"
    ),
    "callback_slow": _raised("A callback holds the event thread", "回调函数占用事件线程", severity="warning"),
    "stop_orders_ended": _raised("Stop orders of {strategy} are not watched", "策略 {strategy} 的停止单不再受监视"),
    "event_thread_stalled": _raised("The event thread makes no progress", "事件线程停滞"),
    "loop_stalled": _raised("The service does not answer", "服务停止响应"),
    "journal": _raised("The journal cannot be written", "日志无法写入"),
    "database_lease": _raised("Another service works with the database", "另一服务正在使用数据库"),
    "event_queue_depth": _raised("Too many events wait for the event thread", "事件队列积压", severity="critical"),
    "reconciliation": _raised(
        "Gateway {gateway} differs from what is known", "接口 {gateway} 对账不符", suppressed_by=("gateway_down",)
    ),
    "drift": _raised("Positions of {vt_symbol} drift on {gateway}", "{gateway} 的 {vt_symbol} 持仓偏离"),
    "risk_state": _raised("Trading of {gateway} is narrowed", "{gateway} 交易受限"),
}  # fmt: skip
