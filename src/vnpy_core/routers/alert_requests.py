"""The bodies and queries of the alert routes."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from vnpy_core.config.alert_rules import RULE_NAME, RuleSettings
from vnpy_core.enums import AlertState
from vnpy_core.routers.requests import Body, Moment, Page

Reason = Annotated[
    str, Field(min_length=1, max_length=256, description="For those who look later / 原因", examples=["Known"])
]
Duration = Annotated[
    float, Field(ge=1, le=90 * 86_400, allow_inf_nan=False, description="Seconds / 秒", examples=[3600])
]
MatcherValue = Annotated[str, Field(min_length=1, max_length=200)]


class AlertQuery(Page):
    """Which alerts; the newest come first."""

    state: Annotated[AlertState | None, Field(description="In this state / 状态", examples=["FIRING"])] = None
    active: Annotated[bool | None, Field(description="Only those that are not resolved / 仅未恢复的")] = None
    rule: Annotated[
        str | None, Field(pattern=RULE_NAME, description="Of this rule / 规则", examples=["gateway_down"])
    ] = None
    severity: Annotated[
        Literal["info", "warning", "critical"] | None, Field(description="Of this severity / 级别")
    ] = None
    cursor: Annotated[
        str | None,
        Field(
            pattern="^alerts-[0-9a-f]{16}$",
            description="next_cursor of the page before / 上一页的 next_cursor",
            examples=["alerts-187a3c5d2e4f6071"],
        ),
    ] = None


class AcknowledgeBody(Body):
    """That somebody sees to it."""

    note: Annotated[str, Field(max_length=1000, description="For the others / 备注")] = ""

    model_config = ConfigDict(json_schema_extra={"examples": [{"note": "The broker is told"}]})


class SilenceAlertBody(Body):
    """How long nobody is to be told of an alert."""

    duration_s: Duration
    reason: Reason = "Silenced by an operator."

    model_config = ConfigDict(json_schema_extra={"examples": [{"duration_s": 3600, "reason": "Known, fixed at 5"}]})


class SilenceBody(Body):
    """What nobody is to be told of, and when. Without matchers: of nothing, which is a maintenance window."""

    matchers: Annotated[
        dict[str, MatcherValue],
        Field(
            max_length=16,
            description="All must hold: rule, alert_id, severity or a label / 须全部匹配：规则、告警、级别或标签",
        ),
    ] = Field(default_factory=dict)
    starts: Annotated[Moment | None, Field(description="Default: now / 默认立即开始")] = None
    duration_s: Duration
    reason: Reason = "Silenced by an operator."

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"matchers": {"rule": "feed_mute", "gateway": "SIM"}, "duration_s": 3600, "reason": "Known"},
                {"starts": "2026-01-10T10:00:00+08:00", "duration_s": 7200, "reason": "Maintenance"},
            ]
        }
    )


class AlertRuleBody(RuleSettings):
    """A rule. What it leaves out is as the configured rule of this name has it."""

    suppressed_by: Annotated[
        tuple[Annotated[str, Field(pattern=RULE_NAME)], ...],
        Field(max_length=16, strict=False, description="Rules that are its cause / 根因规则"),
    ] = ()

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        json_schema_extra={
            "examples": [
                {"value": 5e9, "severity": "critical"},
                {
                    "kind": "rate", "metric": "vnpy_core_history_dropped_ticks_total", "window_s": 300, "value": 0,
                    "severity": "warning", "title": "{value} ticks were lost", "title_zh": "丢失 {value} 笔行情",
                },
            ]
        },
    )  # fmt: skip
