"""What is wrong and was, who sees to it, of what nobody is told, the rules and the channels."""

from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Any

from vnpy_core.client.connection import segment
from vnpy_core.client.mode import Mode, Resource, listing, operation
from vnpy_core.enums import AlertState
from vnpy_core.models import Incident, Silence
from vnpy_core.reports import ChannelStatus, ChannelTest, RuleStatus
from vnpy_core.routers.alert_answers import AlertPage, AlertRulePage, ChannelPage, RuleRemoved, SilencePage


class Alerts(Resource[Mode]):
    """``/alerts``."""

    @listing
    def alerts(
        self,
        *,
        state: AlertState | None = None,
        active: bool | None = None,
        rule: str | None = None,
        severity: str | None = None,
    ) -> AsyncIterator[list[Incident]]:
        """Iterate over alerts, the newest first; ``active``: those that are not resolved, or the others."""
        filters = {"state": state, "active": active, "rule": rule, "severity": severity}
        return self._connection.pages("/alerts", AlertPage, lambda page: page.alerts, **filters)

    @operation
    async def alert(self, incident_id: str) -> Incident:
        return await self._connection.get(f"/alerts/{segment(incident_id)}", Incident)

    @operation
    async def acknowledge(self, incident_id: str, note: str = "") -> Incident:
        """Say that one sees to it: nobody is reminded of it any more."""
        path = f"/alerts/{segment(incident_id)}/acknowledge"
        return await self._connection.call("POST", path, Incident, body={"note": note})

    @operation
    async def silence_alert(self, incident_id: str, duration_s: float, reason: str) -> Silence:
        """Have nobody told of it for a while, also if it comes again."""
        path, body = f"/alerts/{segment(incident_id)}/silence", {"duration_s": duration_s, "reason": reason}
        return await self._connection.call("POST", path, Silence, body=body)

    @operation
    async def silences(self) -> list[Silence]:
        """Return the silences and maintenance windows that hold or will."""
        return (await self._connection.get("/alerts/silences", SilencePage)).silences

    @operation
    async def add_silence(
        self,
        duration_s: float,
        reason: str,
        *,
        matchers: Mapping[str, str] | None = None,
        starts: datetime | None = None,
    ) -> Silence:
        """Have nobody told of what all ``matchers`` hold of (rule, alert_id, severity, a label); ``None``: of nothing,
        which is a maintenance window. ``starts`` must have a time zone; ``None``: now."""
        body: dict[str, Any] = {"duration_s": duration_s, "reason": reason, "matchers": dict(matchers or {})}
        if starts is not None:
            body["starts"] = starts.isoformat()
        return await self._connection.call("POST", "/alerts/silences", Silence, body=body)

    @operation
    async def end_silence(self, silence_id: str) -> Silence:
        return await self._connection.call("DELETE", f"/alerts/silences/{segment(silence_id)}", Silence)

    @operation
    async def rules(self) -> list[RuleStatus]:
        return (await self._connection.get("/alerts/rules", AlertRulePage)).rules

    @operation
    async def rule(self, name: str) -> RuleStatus:
        return await self._connection.get(f"/alerts/rules/{segment(name)}", RuleStatus)

    @operation
    async def set_rule(self, name: str, rule: Mapping[str, Any]) -> RuleStatus:
        """Add a rule, or change one; what is left out is as the configured rule of this name has it."""
        return await self._connection.call("PUT", f"/alerts/rules/{segment(name)}", RuleStatus, body=dict(rule))

    @operation
    async def remove_rule(self, name: str) -> RuleRemoved:
        """Remove what ``set_rule`` has set; the answer has the rule that holds instead."""
        return await self._connection.call("DELETE", f"/alerts/rules/{segment(name)}", RuleRemoved)

    @operation
    async def channels(self) -> list[ChannelStatus]:
        return (await self._connection.get("/alerts/channels", ChannelPage)).channels

    @operation
    async def test_channel(self, name: str) -> ChannelTest:
        """Send a test message, and wait for what becomes of it."""
        return await self._connection.call("POST", f"/alerts/channels/{segment(name)}/test", ChannelTest)
