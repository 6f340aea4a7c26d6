"""What the alert routes answer: lists around the models; and one good example of each."""

import msgspec

from vnpy_core.enums import AlertState
from vnpy_core.models import Incident, Silence
from vnpy_core.reports import ChannelStatus, ChannelTest, RuleStatus
from vnpy_core.routers.answers import NextCursor

_AT = "2026-01-05T01:30:00.123456+00:00"


class AlertPage(msgspec.Struct, frozen=True, kw_only=True):
    alerts: list[Incident]
    next_cursor: NextCursor


class SilencePage(msgspec.Struct, frozen=True, kw_only=True):
    silences: list[Silence]
    next_cursor: NextCursor


class AlertRulePage(msgspec.Struct, frozen=True, kw_only=True):
    rules: list[RuleStatus]
    next_cursor: NextCursor


class ChannelPage(msgspec.Struct, frozen=True, kw_only=True):
    channels: list[ChannelStatus]
    next_cursor: NextCursor


class RuleRemoved(msgspec.Struct, frozen=True, kw_only=True):
    """``rule``: what holds instead; null: nothing does."""

    name: str
    rule: RuleStatus | None


INCIDENT = Incident(
    incident_id="187a3c5d2e4f6071", alert_id="gateway_down.SIM", rule="gateway_down", severity="critical",
    summary="Gateway SIM is not connected", labels={"gateway": "SIM"}, value=1.0, state=AlertState.FIRING, began=_AT,
    fired=_AT, notified=_AT, delivered=["ops raised"],
)  # fmt: skip
ACKNOWLEDGED = msgspec.structs.replace(
    INCIDENT, state=AlertState.ACKNOWLEDGED, acknowledged=_AT, acknowledged_by="admin", note="The broker is told"
)
SILENCE = Silence(
    silence_id="187a3c5d2e4f6072", matchers={"rule": "feed_mute", "gateway": "SIM"}, starts=_AT,
    ends="2026-01-05T02:30:00.123456+00:00", reason="Known", created=_AT, created_by="admin",
)  # fmt: skip
RULE = RuleStatus(
    name="gateway_down", source="default", enabled=True, kind="threshold", metric="vnpy_core_gateway_missing",
    for_s=10.0, resolve_s=10.0, severity="critical", title="Gateway {gateway} is not connected",
    title_zh="接口 {gateway} 未连接", suppressed_by=["event_thread_stalled"],
)  # fmt: skip
CHANNEL = ChannelStatus(name="ops", kind="dingtalk", min_severity="warning", healthy=True, messages=12, delivered=15)
CHANNEL_TEST = ChannelTest(name="ops", delivered=True)
