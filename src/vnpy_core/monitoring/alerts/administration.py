"""AlertAdministration: what operators ask of alerts, and what they say about them."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from msgspec.structs import replace

from vnpy_core.enums import AlertState
from vnpy_core.errors import Conflict, Invalid, NotFound
from vnpy_core.models import AlertRule, Incident, Silence, now_timestamp, to_timestamp
from vnpy_core.monitoring.alerts.desk import AlertDesk
from vnpy_core.reports import ChannelStatus, ChannelTest, RuleStatus

_CURSOR = "alerts-"
_MOST_SILENCES = 1000
_ACKNOWLEDGEABLE = (AlertState.FIRING, AlertState.ACKNOWLEDGED, AlertState.SILENCED)


class AlertAdministration:
    """Loop only."""

    def __init__(self, desk: AlertDesk) -> None:
        self._desk = desk

    # -- alerts

    def page(
        self,
        *,
        state: AlertState | None = None,
        rule: str | None = None,
        severity: str | None = None,
        active: bool | None = None,
        cursor: str | None = None,
        limit: int = 1000,
    ) -> tuple[list[Incident], str | None]:
        """Return up to ``limit`` alerts, the newest first, and the cursor to go on with; ``None``: no more.

        Raises:
            Invalid: ``cursor`` is none of this list.
        """
        before = _place(cursor)
        found = (
            each
            for each in self._desk.book.newest()
            if (before is None or each.incident_id < before)
            and state in (None, each.state)
            and rule in (None, each.rule)
            and severity in (None, each.severity)
            and active in (None, each.state is not AlertState.RESOLVED)
        )
        page = list(islice(found, limit + 1))
        if len(page) <= limit:
            return page, None
        del page[limit:]
        return page, f"{_CURSOR}{page[-1].incident_id}"

    def get(self, incident_id: str) -> Incident:
        """Raises: NotFound."""
        return self._desk.incident(incident_id)

    def acknowledge(self, incident_id: str, note: str, who: str) -> Incident:
        """Note that ``who`` sees to it: nobody is reminded of it any more.

        Raises:
            NotFound: no such alert.
            Conflict: it does not fire (``not_firing``).
        """
        incident = self._desk.incident(incident_id)
        if incident.state not in _ACKNOWLEDGEABLE:
            raise Conflict(f"Alert {incident.alert_id} is {incident.state}.", code="not_firing")
        return self._desk.acknowledge(incident, who, note)

    # -- silences

    def silences(self) -> list[Silence]:
        """Return those that hold or will, by when they begin."""
        return sorted(self._desk.book.silences.values(), key=lambda each: (each.starts, each.silence_id))

    async def silence_alert(self, incident_id: str, duration_s: float, reason: str, who: str) -> Silence:
        """Tell nobody of this alert for a while, also if it comes again. Raises as ``get`` and ``add_silence``."""
        alert_id = self._desk.incident(incident_id).alert_id
        return await self.add_silence({"alert_id": alert_id}, None, duration_s, reason, who)

    async def add_silence(
        self, matchers: Mapping[str, str], starts: datetime | None, duration_s: float, reason: str, who: str
    ) -> Silence:
        """Tell nobody of what ``matchers`` say, from ``starts`` on; ``None``: from now on.

        Raises:
            Conflict: there are too many already.
            Unavailable: it is not on disk, and does not hold.
        """
        if len(self._desk.book.silences) >= _MOST_SILENCES:
            raise Conflict(f"There are {_MOST_SILENCES} silences already.", code="too_many_silences")
        begin = starts or datetime.now(UTC)
        try:
            ends = to_timestamp(begin + timedelta(seconds=duration_s))
        except OverflowError as error:
            raise Invalid("The silence would not end within the calendar.") from error
        silence = Silence(
            silence_id=self._desk.book.new_id(), matchers=dict(matchers), starts=to_timestamp(begin), ends=ends,
            reason=reason, created=now_timestamp(), created_by=who[:128],
        )  # fmt: skip
        await self._desk.save(silence)
        return silence

    async def end_silence(self, silence_id: str) -> Silence:
        """Raises: NotFound: there is none of this id, or it is over. Unavailable: it cannot be put on disk."""
        silence = self._desk.book.silences.get(silence_id)
        if silence is None:
            raise NotFound(f"There is no silence {silence_id!r}.", code="unknown_silence")
        ended = replace(silence, over=True, ends=min(silence.ends, now_timestamp()))
        await self._desk.save(ended)
        return ended

    # -- rules

    def rules(self) -> list[RuleStatus]:
        return self._desk.rulebook.statuses()

    def rule(self, name: str) -> RuleStatus:
        """Raises: NotFound."""
        return self._desk.rulebook.status(name)

    async def set_rule(self, name: str, given: Mapping[str, Any], who: str) -> RuleStatus:
        """Have ``given`` hold, over the configured rule of this name, if there is one, until it is removed.

        Raises:
            Invalid: it makes no rule.
            Unavailable: it is not on disk, and nothing has changed.
        """
        self._desk.rulebook.checked(name, given)
        await self._desk.save(AlertRule(name=name, rule=dict(given), updated=now_timestamp(), updated_by=who[:128]))
        return self.rule(name)

    async def remove_rule(self, name: str, who: str) -> None:
        """Have the configured rule hold again, or none.

        Raises:
            NotFound: no such rule.
            Conflict: nobody has set it here; a configured rule is switched off by ``enabled`` (``not_set``).
            Unavailable: as ``set_rule``.
        """
        self.rule(name)
        if not self._desk.rulebook.is_set(name):
            raise Conflict(f"Rule {name!r} is not set over the API: disable it instead.", code="not_set")
        removed = AlertRule(name=name, rule={}, removed=True, updated=now_timestamp(), updated_by=who[:128])
        await self._desk.save(removed)

    # -- channels

    def channels(self) -> list[ChannelStatus]:
        return self._desk.channel_statuses()

    async def test_channel(self, name: str) -> ChannelTest:
        """Send a test message, and wait for what becomes of it, but not long.

        Raises:
            NotFound: no such channel.
        """
        channel = self._desk.channels.get(name)
        if channel is None:
            raise NotFound(f"There is no channel {name!r}.", code="unknown_channel")
        wait_s = min(2 * channel.settings.timeout_s, 30.0)
        try:
            async with asyncio.timeout(wait_s):
                reason = await asyncio.wrap_future(channel.test())
        except TimeoutError:
            reason = f"It has not answered within {wait_s:g} s."
        return ChannelTest(name=name, delivered=reason is None, detail=reason)


def _place(cursor: str | None) -> str | None:
    if cursor is None:
        return None
    if not cursor.startswith(_CURSOR):
        raise Invalid(f"{cursor!r} is no cursor of this list: take next_cursor of the page before.")
    return cursor.removeprefix(_CURSOR)
