"""EventWatch: sees from another thread what holds the event thread, while it does; names the strategy, and its stack.

Imports nothing of vn.py: a strategy or an algo is known by the name that its object bears.
"""

import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable
from types import FrameType
from typing import Literal, Protocol

import msgspec

OwnerKind = Literal["strategy", "algo"]

# How vn.py's templates call the attribute with their name: CTA, portfolio, spread; algo.
_NAMES: tuple[tuple[str, OwnerKind], ...] = (("strategy_name", "strategy"), ("algo_name", "algo"))
_LOOKS_EVERY_S = (0.01, 0.1)
_STACK_LENGTH = 16_000
_ENGINE_MODULES = ("vnpy_core.engine.event_engine", "vnpy_core.engine.command_lane")

logger = logging.getLogger(__name__)


class Watched(Protocol):
    """The event engine, as far as it is watched. Both may be read from any thread."""

    @property
    def busy_s(self) -> float:
        """For how long it has been at one event, or at one round of commands; 0: it waits for the next."""
        ...

    @property
    def thread_id(self) -> int | None: ...


class Occupation(msgspec.Struct, frozen=True, kw_only=True):
    """What the event thread is at, as it was seen for ``busy_s``.

    ``owner`` is the strategy or the algo whose code it runs, ``callback`` that one's method which was called first;
    without one, ``callback`` is the handler. ``stack`` is as in a traceback, of the event thread.
    """

    busy_s: float
    kind: OwnerKind | None
    owner: str | None
    callback: str
    stack: str

    @property
    def place(self) -> str:
        """Return the innermost line."""
        return self.stack.strip().rpartition("\n  File ")[2].replace("\n", ":").strip()


class SlowCallback(msgspec.Struct, frozen=True, kw_only=True):
    """A callback that has taken longer than it should. ``ended``: it is over, and took ``occupation.busy_s``."""

    occupation: Occupation
    ended: bool


class _Seen:
    __slots__ = ("callback", "frame", "kind", "owner", "since", "told")

    def __init__(self, frame: FrameType, kind: OwnerKind, owner: str, since: float) -> None:
        self.frame = frame
        self.kind = kind
        self.owner = owner
        self.callback = frame.f_code.co_name
        self.since = since
        self.told: Occupation | None = None


class EventWatch:
    """Looks at the event thread some ten times in ``slow_s``, on a thread of its own, and costs nothing in between.

    ``on_slow`` is called on that thread, once when a callback of a strategy or an algo has lasted for ``slow_s``, and
    once when it has ended; the duration is as exact as the looks are frequent. Code that holds the interpreter as well
    (in C) is seen only once it lets go of it.
    """

    def __init__(self, engine: Watched, on_slow: Callable[[SlowCallback], None], *, slow_s: float) -> None:
        self._engine = engine
        self._on_slow = on_slow
        self._slow_s = slow_s
        self._every_s = min(max(slow_s / 10, _LOOKS_EVERY_S[0]), _LOOKS_EVERY_S[1])
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="event-watch", daemon=True)
        self._seen: _Seen | None = None
        self._looked = 0.0

    def start(self) -> None:
        """Begin to look; once."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(1.0)

    def _run(self) -> None:
        while not self._stopping.wait(self._every_s):
            try:
                self._look()
            except Exception:  # a watch that ends by what it sees would not be missed until it is needed
                logger.exception("What holds the event thread could not be seen")

    def _look(self) -> None:
        now, busy_s = time.monotonic(), self._engine.busy_s
        found = owner_frame(frame_of(self._engine.thread_id)) if busy_s >= self._every_s else None
        if self._seen is not None and (found is None or found[0] is not self._seen.frame):
            self._end(self._seen, now)
        if found is not None:
            if self._seen is None:
                # It was not there at the look before, or began with the event.
                self._seen = _Seen(*found, since=max(now - busy_s, self._looked))
            if self._seen.told is None and now - self._seen.since >= self._slow_s:
                self._begin(self._seen, now)
        self._looked = now

    def _begin(self, seen: _Seen, now: float) -> None:
        frame = frame_of(self._engine.thread_id)
        stack = _stack(frame) if frame is not None else ""
        seen.told = Occupation(
            busy_s=now - seen.since, kind=seen.kind, owner=seen.owner, callback=seen.callback, stack=stack
        )
        self._on_slow(SlowCallback(occupation=seen.told, ended=False))

    def _end(self, seen: _Seen, now: float) -> None:
        self._seen = None
        if seen.told is not None:
            took = msgspec.structs.replace(seen.told, busy_s=now - seen.since)
            self._on_slow(SlowCallback(occupation=took, ended=True))


def occupation_of(engine: Watched) -> Occupation | None:
    """Return what the event thread is at right now; ``None``: it waits for the next event. Callable from any thread."""
    busy_s = engine.busy_s
    frame = frame_of(engine.thread_id) if busy_s else None
    if frame is None:
        return None
    found = owner_frame(frame)
    kind, owner = found[1:] if found is not None else (None, None)
    callback = found[0].f_code.co_name if found is not None else _handler(frame)
    return Occupation(busy_s=busy_s, kind=kind, owner=owner, callback=callback, stack=_stack(frame))


def frame_of(thread_id: int | None) -> FrameType | None:
    """Return the innermost frame of a thread as it is now."""
    return sys._current_frames().get(thread_id) if thread_id is not None else None


def owner_frame(innermost: FrameType | None) -> tuple[FrameType, OwnerKind, str] | None:
    """Return the outermost frame that is a method of a strategy or an algo, which of both, and its name."""
    found = None
    frame = innermost
    while frame is not None:
        if (owner := _owner(frame)) is not None:
            found = (frame, *owner)
        frame = frame.f_back
    return found


def _owner(frame: FrameType) -> tuple[OwnerKind, str] | None:
    code = frame.f_code
    if not code.co_argcount:
        return None
    owner = frame.f_locals.get(code.co_varnames[0])
    if not any(code.co_name in vars(each) for each in type(owner).__mro__):  # a function that was handed a strategy
        return None
    try:  # not getattr for the name: it could run the object's own code, on this thread
        own = object.__getattribute__(owner, "__dict__")
    except AttributeError:
        return None
    for attribute, kind in _NAMES:
        if isinstance(name := own.get(attribute), str):
            return kind, name
    return None


def _handler(innermost: FrameType) -> str:
    """Return the name of what the engine has called: the frame within its own."""
    frame: FrameType | None = innermost
    within = innermost
    while frame is not None and frame.f_globals.get("__name__") not in _ENGINE_MODULES:
        within, frame = frame, frame.f_back
    return f"{within.f_globals.get('__name__')}.{within.f_code.co_qualname}"


def _stack(frame: FrameType) -> str:
    return "".join(traceback.format_stack(frame))[-_STACK_LENGTH:]
