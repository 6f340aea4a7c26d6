"""What the service says of itself: liveness, readiness, status. Shapes of answers, never facts."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

from vnpy_core.enums import StrategyState
from vnpy_core.models import GatewayStatus, Timestamp


class Dependency(msgspec.Struct, frozen=True, kw_only=True):
    """One thing the service stands on, and how it is. ``needed``: without it the service is not ready."""

    name: Annotated[str, msgspec.Meta(examples=["journal", "database", "history", "event_engine", "gateway.SIM"])]
    state: Literal["UP", "DEGRADED", "DOWN"]
    needed: bool = True
    detail: Annotated[str | None, msgspec.Meta(description="Why it is not UP")] = None
    since: Annotated[Timestamp | None, msgspec.Meta(description="When it came to be in this state")] = None


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """``ready`` is false while a needed dependency is DOWN, and at the start until the gateways that are connected by
    then have been reconciled; what is found different shows in ``dependencies`` alone."""

    ready: bool
    dependencies: list[Dependency]


class Liveness(msgspec.Struct, frozen=True, kw_only=True):
    """``alive`` is false when the event thread is dead or has made no progress; an answer at all proves the loop."""

    alive: bool
    event_thread: Annotated[bool, msgspec.Meta(description="The event thread runs and makes progress")]
    loop_lag_ms: Annotated[float | None, msgspec.Meta(description="How late the loop ran a timer the last time")] = None
    detail: str | None = None


class EventEngineStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The event thread: what waits, how late events are dispatched, and the handlers that raised."""

    running: bool
    queue_depth: int
    processed: int
    lag_p50_ms: float | None = None
    lag_p99_ms: float | None = None
    lag_max_ms: float | None = None
    handler_ms: Annotated[float | None, msgspec.Meta(description="Time spent in handlers since the start")] = None
    errors: int = 0
    errors_by_handler: Mapping[str, int] = msgspec.field(default_factory=dict)
    high_water_reached: bool = False


class BridgeStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The way from the event thread to the loop; only ticks are ever dropped there."""

    buffered: int = 0
    translated: int = 0
    ticks_dropped: int = 0


class JournalStatus(msgspec.Struct, frozen=True, kw_only=True):
    """``pending``: facts that are not on disk yet, and so not shown to anyone."""

    first_seq: int | None
    last_seq: int
    pending: int
    healthy: bool
    detail: str | None = None


class SinkStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What facts are copied to: the last ``seq`` of which it has everything, and how much it still has to store."""

    name: Annotated[str, msgspec.Meta(examples=["sql", "cache"])]
    position: int
    lag: int
    healthy: bool
    detail: str | None = None
    since: Annotated[Timestamp | None, msgspec.Meta(description="When it became healthy, or stopped being so")] = None
    dead_letters: Annotated[
        int, msgspec.Meta(description="Facts it has put aside since the start, because they can never be stored")
    ] = 0


class HistoryStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The recorder of ticks and bars, and the spool on disk in which ticks wait for the history store.

    Counts are since the start.
    """

    recording: bool
    healthy: bool
    detail: str | None = None
    since: Annotated[Timestamp, msgspec.Meta(description="When it became healthy, or stopped being so")]
    pending: Annotated[int, msgspec.Meta(description="Ticks that are not stored yet")] = 0
    in_memory: Annotated[int, msgspec.Meta(description="Those of them that a crash would cost")] = 0
    spooled: Annotated[int, msgspec.Meta(description="Ticks that came to the spool")] = 0
    spool_bytes: int = 0
    spool_segments: int = 0
    oldest_age_s: Annotated[float | None, msgspec.Meta(description="How long the oldest of them has waited")] = None
    stored: int = 0
    dropped: Annotated[int, msgspec.Meta(description="Ticks that went because too many waited, or for too long")] = 0
    refused: Annotated[int, msgspec.Meta(description="Those put aside, which the store refused for their content")] = 0
    torn: Annotated[int, msgspec.Meta(description="Ticks of a write that a crash of the last run has cut off")] = 0
    damaged: Annotated[int, msgspec.Meta(description="Ticks in damaged files, which were put aside")] = 0


class BusStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The message bus; how far the facts are is told by the sink ``bus``."""

    transport: Annotated[str, msgspec.Meta(examples=["memory", "nats", "redis"])]
    address: Annotated[str, msgspec.Meta(examples=["nats://127.0.0.1:4222"])]
    healthy: bool = True
    detail: str | None = None
    market_sent: Annotated[int, msgspec.Meta(description="Ticks, bars and log lines sent since the start")] = 0
    market_dropped: Annotated[int, msgspec.Meta(description="Those that the server did not take in time")] = 0
    facts_rejected: Annotated[int, msgspec.Meta(description="Facts that the server never takes, for their size")] = 0
    takes_commands: Annotated[bool, msgspec.Meta(description="Commands of other services are taken now")] = False
    commands: Annotated[int, msgspec.Meta(description="Commands that came since the start")] = 0


class SessionStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One WebSocket client. ``conflated``: ticks it was not sent because a later one of that symbol had come, and it
    was slow. What it holds back itself by ``throttle_ms`` is not counted."""

    session_id: str
    client: Annotated[str | None, msgspec.Meta(examples=["127.0.0.1:50412"])]
    connected: Timestamp
    topics: list[str]
    sent_events: int
    sent_frames: int
    sent_bytes: int
    conflated: int
    dropped: Annotated[int, msgspec.Meta(description="Log lines and bars dropped because the client is slow")]
    queued_facts: int
    queued_market: int
    queued_bytes: Annotated[int, msgspec.Meta(description="About so much waits to be sent")] = 0
    lag_ms: Annotated[float, msgspec.Meta(description="Age of the oldest that waits to be sent; 0: nothing does")] = 0
    encoding: Annotated[str, msgspec.Meta(examples=["json", "msgpack"])] = "json"
    throttle_ms: Annotated[int, msgspec.Meta(description="Of each symbol a tick at most so often; 0: every one")] = 0


class SessionTotals(msgspec.Struct, frozen=True, kw_only=True):
    """What all WebSocket clients together were sent, and not sent, since the start."""

    events: int = 0
    frames: int = 0
    bytes: int = 0
    conflated: int = 0
    dropped: int = 0

    def with_one(self, session: SessionStatus) -> "SessionTotals":
        return SessionTotals(
            events=self.events + session.sent_events,
            frames=self.frames + session.sent_frames,
            bytes=self.bytes + session.sent_bytes,
            conflated=self.conflated + session.conflated,
            dropped=self.dropped + session.dropped,
        )


class SystemStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Everything an operator looks at first."""

    service: Annotated[str, msgspec.Meta(examples=["vnpy-core"])]
    version: Annotated[str, msgspec.Meta(examples=["0.1.0"])]
    started: Timestamp
    uptime_s: float
    pid: int
    python: Annotated[str, msgspec.Meta(examples=["3.11.9"])]
    timezone: Annotated[str, msgspec.Meta(examples=["Asia/Shanghai"])]
    ready: bool
    versions: Annotated[
        Mapping[str, str], msgspec.Meta(description="vnpy and its apps", examples=[{"vnpy": "4.5.0"}])
    ]
    engines: Annotated[list[str], msgspec.Meta(description="Engines that run", examples=[["CtaStrategy"]])]
    gateways: list[GatewayStatus]
    event_engine: EventEngineStatus
    bridge: BridgeStatus
    journal: JournalStatus
    sinks: list[SinkStatus]
    history: HistoryStatus
    sessions: list[SessionStatus]
    bus: BusStatus
    unknown_orders: Annotated[int, msgspec.Meta(description="Orders sent whose outcome nobody has told")] = 0


class ChannelStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A way by which alerts are told. Its address is a secret, and shown to nobody."""

    name: Annotated[str, msgspec.Meta(examples=["ops"])]
    kind: Annotated[str, msgspec.Meta(description="The scheme of its address", examples=["dingtalk", "tgram", "json"])]
    min_severity: Annotated[str, msgspec.Meta(examples=["warning"])]
    healthy: bool
    detail: Annotated[str | None, msgspec.Meta(description="Why the last message was not taken")] = None
    since: Annotated[Timestamp | None, msgspec.Meta(description="Since when it fails")] = None
    waiting: Annotated[int, msgspec.Meta(description="Notices that wait for it")] = 0
    messages: Annotated[int, msgspec.Meta(description="Messages it has taken since the start")] = 0
    delivered: Annotated[int, msgspec.Meta(description="Notices in them")] = 0
    given_up: Annotated[int, msgspec.Meta(description="Notices that were never delivered")] = 0


class RuleStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A rule of alerts as it holds now. ``source``: who has said so."""

    name: Annotated[str, msgspec.Meta(examples=["gateway_down"])]
    source: Literal["default", "configuration", "api"]
    enabled: bool
    kind: Annotated[str, msgspec.Meta(examples=["threshold", "rate", "absence", "raised"])]
    metric: Annotated[str, msgspec.Meta(examples=["vnpy_core_gateway_missing"])] = ""
    topic: Annotated[str, msgspec.Meta(examples=["risk.rejected"])] = ""
    match: Mapping[str, str] = {}
    op: Annotated[str, msgspec.Meta(examples=[">"])] = ">"
    value: float = 0.0
    window_s: float = 60.0
    for_s: float = 0.0
    resolve_s: float = 0.0
    severity: Annotated[str, msgspec.Meta(examples=["critical"])] = "warning"
    title: str = ""
    title_zh: str = ""
    suppressed_by: list[str] = []
    updated: Timestamp | None = None
    updated_by: str | None = None


class ChannelTest(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a test message."""

    name: Annotated[str, msgspec.Meta(examples=["ops"])]
    delivered: bool
    detail: Annotated[str | None, msgspec.Meta(description="Why it was not taken")] = None


class SavedState(msgspec.Struct, frozen=True, kw_only=True):
    """What a strategy's variables were saved as, ``pos`` among them. ``removed``: one of its name was removed then."""

    revision: Annotated[int, msgspec.Meta(description="Grows with every save")]
    datetime: Timestamp
    variables: Mapping[str, Any]
    removed: bool = False


class StrategyError(msgspec.Struct, frozen=True, kw_only=True):
    """What went wrong with a strategy: its code raised (``FAILED``), or kept the event thread (``SLOW``)."""

    kind: Literal["FAILED", "SLOW"]
    datetime: Timestamp
    summary: str
    traceback: Annotated[str, msgspec.Meta(description="Of the exception; if SLOW, where the code was")]
    callback: str | None = None
    took_s: Annotated[
        float | None, msgspec.Meta(description="How long the callback took; null while it goes on")
    ] = None


class PositionStanding(msgspec.Struct, frozen=True, kw_only=True):
    """A strategy's ``pos`` beside its recorded trades. ``difference`` is ``pos`` less ``traded`` and ``beyond_trades``.

    ``UNCHECKED``: the recorded trades cannot be read now.
    """

    strategy_name: str
    state: Annotated[Literal["AGREES", "DIFFERS", "UNCHECKED"], msgspec.Meta(examples=["AGREES"])]
    pos: float
    traded: Annotated[float | None, msgspec.Meta(description="Bought less sold, by all trades on record")] = None
    beyond_trades: Annotated[
        float | None, msgspec.Meta(description="What it began with, or somebody accepted, beside its trades")
    ] = None
    difference: float | None = None
    set_by: Annotated[str | None, msgspec.Meta(description="Who said what is beyond its trades")] = None
    set_at: Timestamp | None = None
    detail: str | None = None


class StrategyPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What the service brings the strategy to when it starts, and who said so last."""

    strategy_name: Annotated[str, msgspec.Meta(examples=["demo"])]
    engine: Annotated[str, msgspec.Meta(examples=["CtaStrategy"])]
    is_active: Annotated[bool, msgspec.Meta(description="Whether its engine has it at all")]
    auto_start: bool
    desired_state: StrategyState
    version: Annotated[int, msgspec.Meta(description="Counts the changes of its row, also of its parameters")]
    updated_by: Annotated[str, msgspec.Meta(description="The user, or where it came from; empty: the service itself")]
    updated: Timestamp
