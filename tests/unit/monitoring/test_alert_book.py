"""An alert is pending, fires, is seen to or silenced, and is over; each is told once."""

from datetime import UTC, datetime, timedelta
from typing import Any

from vnpy_core.config.alert_rules import RuleSettings
from vnpy_core.enums import AlertState
from vnpy_core.models import Incident, Silence, to_timestamp
from vnpy_core.monitoring.alerts.book import Book, Change, Held

BEGAN = datetime(2026, 1, 5, 1, 30, tzinfo=UTC)
RULES = {
    "down": RuleSettings(kind="threshold", metric="m", title="x", for_s=10.0, resolve_s=5.0),
    "mute": RuleSettings(kind="threshold", metric="m", title="x", resolve_s=0.0, suppressed_by=("down",)),
}


class Room:
    """A book, and a clock that goes when it is told to."""

    def __init__(self, **options: Any) -> None:
        self.now = 0.0
        self.rules = dict(RULES)
        self.book = self.another(**options)

    def another(self, **options: Any) -> Book:
        return Book(clock=lambda: 1000 + self.now, wall=self.wall, **options)

    def wall(self, ahead_s: float = 0.0) -> str:
        return to_timestamp(BEGAN + timedelta(seconds=self.now + ahead_s))

    def step(self, *alert_ids: str, after: float = 0.0) -> list[Change]:
        self.now += after
        held = {}
        for alert_id in alert_ids:
            rule, _, gateway = alert_id.partition(".")
            held[alert_id] = Held(alert_id, rule, "critical", f"{alert_id} is so", labels={"gateway": gateway})
        return self.book.step(held, self.rules)

    def told(self, *alert_ids: str, after: float = 0.0) -> list[tuple[str, str, str | None]]:
        """Step, give the channels what they are to be told, and return what has changed."""
        changes = self.step(*alert_ids, after=after)
        for change in changes:
            if change.what is not None:
                self.book.told(change.incident, ["ops raised"])
        return [(change.incident.alert_id, change.incident.state.value, change.what) for change in changes]

    def silence(self, starts_s: float, ends_s: float, **matchers: str) -> None:
        made = Silence(
            silence_id="s1", matchers=matchers, starts=self.wall(starts_s), ends=self.wall(ends_s), reason="x",
            created=self.wall(),
        )  # fmt: skip
        self.book.silences["s1"] = made


def test_it_fires_once_when_it_has_lasted_and_is_over_once_it_is_fine_for_long_enough() -> None:
    room = Room()
    assert room.told("down.A") == [("down.A", "PENDING", None)]
    assert room.told("down.A", after=9.0) == []
    assert room.told("down.A", after=1.0) == [("down.A", "FIRING", "raised")]
    assert room.told("down.A", after=60.0) == []
    assert room.told(after=1.0) == []
    assert room.told("down.A", after=4.0) == []  # it was fine for less than resolve_s
    assert room.told(after=1.0) == []
    assert room.told(after=5.0) == [("down.A", "RESOLVED", "resolved")]
    assert room.told(after=60.0) == []
    (incident,) = room.book.incidents()
    assert (incident.began, incident.fired, incident.resolved) == (room.wall(-141), room.wall(-131), room.wall(-60))


def test_what_does_not_last_is_forgotten() -> None:
    room = Room()
    room.told("down.A")
    assert room.told(after=5.0) == [("down.A", "RESOLVED", None)]
    assert list(room.book.incidents()) == []
    assert room.told("down.A", after=20.0) == [("down.A", "PENDING", None)]


def test_a_cause_silences_its_effects_where_their_labels_agree_and_no_others() -> None:
    room = Room()
    room.told("down.A", "mute.A", "mute.B")
    assert [each.state for each in room.book.incidents()] == ["PENDING", "PENDING", "FIRING"]
    assert room.told("down.A", "mute.A", "mute.B", after=10.0) == [
        ("down.A", "FIRING", "raised"), ("mute.A", "SILENCED", None),
    ]  # fmt: skip
    silenced = room.book.current("mute.A")
    assert silenced is not None
    assert silenced.silenced_by == "down.A"
    room.told("mute.A", "mute.B")
    assert room.told("mute.A", "mute.B", after=5.0) == [
        ("down.A", "RESOLVED", "resolved"), ("mute.A", "FIRING", "raised"),
    ]  # fmt: skip


def test_an_effect_that_ends_with_its_cause_is_never_told() -> None:
    room = Room()
    room.told("down.A", "mute.A")
    room.told("down.A", "mute.A", after=10.0)
    assert room.told() == [("mute.A", "RESOLVED", None)]
    assert room.told(after=5.0) == [("down.A", "RESOLVED", "resolved")]


def test_what_was_told_before_its_cause_stays() -> None:
    room = Room()
    assert room.told("mute.A") == [("mute.A", "FIRING", "raised")]
    room.told("down.A", "mute.A")
    assert room.told("down.A", "mute.A", after=10.0) == [("down.A", "FIRING", "raised")]


def test_a_silence_hushes_what_fires_and_what_comes_and_ends_by_itself() -> None:
    room = Room()
    room.told("mute.A")
    room.silence(0, 100, rule="mute")
    assert room.told("mute.A", "mute.B") == [("mute.B", "SILENCED", None), ("mute.A", "SILENCED", None)]
    assert room.told("mute.B", after=50.0) == [("mute.A", "RESOLVED", None)]
    assert room.told("mute.B", after=50.0) == [("mute.B", "FIRING", "raised")]


def test_a_maintenance_window_is_set_in_advance_and_covers_everything() -> None:
    room = Room()
    room.silence(10, 20)
    assert room.told("mute.A")[-1] == ("mute.A", "FIRING", "raised")
    assert room.told("mute.A", after=10.0) == [("mute.A", "SILENCED", None)]
    assert room.told("mute.A", "mute.C", after=5.0) == [("mute.C", "SILENCED", None)]
    assert room.told("mute.A", "mute.C", after=5.0) == [
        ("mute.A", "FIRING", "reminder"), ("mute.C", "FIRING", "raised"),
    ]  # fmt: skip


def test_nobody_is_reminded_of_what_somebody_sees_to() -> None:
    room = Room(repeat_s=100.0)
    room.told("mute.A", "mute.B")
    incident = room.book.current("mute.A")
    assert incident is not None
    change = room.book.acknowledge(incident, "desk", "on it")
    assert (change.incident.state, change.incident.acknowledged_by, change.what) == ("ACKNOWLEDGED", "desk", None)
    assert room.told("mute.A", "mute.B", after=99.0) == []
    assert room.told("mute.A", "mute.B", after=1.0) == [("mute.B", "FIRING", "reminder")]
    assert room.told("mute.A", "mute.B", after=50.0) == []
    assert room.told("mute.A", "mute.B", after=50.0) == [("mute.B", "FIRING", "reminder")]
    assert room.told() == [("mute.A", "RESOLVED", "resolved"), ("mute.B", "RESOLVED", "resolved")]


def test_after_a_restart_it_is_neither_told_again_nor_forgotten() -> None:
    room = Room(repeat_s=100.0)
    room.told("mute.A", "mute.B", "down.C")
    before = list(room.book.incidents())
    room.now += 8.0
    room.book = room.another(repeat_s=100.0)
    room.book.restore(before, lenient_s=30.0)
    assert [each.state for each in room.book.incidents()] == [AlertState.PENDING, AlertState.FIRING, AlertState.FIRING]
    assert room.told(after=1.0) == []  # nothing is measured yet
    assert room.told("mute.A", "down.C", after=1.0) == [("down.C", "FIRING", "raised")]  # its 10 s went on
    assert room.told("mute.A", "down.C", after=27.0) == []
    assert room.told("mute.A", "down.C", after=1.0) == [("mute.B", "RESOLVED", "resolved")]
    assert room.told("mute.A", "down.C", after=62.0) == [("mute.A", "FIRING", "reminder")]
    later: Incident | None = room.book.current("mute.A")
    assert later is not None
    assert later.incident_id < room.book.new_id()


def test_a_rule_that_is_gone_ends_its_alerts() -> None:
    room = Room()
    room.told("mute.A")
    del room.rules["mute"]
    assert room.told() == [("mute.A", "RESOLVED", "resolved")]
