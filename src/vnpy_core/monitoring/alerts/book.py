"""Book: the life of each alert, from pending to resolved. Pure: it is told what holds, and says what is to be done."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Literal

import msgspec
from msgspec.structs import replace

from vnpy_core.config.alert_rules import RuleSettings
from vnpy_core.enums import AlertState
from vnpy_core.models import Incident, Silence, now_timestamp

What = Literal["raised", "resolved", "reminder", "message"]
KEPT = 10_000
_TOLD = (AlertState.FIRING, AlertState.ACKNOWLEDGED, AlertState.SILENCED)


class Held(msgspec.Struct, frozen=True):
    """An alert whose condition holds now, and what is said of it."""

    alert_id: str
    rule: str
    severity: str
    summary: str
    detail: str = ""
    labels: Mapping[str, str] = {}
    value: float | None = None


class Change(msgspec.Struct, frozen=True):
    """An incident as it is now. ``what``: what the channels are to be told; ``None``: nothing."""

    incident: Incident
    what: What | None = None


class _Case:
    """An incident that is not over. ``fine_since``: when its condition ceased; ``restored``: it is from before."""

    __slots__ = ("began_at", "fine_since", "incident", "notified_at", "restored")

    def __init__(self, incident: Incident, began_at: float) -> None:
        self.incident = incident
        self.began_at = began_at
        self.fine_since: float | None = None
        self.notified_at: float | None = None
        self.restored = False


class Book:
    """``clock`` is in seconds and never goes back; ``wall`` gives timestamps.

    An alert that begins while what may be its cause is pending waits for that to be decided. One that has been told
    before its cause fired stays as it is.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], str] = now_timestamp,
        repeat_s: float = 0.0,
    ) -> None:
        self.silences: dict[str, Silence] = {}
        self._clock = clock
        self._wall = wall
        self._repeat_s = repeat_s
        self._lenient_until = clock()
        self._cases: dict[str, _Case] = {}
        self._incidents: dict[str, Incident] = {}
        self._last_id = 0

    # -- what is known

    def incidents(self) -> Iterable[Incident]:
        """Return all that are remembered, oldest first."""
        return self._incidents.values()

    def newest(self) -> Iterator[Incident]:
        """Return all that are remembered, newest first; do not await between two of them."""
        return reversed(self._incidents.values())  # their ids grow as they are made

    def get(self, incident_id: str) -> Incident | None:
        return self._incidents.get(incident_id)

    def current(self, alert_id: str) -> Incident | None:
        """Return the one of this alert that is not over."""
        case = self._cases.get(alert_id)
        return None if case is None else case.incident

    def new_id(self) -> str:
        """Return an id that is greater than all before it."""
        self._last_id = max(self._last_id + 1, time.time_ns())
        return f"{self._last_id:016x}"

    def keep(self, incident: Incident) -> Incident:
        """Take ``incident`` in the place of what was known of it."""
        known = self._incidents
        known[incident.incident_id] = incident
        case = self._cases.get(incident.alert_id)
        if case is not None and case.incident.incident_id == incident.incident_id:
            case.incident = incident
        if len(known) > KEPT:
            oldest = next((each.incident_id for each in known.values() if each.is_final), None)
            if oldest is not None:
                del known[oldest]
        return incident

    def restore(self, incidents: Iterable[Incident], lenient_s: float) -> None:
        """Go on with what was before a restart; what fired then is not resolved within ``lenient_s`` just because its
        condition has not been seen again."""
        now, wall = self._clock(), self._wall()
        self._lenient_until = now + lenient_s
        for incident in sorted(incidents, key=lambda each: each.incident_id):
            self._incidents[incident.incident_id] = incident
            self._last_id = max(self._last_id, int(incident.incident_id, 16))
            if incident.state is AlertState.RESOLVED:
                continue
            case = self._cases[incident.alert_id] = _Case(incident, now - _seconds(incident.began, wall))
            case.restored = True
            if incident.notified is not None:
                case.notified_at = now - _seconds(incident.notified, wall)

    # -- what happens

    def step(self, held: Mapping[str, Held], rules: Mapping[str, RuleSettings]) -> list[Change]:
        """Take up what holds now, and return the incidents that have changed by it."""
        now = self._clock()
        changes: list[Change] = []
        # Causes first: by the time their effects are looked at, it is decided whether they fire.
        for each in sorted(held.values(), key=lambda one: len(_causes(rules, one.rule))):
            changes += self._hold(each, rules, now)
        for alert_id, case in list(self._cases.items()):
            if alert_id not in held:
                changes += self._cease(case, rules, now)
        for case in self._cases.values():
            changes += self._hush(case, rules, now)
        return changes

    def resolve(self, alert_id: str) -> list[Change]:
        """Take note that somebody who knows says that it is over."""
        case = self._cases.get(alert_id)
        return [] if case is None else self._end(case)

    def acknowledge(self, incident: Incident, who: str, note: str) -> Change:
        """Note that somebody sees to it: nobody is reminded of it any more."""
        state = AlertState.ACKNOWLEDGED if incident.state is AlertState.FIRING else incident.state
        return Change(
            self.keep(
                replace(incident, state=state, acknowledged=self._wall(), acknowledged_by=who[:128], note=note)
            )
        )

    def told(self, incident: Incident, outstanding: list[str]) -> Incident:
        """Note that the channels have been given it now, and which of them are still to deliver it."""
        case = self._cases.get(incident.alert_id)
        if case is not None and case.incident.incident_id == incident.incident_id:
            case.notified_at = self._clock()
        return self.keep(
            replace(incident, notified=self._wall(), outstanding=[*incident.outstanding, *outstanding])
        )

    # -- one case

    def _hold(self, held: Held, rules: Mapping[str, RuleSettings], now: float) -> Iterable[Change]:
        case = self._cases.get(held.alert_id)
        if case is None:
            case = self._cases[held.alert_id] = _Case(self._new(held), now)
            if self._must_wait(case, rules, now):
                yield Change(case.incident)
        case.fine_since, case.restored = None, False
        if case.incident.state is not AlertState.PENDING or self._must_wait(case, rules, now):
            return
        fired = replace(
            case.incident, summary=held.summary, detail=held.detail, severity=held.severity, value=held.value,
            fired=self._wall(), silenced_by=self._silencer(case, rules),
        )  # fmt: skip
        if fired.silenced_by is not None:
            yield Change(self.keep(replace(fired, state=AlertState.SILENCED)))
        else:
            yield Change(self.keep(replace(fired, state=AlertState.FIRING)), "raised")

    def _new(self, held: Held) -> Incident:
        return self.keep(
            Incident(
                incident_id=self.new_id(), alert_id=held.alert_id, rule=held.rule, severity=held.severity,
                summary=held.summary, detail=held.detail, labels=held.labels, value=held.value,
                state=AlertState.PENDING, began=self._wall(),
            )
        )  # fmt: skip

    def _must_wait(self, case: _Case, rules: Mapping[str, RuleSettings], now: float) -> bool:
        rule = rules.get(case.incident.rule)
        if rule is not None and now - case.began_at < rule.for_s:
            return True
        return any(cause.incident.state is AlertState.PENDING for cause in self._causes_of(case, rules))

    def _cease(self, case: _Case, rules: Mapping[str, RuleSettings], now: float) -> Iterable[Change]:
        rule = rules.get(case.incident.rule)
        if rule is not None and rule.enabled:
            if case.restored and now < self._lenient_until:
                return
            if case.fine_since is None:
                case.fine_since = now
            if case.incident.state is not AlertState.PENDING and now - case.fine_since < rule.resolve_s:
                return
        yield from self._end(case)

    def _end(self, case: _Case) -> list[Change]:
        incident = case.incident
        del self._cases[incident.alert_id]
        if incident.state is AlertState.PENDING:
            # It never fired: nobody has to hear of it again.
            self._incidents.pop(incident.incident_id, None)
            return [Change(replace(incident, state=AlertState.RESOLVED, resolved=self._wall()))]
        was_told = incident.notified is not None and incident.state is not AlertState.SILENCED
        ended = self.keep(replace(incident, state=AlertState.RESOLVED, resolved=self._wall()))
        return [Change(ended, "resolved" if was_told else None)]

    def _hush(self, case: _Case, rules: Mapping[str, RuleSettings], now: float) -> Iterable[Change]:
        """Let silences begin and end, and remind of what nobody sees to."""
        incident = case.incident
        if incident.state in (AlertState.FIRING, AlertState.ACKNOWLEDGED):
            if (silence := self._silence_of(incident)) is not None:
                yield Change(self.keep(replace(incident, state=AlertState.SILENCED, silenced_by=silence)))
            elif incident.state is AlertState.FIRING and self._is_due(case, now):
                yield Change(incident, "reminder")
        elif incident.state is AlertState.SILENCED and case.fine_since is None:
            silencer = self._silencer(case, rules)
            if silencer is None:
                state = AlertState.FIRING if incident.acknowledged is None else AlertState.ACKNOWLEDGED
                again = self.keep(replace(incident, state=state, silenced_by=None))
                what: What = "raised" if incident.notified is None else "reminder"
                yield Change(again, None if state is AlertState.ACKNOWLEDGED else what)
            elif silencer != incident.silenced_by:
                yield Change(self.keep(replace(incident, silenced_by=silencer)))

    def _is_due(self, case: _Case, now: float) -> bool:
        return bool(self._repeat_s) and case.notified_at is not None and now - case.notified_at >= self._repeat_s

    # -- silences and causes

    def _silencer(self, case: _Case, rules: Mapping[str, RuleSettings]) -> str | None:
        """Return the silence, or the alert that is the cause of this one."""
        if (silence := self._silence_of(case.incident)) is not None:
            return silence
        causes = (cause.incident for cause in self._causes_of(case, rules))
        return next((cause.alert_id for cause in causes if cause.state in _TOLD), None)

    def _silence_of(self, incident: Incident) -> str | None:
        wall = self._wall()
        for silence in self.silences.values():
            if silence.starts <= wall < silence.ends and covers(silence.matchers, incident):
                return silence.silence_id
        return None

    def _causes_of(self, case: _Case, rules: Mapping[str, RuleSettings]) -> Iterable[_Case]:
        wanted, labels = _causes(rules, case.incident.rule), case.incident.labels
        for other in self._cases.values() if wanted else ():
            theirs = other.incident.labels
            if other.incident.rule in wanted and all(theirs[name] == labels[name] for name in theirs.keys() & labels):
                yield other


def covers(matchers: Mapping[str, str], incident: Incident) -> bool:
    """Tell whether all of ``matchers`` hold for the incident."""
    facts = {
        **incident.labels, "rule": incident.rule, "alert_id": incident.alert_id, "severity": incident.severity,
    }  # fmt: skip
    return all(facts.get(name) == value for name, value in matchers.items())


def _causes(rules: Mapping[str, RuleSettings], name: str) -> tuple[str, ...]:
    rule = rules.get(name)
    return rule.suppressed_by if rule is not None else ()


def _seconds(earlier: str, later: str) -> float:
    passed = datetime.fromisoformat(later) - datetime.fromisoformat(earlier)
    return max(passed.total_seconds(), 0.0)
