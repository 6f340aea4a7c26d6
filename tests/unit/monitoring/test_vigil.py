"""The vigil: a thread that stalls is told of once, with what holds it, and once more when it goes on."""

import threading
from collections.abc import Iterator
from queue import Empty, SimpleQueue

import pytest
from vnpy.event import Event

from vnpy_core.engine.event_engine import CoreEventEngine
from vnpy_core.models import Alert
from vnpy_core.monitoring.vigil import Vigil

WAIT_S = 10.0


class Heart:
    """A loop's, made up."""

    silent_s = 0.0
    thread_id: int | None = None


class Watch:
    """A vigil over a real event engine and a made-up loop."""

    def __init__(self) -> None:
        self.engine = CoreEventEngine(0.02)
        self.heart = Heart()
        self.alerts: SimpleQueue[Alert] = SimpleQueue()
        self.beats: SimpleQueue[None] = SimpleQueue()
        self.entered, self.opened = threading.Event(), threading.Event()
        self.engine.register("eHold", self.hold)
        self.engine.start()
        self.vigil = Vigil(
            self.engine, self.heart, self.alerts.put, stalled_after_s=0.2,
            alive=lambda: self.beats.put(None), beat_s=0.02,
        )  # fmt: skip

    def hold(self, event: Event) -> None:
        self.entered.set()
        assert self.opened.wait(WAIT_S)

    def stall(self) -> Alert:
        self.engine.put(Event("eHold"))
        assert self.entered.wait(WAIT_S)
        return self.alerts.get(timeout=WAIT_S)

    def beats_stop(self) -> bool:
        """No beat comes for a quarter of a second, after those that were on their way."""
        while not self.beats.empty():
            self.beats.get()
        try:
            self.beats.get(timeout=0.25)
        except Empty:
            return True
        return False


@pytest.fixture
def watch() -> Iterator[Watch]:
    made = Watch()
    made.vigil.start()
    yield made
    made.opened.set()
    made.vigil.close()
    made.engine.stop()


def test_a_stalled_event_thread_is_told_of_with_its_holder_and_when_it_goes_on(watch: Watch) -> None:
    watch.beats.get(timeout=WAIT_S)
    alert = watch.stall()
    assert (alert.alert_id, alert.severity, alert.resolved) == ("event_thread_stalled", "critical", False)
    assert "test_vigil.Watch.hold holds it" in alert.summary
    assert watch.beats_stop()
    assert watch.vigil.stalls == {"event_thread": 1, "loop": 0}
    watch.opened.set()
    assert watch.alerts.get(timeout=WAIT_S).resolved
    watch.beats.get(timeout=WAIT_S)
    assert watch.alerts.empty()


def test_a_stalled_loop_is_told_of_with_its_place(watch: Watch) -> None:
    watch.heart.thread_id = threading.get_ident()
    watch.heart.silent_s = 0.3
    alert = watch.alerts.get(timeout=WAIT_S)
    assert alert.alert_id == "loop_stalled"
    assert "test_a_stalled_loop_is_told_of_with_its_place" in alert.summary
    assert watch.beats_stop()
    watch.heart.silent_s = 0.0
    assert watch.alerts.get(timeout=WAIT_S).resolved
    watch.beats.get(timeout=WAIT_S)


def test_an_event_thread_that_has_ended_is_told_of(watch: Watch) -> None:
    watch.engine.stop()
    alert = watch.alerts.get(timeout=WAIT_S)
    assert (alert.alert_id, alert.resolved) == ("event_thread_stalled", False)
    assert "has ended" in alert.summary
    assert watch.beats_stop()


def test_while_the_service_stops_nothing_is_judged_and_the_beats_go_on(watch: Watch) -> None:
    watch.vigil.rest()
    watch.engine.stop()
    watch.heart.silent_s = 100.0
    for _ in range(5):
        watch.beats.get(timeout=WAIT_S)
    assert watch.alerts.empty()
