"""AlertDesk: looks at the rules, keeps the book of alerts on disk, and has the channels tell of them."""

import asyncio
import contextlib
import functools
import logging
import socket
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import ParamSpec, Protocol
from zoneinfo import ZoneInfo

from msgspec.structs import replace

from vnpy_core.config.alert_rules import SEVERITIES
from vnpy_core.config.alert_settings import AlertSettings, ChannelSettings
from vnpy_core.data.journal_file import Latest
from vnpy_core.enums import AlertState
from vnpy_core.errors import NotFound
from vnpy_core.events import Event, decode_fact
from vnpy_core.models import Alert, AlertRule, Incident, Model, Silence, now_timestamp
from vnpy_core.monitoring.alerts.apprise_sender import apprise_sender
from vnpy_core.monitoring.alerts.book import KEPT, Book, Change, Held, What
from vnpy_core.monitoring.alerts.channel import Channel, Outcome, Sender
from vnpy_core.monitoring.alerts.evaluator import Evaluator, Readings
from vnpy_core.monitoring.alerts.message_gate import MessageGate
from vnpy_core.monitoring.alerts.rulebook import RuleBook
from vnpy_core.monitoring.alerts.texts import Notice, summary_of
from vnpy_core.reports import ChannelStatus

CLOSE_S = 3.0
P = ParamSpec("P")
# What alerts of strategies begin with: their rule, and the label that the rest is.
_RULES_OF_STRATEGIES: Mapping[str, tuple[str, str]] = {
    "strategy.failed.": ("strategy_failed", "strategy"),
    "strategy.slow.": ("callback_slow", "strategy"),
    "algo.slow.": ("callback_slow", "algo"),
    "handler.slow.": ("callback_slow", "handler"),
    "strategy.stop_orders.": ("stop_orders_ended", "strategy"),
}

logger = logging.getLogger(__name__)


class FactTable(Protocol):
    def values(self) -> Iterable[Event]: ...


class Tells(Protocol):
    """The pipeline, as far as alerts need it."""

    def subscribe(self, callback: Callable[[Sequence[Event]], None]) -> None: ...
    def watch(self, callback: Callable[[Model], None]) -> None: ...
    def emit(self, model: Model) -> None: ...
    def emit_in_company(self, model: Model) -> None: ...
    async def commit(self, model: Model) -> Event: ...


class Past(Protocol):
    """The journal, as far as alerts need it."""

    async def latest(self, kind: str, newest: int) -> Sequence[Latest]: ...


class AlertDesk:
    """Loop only, but for ``messages``. ``open`` before anything can raise an alert, ``close`` before the pipeline ends.

    Alerts have two sources: rules, which are looked at every ``evaluate_s``, and ``Alert`` facts that other parts emit.
    The facts are taken up as they are emitted, not once they are on disk: that the disk is full is one of them.
    """

    def __init__(
        self,
        settings: AlertSettings,
        pipeline: Tells,
        alerts: FactTable,
        *,
        gateways: Collection[str] = (),
        zone: ZoneInfo | None = None,
        make_sender: Callable[[ChannelSettings], Sender] = apprise_sender,
    ) -> None:
        self._settings = settings
        self._pipeline = pipeline
        self._announced = {
            each.data.alert_id for each in alerts.values() if isinstance(each.data, Alert) and not each.data.resolved
        }
        self._gateways = sorted(gateways, key=len, reverse=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self.book = Book(repeat_s=settings.repeat_s)
        self.rulebook = RuleBook(settings)
        self._evaluator = Evaluator(self.rulebook.rules, time.monotonic)
        self._found: dict[str, Held] = {}
        self._raised: dict[str, Held] = {}
        self._telling = False
        self._failures = 0
        source = settings.source or socket.gethostname()
        self.channels = {
            name: Channel(
                name, each, make_sender, self._on_outcome_threadsafe, language=settings.language, source=source,
                zone=zone, group_s=settings.group_s,
            )
            for name, each in settings.channels.items()
        }  # fmt: skip
        self.messages = MessageGate(self._pass_on_threadsafe, settings.messages_per_min)

    async def open(self, journal: Past) -> None:
        """Go on where the last process stopped, and start the channels.

        Raises:
            Unavailable: the journal cannot be read.
        """
        self._loop = asyncio.get_running_loop()
        self.rulebook.take([each for each in await _read(journal, AlertRule) if isinstance(each, AlertRule)])
        self._evaluator.set_rules(self.rulebook.rules)
        for silence in await _read(journal, Silence):
            if isinstance(silence, Silence) and not silence.over:
                self.book.silences[silence.silence_id] = silence
        incidents = [each for each in await _read(journal, Incident) if isinstance(each, Incident)]
        self.book.restore(incidents, self._settings.restart_s)
        self._pipeline.watch(self._on_fact)
        self._pipeline.subscribe(self._evaluator.on_events)
        for channel in self.channels.values():
            channel.open()
        for incident in incidents:
            for delivery in incident.outstanding:
                self._offer(incident, delivery)
        for alert_id in tuple(self._announced):
            if not self._settings.enabled or self.book.current(alert_id) is None:
                over = Alert(
                    alert_id=alert_id, severity="info", summary="It is over", datetime=now_timestamp(), resolved=True
                )
                self._announce(over)

    async def run(self, read: Callable[[], Readings]) -> None:
        """Look at the rules again and again; never returns."""
        while self._settings.enabled:
            try:
                self.look(read())
            except Exception:
                self._failures += 1
                if self._failures in (1, 10, 100) or not self._failures % 1000:
                    logger.exception("The rules of alerts could not be looked at (failure %d)", self._failures)
            self.messages.flush()
            await asyncio.sleep(self._settings.evaluate_s)

    def look(self, readings: Readings) -> None:
        """Take up what is measured now."""
        rules = self.rulebook.rules
        language = self._settings.language
        self._found = {}
        for finding in self._evaluator.evaluate(readings):
            rule = rules[finding.rule]
            self._found[finding.alert_id] = Held(
                finding.alert_id, finding.rule, rule.severity,
                summary_of(rule, finding.rule, finding.labels, finding.value, language),
                labels=finding.labels, value=finding.value,
            )  # fmt: skip
        self._end_silences()
        self._step()

    async def close(self) -> None:
        """Give the channels a moment to deliver what waits; what they do not is delivered after the next start."""
        closing = [asyncio.to_thread(channel.close, CLOSE_S) for channel in self.channels.values()]
        await asyncio.gather(*closing)
        await asyncio.sleep(0)  # what they have told at last

    # -- what is asked of it

    def incident(self, incident_id: str) -> Incident:
        """Raises:
        NotFound: no such alert, or it is long over.
        """
        found = self.book.get(incident_id)
        if found is None:
            raise NotFound(f"There is no alert {incident_id!r}.", code="unknown_alert")
        return found

    async def save(self, fact: AlertRule | Silence) -> None:
        """Put a rule or a silence on disk, and go by it from then on.

        Raises:
            Unavailable: it is not on disk, and nothing has changed.
        """
        await self._pipeline.commit(fact)
        if isinstance(fact, AlertRule):
            self.rulebook.take([fact])
            self._evaluator.set_rules(self.rulebook.rules)
        elif fact.over:
            self.book.silences.pop(fact.silence_id, None)
        else:
            self.book.silences[fact.silence_id] = fact
        self._step()

    def acknowledge(self, incident: Incident, who: str, note: str) -> Incident:
        change = self.book.acknowledge(incident, who, note)
        self._apply([change])
        return change.incident

    def channel_statuses(self) -> list[ChannelStatus]:
        return [channel.status() for channel in self.channels.values()]

    # -- where alerts come from

    def _on_fact(self, data: Model) -> None:
        if not isinstance(data, Alert) or self._telling or not self._settings.enabled:
            return
        name, labels = self._parts_of(data)
        rule = self.rulebook.rules.get(name)
        if data.resolved:
            self._announced.discard(data.alert_id)
            if self._raised.pop(data.alert_id, None) is None and self.book.current(data.alert_id) is None:
                return
            self._apply([] if data.alert_id in self._found else self.book.resolve(data.alert_id), told=True)
            self._step()
            return
        self._announced.add(data.alert_id)
        if rule is not None and not rule.enabled:
            return
        severity = rule.severity if rule is not None and self.rulebook.is_changed(name) else data.severity
        summary = data.summary
        if self._settings.language == "zh" and rule is not None:
            summary = summary_of(rule, name, labels, None, "zh")
        self._raised[data.alert_id] = Held(
            data.alert_id[:250], name, severity, summary, data.summary if summary != data.summary else "", labels
        )
        self._step()

    def _parts_of(self, alert: Alert) -> tuple[str, Mapping[str, str]]:
        """Return the rule of an alert, and its labels; if it says neither, as its id is made."""
        for prefix, (name, label) in _RULES_OF_STRATEGIES.items():
            if alert.alert_id.startswith(prefix):
                return name, {label: alert.alert_id.removeprefix(prefix)}
        name, _, rest = alert.alert_id.partition(".")
        if alert.rule or alert.labels or not rest:
            return (alert.rule or name)[:128], alert.labels
        gateway = next((each for each in self._gateways if rest == each or rest.startswith(f"{each}.")), rest)
        labels = {"gateway": "*" if rest == "*" else gateway}
        if len(rest) > len(gateway):
            labels["vt_symbol"] = rest[len(gateway) + 1 :]
        return name[:128], labels

    def _pass_on_threadsafe(self, sender: str, text: str) -> None:
        self._on_loop(self._message, sender, text)

    def _message(self, sender: str, text: str) -> None:
        """Take up what a strategy has sent: over as it begins, and delivered like an alert."""
        now = now_timestamp()
        incident = Incident(
            incident_id=self.book.new_id(), alert_id=f"message.{sender}", rule="message", severity="info",
            summary=sender or "vn.py", detail=text, labels={"sender": sender}, state=AlertState.RESOLVED, began=now,
            fired=now, resolved=now,
        )  # fmt: skip
        self._tell(self.book.keep(incident), "message")

    # -- what becomes of them

    def _step(self) -> None:
        rules = self.rulebook.rules
        found = {key: held for key, held in self._found.items() if held.rule in rules}
        held = {key: held for key, held in (found | self._raised).items() if self._is_watched(held.rule)}
        self._apply(self.book.step(held, rules))

    def _is_watched(self, name: str) -> bool:
        rule = self.rulebook.rules.get(name)
        return rule is None or rule.enabled

    def _apply(self, changes: Sequence[Change], *, told: bool = False) -> None:
        """``told``: the facts of these have been told by who raises them."""
        for change in changes:
            incident = change.incident
            if not told:
                self._tell_everybody(incident)
            if change.what is not None:
                self._tell(incident, change.what)
            else:
                self._pipeline.emit_in_company(incident)

    def _tell_everybody(self, incident: Incident) -> None:
        """Emit the fact of an alert that begins or is over, unless that has been told."""
        over = incident.state is AlertState.RESOLVED
        if incident.fired is not None and over is (incident.alert_id in self._announced):
            self._announce(
                Alert(
                    alert_id=incident.alert_id, severity=incident.severity, summary=incident.summary,
                    datetime=now_timestamp(), resolved=over, rule=incident.rule, labels=incident.labels,
                )
            )  # fmt: skip

    def _announce(self, alert: Alert) -> None:
        if alert.resolved:
            self._announced.discard(alert.alert_id)
        else:
            self._announced.add(alert.alert_id)
        self._telling = True
        try:
            self._pipeline.emit(alert)
        finally:
            self._telling = False

    def _tell(self, incident: Incident, what: What) -> None:
        logger.log(
            logging.INFO if what in ("resolved", "message") else logging.WARNING,
            "Alert %s %s: %s", incident.alert_id, what, incident.summary,
        )  # fmt: skip
        deliveries = [f"{name} {what}" for name, each in self.channels.items() if _wants(each.settings, incident, what)]
        if what == "resolved":
            given = {each.partition(" ")[0] for each in (*incident.outstanding, *incident.delivered, *incident.failed)}
            deliveries = [each for each in deliveries if each.partition(" ")[0] in given]
        incident = self.book.told(incident, deliveries)
        self._pipeline.emit_in_company(incident)
        for delivery in deliveries:
            self._offer(incident, delivery)

    def _offer(self, incident: Incident, delivery: str) -> None:
        name, _, what = delivery.partition(" ")
        channel = self.channels.get(name)
        known: tuple[What, ...] = ("raised", "resolved", "reminder", "message")
        told = next((each for each in known if each == what), None)
        if channel is None or told is None:
            self._settle(incident.incident_id, delivery, delivered=False)
        else:
            channel.offer(Notice(incident, told, delivery))

    def _on_outcome_threadsafe(self, outcome: Outcome) -> None:
        self._on_loop(self._on_outcome, outcome)

    def _on_loop(self, work: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to tell
            if self._loop is not None:
                self._loop.call_soon_threadsafe(functools.partial(work, *args, **kwargs))

    def _on_outcome(self, outcome: Outcome) -> None:
        for notice in outcome.notices:
            self._settle(notice.incident.incident_id, notice.delivery, delivered=outcome.reason is None)

    def _settle(self, incident_id: str, delivery: str, *, delivered: bool) -> None:
        incident = self.book.get(incident_id)
        if incident is None:
            return
        left = list(incident.outstanding)
        if delivery in left:
            left.remove(delivery)
        made, failed = (list(dict.fromkeys((*each, delivery))) for each in (incident.delivered, incident.failed))
        settled = replace(incident, outstanding=left, **({"delivered": made} if delivered else {"failed": failed}))
        self._pipeline.emit(self.book.keep(settled))  # at once: until it is on disk, a crash would have it told again

    def _end_silences(self) -> None:
        now = now_timestamp()
        for silence in [each for each in self.book.silences.values() if each.ends <= now]:
            del self.book.silences[silence.silence_id]
            self._pipeline.emit_in_company(replace(silence, over=True))


def _wants(settings: ChannelSettings, incident: Incident, what: What) -> bool:
    if what == "message":
        return settings.messages
    if what == "resolved" and not settings.resolved:
        return False
    ranks: Sequence[str] = SEVERITIES
    severity = incident.severity if incident.severity in ranks else "warning"
    is_severe = ranks.index(severity) >= ranks.index(settings.min_severity)
    return is_severe and any(fnmatchcase(incident.rule, pattern) for pattern in settings.rules)


async def _read(journal: Past, kind: type[Model]) -> list[Model]:
    return [
        decode_fact(latest.record.topic, latest.record.payload) for latest in await journal.latest(kind.topic, KEPT)
    ]
