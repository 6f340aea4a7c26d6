"""Vigil: looks from a thread of its own whether the loop and the event thread go on, and says what holds one that does
not: in the log with its stack, in an alert, and to systemd by silence."""

import logging
import threading
import time
import traceback
from collections.abc import Callable
from typing import Protocol

import msgspec

from vnpy_core.engine.event_watch import Occupation, Watched, frame_of, occupation_of
from vnpy_core.models import Alert, now_timestamp

EVENT_THREAD, LOOP = "event_thread", "loop"
ALERT_IDS = {EVENT_THREAD: "event_thread_stalled", LOOP: "loop_stalled"}
_LONGEST_LOOK_S = 1.0

logger = logging.getLogger(__name__)


class Engine(Watched, Protocol):
    """The event engine, as far as it is watched."""

    @property
    def stalled_s(self) -> float: ...
    def is_alive(self) -> bool: ...


class Heartbeat(Protocol):
    """What tells that the loop goes on."""

    @property
    def silent_s(self) -> float: ...
    @property
    def thread_id(self) -> int | None: ...


class Stall(msgspec.Struct, frozen=True, kw_only=True):
    """One of both makes no progress. ``holder`` says in a few words what holds it, as far as that can be seen."""

    what: str
    for_s: float
    holder: str
    stack: str

    @property
    def summary(self) -> str:
        name = "The event thread" if self.what == EVENT_THREAD else "The loop"
        return f"{name} has made no progress for {self.for_s:.0f} s: {self.holder}"


class Vigil:
    """``emit`` is called on this thread with an alert when something stalls, and with another when it goes on.

    ``alive`` is called at least every ``beat_s``, but only while both go on. Nothing here waits for what it watches.
    """

    def __init__(
        self,
        engine: Engine,
        heartbeat: Heartbeat,
        emit: Callable[[Alert], None],
        *,
        stalled_after_s: float,
        alive: Callable[[], None] = lambda: None,
        beat_s: float | None = None,
    ) -> None:
        self._engine = engine
        self._heartbeat = heartbeat
        self._emit = emit
        self._alive = alive
        self._stalled_after_s = stalled_after_s
        self._every_s = min(_LONGEST_LOOK_S, stalled_after_s / 5, *(() if beat_s is None else (beat_s,)))
        self._began: dict[str, float] = {}
        self._said: dict[str, float] = {}
        self.stalls = {EVENT_THREAD: 0, LOOP: 0}
        self._resting = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="vigil", daemon=True)

    def start(self) -> None:
        """Begin to look; once."""
        self._thread.start()

    def rest(self) -> None:
        """Judge no more, as both are about to stop: that has time limits of its own. ``alive`` goes on."""
        self._resting.set()

    def close(self) -> None:
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join(1.0)

    def _run(self) -> None:
        while True:
            try:
                if self._resting.is_set() or not self._look():
                    self._alive()
            except Exception:  # a watch that ends by what it sees would not be missed until it is needed
                logger.exception("The threads could not be looked at")
            if self._closing.wait(self._every_s):
                return

    def _look(self) -> bool:
        """Tell whether anything stalls."""
        engine = self._engine
        for_s = engine.stalled_s if engine.is_alive() else float("inf")
        stalls = self._judge(EVENT_THREAD, for_s)
        return self._judge(LOOP, self._heartbeat.silent_s) or stalls

    def _judge(self, what: str, for_s: float) -> bool:
        now = time.monotonic()
        if for_s <= self._stalled_after_s:
            if (began := self._began.pop(what, None)) is not None:
                del self._said[what]
                self._say_it_goes_on(what, now - began)
            return False
        if what not in self._began:
            self._began[what] = now - min(for_s, self._stalled_after_s)
            self.stalls[what] += 1
            stall = self._seen(what, now - self._began[what])
            self._log(stall)
            self._emit(_alert(what, stall.summary, resolved=False))
            self._said[what] = for_s
        elif for_s >= 2 * self._said[what] and for_s != float("inf"):  # at 5, 10, 20, 40 s …: it may be somewhere else
            self._log(self._seen(what, now - self._began[what]))
            self._said[what] = for_s
        return True

    def _seen(self, what: str, for_s: float) -> Stall:
        if what == EVENT_THREAD and not self._engine.is_alive():
            return Stall(what=what, for_s=for_s, holder="it has ended; start the service again", stack="")
        if what == EVENT_THREAD:
            occupation = occupation_of(self._engine)
            stack = occupation.stack if occupation is not None else ""
            return Stall(what=what, for_s=for_s, holder=holder_of(occupation), stack=stack)
        frame = frame_of(self._heartbeat.thread_id)
        if frame is None:
            return Stall(what=what, for_s=for_s, holder="it does not run", stack="")
        place = f"{frame.f_code.co_qualname} in {frame.f_code.co_filename}, line {frame.f_lineno}"
        return Stall(what=what, for_s=for_s, holder=place, stack="".join(traceback.format_stack(frame)))

    def _log(self, stall: Stall) -> None:
        logger.critical("%s\n%s", stall.summary, stall.stack)

    def _say_it_goes_on(self, what: str, took_s: float) -> None:
        name = "The event thread" if what == EVENT_THREAD else "The loop"
        summary = f"{name} goes on, after {took_s:.0f} s"
        logger.warning("%s", summary)
        self._emit(_alert(what, summary, resolved=True))


def holder_of(occupation: Occupation | None) -> str:
    """Return what holds the event thread, in a few words."""
    if occupation is None:
        return "nothing holds it, and yet its timer is not heard"
    if occupation.owner is not None:
        return f"{occupation.kind} {occupation.owner} holds it in {occupation.callback}"
    return f"{occupation.callback} holds it"


def _alert(what: str, summary: str, *, resolved: bool) -> Alert:
    return Alert(
        alert_id=ALERT_IDS[what], severity="critical", summary=summary, datetime=now_timestamp(), resolved=resolved
    )
