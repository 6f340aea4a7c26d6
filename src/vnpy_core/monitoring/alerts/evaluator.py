"""Evaluator: which rules hold now, by the metrics as they are read and the events as they come."""

import operator
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from vnpy_core.config.alert_rules import RuleSettings
from vnpy_core.events import Event, matches

Labels = tuple[tuple[str, str], ...]
# Every sample by its name and sorted labels.
Readings = Mapping[tuple[str, Labels], float]

_COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    ">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le, "==": operator.eq, "!=": operator.ne,
}  # fmt: skip
_MAX_ID = 200
_MAX_TOPICS = 10_000


class Finding(msgspec.Struct, frozen=True):
    """A rule that holds for one set of labels. ``value``: what was measured, if anything was."""

    rule: str
    labels: Mapping[str, str]
    value: float | None = None

    @property
    def alert_id(self) -> str:
        return ".".join((self.rule, *(self.labels[name] for name in sorted(self.labels))))[:_MAX_ID]


class _Growth:
    """What a counter was within a window."""

    def __init__(self, at: float, value: float) -> None:
        self._samples = deque([(at, value)])

    def take(self, at: float, value: float, window_s: float) -> float:
        """Return how much it has grown within ``window_s``; a counter that fell has begun anew."""
        samples = self._samples
        if value < samples[-1][1]:
            samples.clear()
            samples.append((at, 0.0))
        samples.append((at, value))
        while len(samples) > 2 and samples[1][0] <= at - window_s:
            samples.popleft()
        return value - samples[0][1]


class Evaluator:
    """Loop only. ``clock`` is in seconds, and never goes back."""

    def __init__(self, rules: Mapping[str, RuleSettings], clock: Callable[[], float]) -> None:
        self._clock = clock
        self._looked_at: float | None = None
        self._began = clock()
        self._growths: dict[tuple[str, Labels], _Growth] = {}
        self._seen_at: dict[str, float] = {}
        self._counts: dict[str, int] = {}
        self._concerned: dict[str, tuple[str, ...]] = {}
        self.set_rules(rules)

    def set_rules(self, rules: Mapping[str, RuleSettings]) -> None:
        """Go by these from now on; what a rule that is the same has seen so far counts on."""
        before = getattr(self, "_rules", {})
        self._rules = {name: rule for name, rule in rules.items() if rule.enabled and rule.kind != "raised"}
        changed = {name for name in before if self._rules.get(name) != before[name]}
        self._growths = {key: growth for key, growth in self._growths.items() if key[0] not in changed}
        self._seen_at = {name: at for name, at in self._seen_at.items() if name not in changed}
        now = self._clock()
        for name in self._rules:
            self._seen_at.setdefault(name, now)
        self._of_events = {name: rule for name, rule in self._rules.items() if rule.topic}
        self._concerned.clear()

    def on_events(self, events: Sequence[Event]) -> None:
        """Take note of what is published, as far as a rule asks for it."""
        if not self._of_events:
            return
        for event in events:
            for name in self._concerned_by(event.topic):
                if _has(event.data, self._of_events[name].match):
                    self._counts[name] = self._counts.get(name, 0) + 1
                    self._seen_at[name] = self._clock()

    def _concerned_by(self, topic: str) -> tuple[str, ...]:
        found = self._concerned.get(topic)
        if found is None:
            if len(self._concerned) >= _MAX_TOPICS:
                self._concerned.clear()
            names = (name for name, rule in self._of_events.items() if matches(rule.topic, topic))
            found = self._concerned[topic] = tuple(names)
        return found

    def evaluate(self, readings: Readings) -> list[Finding]:
        """Return what holds now."""
        now = self._clock()
        wanted = {rule.metric for rule in self._rules.values() if rule.metric}
        series: dict[str, list[tuple[Labels, float]]] = {}
        for (name, labels), value in readings.items():
            if name in wanted:
                series.setdefault(name, []).append((labels, value))
        found: list[Finding] = []
        for name, rule in self._rules.items():
            samples = [
                (labels, value) for labels, value in series.get(rule.metric, ()) if _fits(dict(labels), rule.match)
            ]
            found += self._held(name, rule, samples, now)
        self._looked_at = now
        return found

    def _held(
        self, name: str, rule: RuleSettings, samples: Iterable[tuple[Labels, float]], now: float
    ) -> Iterator[Finding]:
        compare = _COMPARE[rule.op]
        if rule.kind == "absence":
            if rule.metric and samples:
                self._seen_at[name] = now
            silent_s = now - self._seen_at[name]
            if silent_s > rule.window_s:
                yield Finding(name, rule.match, silent_s)
            return
        if rule.topic:
            samples = [(tuple(sorted(rule.match.items())), float(self._counts.get(name, 0)))]
        for labels, value in samples:
            measured = value if rule.kind == "threshold" else self._grown(name, labels, value, rule.window_s, now)
            if compare(measured, rule.value):
                yield Finding(name, dict(labels), measured)

    def _grown(self, name: str, labels: Labels, value: float, window_s: float, now: float) -> float:
        growth = self._growths.get((name, labels))
        if growth is None:
            # A counter that was not there when it was looked at before has grown from nothing since.
            is_new = self._looked_at is not None
            growth = self._growths[name, labels] = _Growth(self._looked_at or now, 0.0 if is_new else value)
        return growth.take(now, value, window_s)


def _fits(labels: Mapping[str, str], match: Mapping[str, str]) -> bool:
    return all(labels.get(name) == value for name, value in match.items())


def _has(data: Any, match: Mapping[str, str]) -> bool:
    return all(str(getattr(data, name, "")) == value for name, value in match.items())
