"""The vocabulary (long, as it is one list): what travels over REST, WebSocket, bus and journal, as frozen Structs.

Field names are vn.py's. Enums travel by name, times as ISO 8601 UTC with microseconds and ``+00:00``,
NaN and infinity as ``null`` (msgspec's rule for JSON). Each fact has a ``key``: what it is the latest state of.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from vnpy_core.enums import (
    ACTIVE_STATUSES,
    FINAL_STATUSES,
    AlertState,
    Direction,
    Exchange,
    GatewayState,
    Interval,
    Offset,
    OptionType,
    OrderStatus,
    OrderType,
    Product,
    ServiceStatus,
    StopOrderStatus,
    StrategyState,
    TradingState,
)

Timestamp = Annotated[
    str,
    msgspec.Meta(
        description="ISO 8601, UTC, microseconds",
        examples=["2026-01-05T01:30:00.123456+00:00"],
        extra_json_schema={"format": "date-time"},
    ),
]
VtSymbol = Annotated[str, msgspec.Meta(description="symbol.exchange", examples=["rb2501.SHFE"])]
Symbol = Annotated[str, msgspec.Meta(examples=["rb2501"])]
GatewayName = Annotated[str, msgspec.Meta(examples=["SIM"])]


def to_timestamp(moment: datetime) -> str:
    """Return ``moment`` (aware) as a wire timestamp of fixed width, so that text order is time order."""
    moment = moment.astimezone(UTC)
    if type(moment) is not datetime:  # a subclass, such as that of pandas
        return moment.isoformat(timespec="microseconds")
    # msgspec writes it in 0.06 µs where isoformat takes 0.9 µs, with a Z, and without the fraction if that is zero.
    text: str = msgspec.to_builtins(moment)
    return f"{text[:-1]}{'' if moment.microsecond else '.000000'}+00:00"


def now_timestamp() -> str:
    return to_timestamp(datetime.now(UTC))


class Model(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A thing that travels. ``topic`` is where its events go; ``key`` names what it is the state of."""

    topic: ClassVar[str] = ""

    @property
    def key(self) -> str:
        raise TypeError(f"{type(self).__name__} is not a fact")

    @property
    def is_final(self) -> bool:
        """Nothing more is expected of it: it may be forgotten once it is old. What is not final is always kept."""
        return False


class Order(Model, frozen=True, kw_only=True, gc=False):
    """The latest state of an order."""

    topic: ClassVar[str] = "order.updated"

    vt_orderid: Annotated[str, msgspec.Meta(description="gateway_name.orderid", examples=["SIM.26010500001"])]
    orderid: str
    gateway_name: GatewayName
    symbol: Symbol
    exchange: Exchange
    vt_symbol: VtSymbol
    type: OrderType
    direction: Direction | None
    offset: Offset
    price: float | None
    volume: float
    traded: float
    status: OrderStatus
    datetime: Timestamp | None
    reference: str
    client_order_id: str | None = None
    rejected_reason: str | None = None
    replaces: Annotated[str | None, msgspec.Meta(description="The order it was sent in place of")] = None
    replaced_by: Annotated[str | None, msgspec.Meta(description="The order that was sent in its place")] = None
    external: Annotated[bool, msgspec.Meta(description="As far as is known, another program has sent it")] = False

    @property
    def key(self) -> str:
        return self.vt_orderid

    @property
    def is_active(self) -> bool:
        return self.status in ACTIVE_STATUSES

    @property
    def is_final(self) -> bool:
        return self.status in FINAL_STATUSES


class Trade(Model, frozen=True, kw_only=True, gc=False):
    """One fill of an order."""

    topic: ClassVar[str] = "trade.executed"

    vt_tradeid: Annotated[str, msgspec.Meta(description="gateway_name.tradeid", examples=["SIM.T26010500001"])]
    tradeid: str
    vt_orderid: str
    orderid: str
    gateway_name: GatewayName
    symbol: Symbol
    exchange: Exchange
    vt_symbol: VtSymbol
    direction: Direction | None
    offset: Offset
    price: float | None
    volume: float
    datetime: Timestamp | None

    @property
    def key(self) -> str:
        """Both ids: an exchange gives both sides of a self-trade one trade id, and reuses it another day."""
        return f"{self.vt_tradeid}@{self.vt_orderid}"

    @property
    def is_final(self) -> bool:
        return True


class Position(Model, frozen=True, kw_only=True, gc=False):
    """The holding of one symbol in one direction."""

    topic: ClassVar[str] = "position.updated"

    vt_positionid: Annotated[
        str, msgspec.Meta(description="gateway_name.vt_symbol.DIRECTION", examples=["SIM.rb2501.SHFE.LONG"])
    ]
    gateway_name: GatewayName
    symbol: Symbol
    exchange: Exchange
    vt_symbol: VtSymbol
    direction: Direction
    volume: float
    frozen: float
    price: float | None
    pnl: float | None
    yd_volume: float

    @property
    def key(self) -> str:
        return self.vt_positionid


class Account(Model, frozen=True, kw_only=True, gc=False):
    topic: ClassVar[str] = "account.updated"

    vt_accountid: Annotated[str, msgspec.Meta(description="gateway_name.accountid", examples=["SIM.SIM"])]
    accountid: str
    gateway_name: GatewayName
    balance: float | None
    frozen: float | None
    available: float | None

    @property
    def key(self) -> str:
        return self.vt_accountid


class Contract(Model, frozen=True, kw_only=True, gc=False):
    """A tradable instrument. Reference data: sent by the gateway at each connect, not journaled."""

    vt_symbol: VtSymbol
    symbol: Symbol
    exchange: Exchange
    gateway_name: GatewayName
    name: str
    product: Product
    size: float
    pricetick: float
    min_volume: float
    max_volume: float | None
    stop_supported: bool
    net_position: bool
    history_data: bool
    option_strike: float | None = None
    option_underlying: str | None = None
    option_type: OptionType | None = None
    option_listed: Timestamp | None = None
    option_expiry: Timestamp | None = None
    option_portfolio: str | None = None
    option_index: str | None = None

    @property
    def key(self) -> str:
        return f"{self.gateway_name}.{self.vt_symbol}"


class Tick(Model, frozen=True, kw_only=True, gc=False):
    """A market snapshot: last trade, five levels of the book, statistics of the day."""

    vt_symbol: VtSymbol
    symbol: Symbol
    exchange: Exchange
    gateway_name: GatewayName
    datetime: Timestamp
    localtime: Timestamp | None
    name: str
    volume: float | None
    turnover: float | None
    open_interest: float | None
    last_price: float | None
    last_volume: float | None
    limit_up: float | None
    limit_down: float | None
    open_price: float | None
    high_price: float | None
    low_price: float | None
    pre_close: float | None
    bid_price_1: float | None
    bid_price_2: float | None
    bid_price_3: float | None
    bid_price_4: float | None
    bid_price_5: float | None
    ask_price_1: float | None
    ask_price_2: float | None
    ask_price_3: float | None
    ask_price_4: float | None
    ask_price_5: float | None
    bid_volume_1: float | None
    bid_volume_2: float | None
    bid_volume_3: float | None
    bid_volume_4: float | None
    bid_volume_5: float | None
    ask_volume_1: float | None
    ask_volume_2: float | None
    ask_volume_3: float | None
    ask_volume_4: float | None
    ask_volume_5: float | None

    @property
    def key(self) -> str:
        return self.vt_symbol


class Bar(Model, frozen=True, kw_only=True, gc=False):
    """One bar; ``datetime`` is its start."""

    vt_symbol: VtSymbol
    symbol: Symbol
    exchange: Exchange
    gateway_name: GatewayName
    datetime: Timestamp
    interval: Interval
    volume: float | None
    turnover: float | None
    open_interest: float | None
    open_price: float | None
    high_price: float | None
    low_price: float | None
    close_price: float | None

    @property
    def key(self) -> str:
        return f"{self.vt_symbol}.{self.interval}"


class Strategy(Model, frozen=True, kw_only=True, gc=False):
    """A strategy as the engine has it: settings, variables, and what became of it."""

    topic: ClassVar[str] = "strategy.updated"

    strategy_name: Annotated[str, msgspec.Meta(examples=["demo"])]
    class_name: Annotated[str, msgspec.Meta(examples=["DoubleMaStrategy"])]
    engine: Annotated[str, msgspec.Meta(examples=["CtaStrategy"])]
    vt_symbol: Annotated[str, msgspec.Meta(description="The first of its symbols; empty if it has none")]
    author: str
    state: StrategyState
    inited: bool
    trading: bool
    auto_start: bool
    pos: float | None
    parameters: Mapping[str, Any]
    variables: Mapping[str, Any]
    error: Annotated[
        str | None, msgspec.Meta(description="Traceback of the last failure; if not FAILED: why it gets no ticks")
    ] = None
    desired_state: Annotated[
        StrategyState, msgspec.Meta(description="What it is brought to when the service starts")
    ] = StrategyState.ADDED
    revision: Annotated[int, msgspec.Meta(description="Grows with every change, also across restarts")] = 0
    paused: Annotated[bool, msgspec.Meta(description="Only orders that reduce its pos pass")] = False
    vt_symbols: Annotated[list[str], msgspec.Meta(description="All its symbols", examples=[["rb2501.SHFE"]])] = []
    positions: Annotated[Mapping[str, float | None], msgspec.Meta(description="What it holds of each symbol")] = {}

    @property
    def key(self) -> str:
        return self.strategy_name

    @property
    def symbols(self) -> Sequence[str]:
        return self.vt_symbols or ([self.vt_symbol] if self.vt_symbol else [])

    def position_of(self, vt_symbol: str) -> float | None:
        """Return what it holds of one of its symbols; None: it does not say."""
        return self.positions.get(vt_symbol, self.pos if len(self.symbols) == 1 else None)

    @property
    def is_final(self) -> bool:
        return self.state is StrategyState.REMOVED


class StrategyVariables(Model, frozen=True, kw_only=True, gc=False):
    """What a strategy is given back at its next initialisation, ``pos`` among it. Told before the fills that are in it.

    Internal: journaled and kept with history, and not pushed. ``fills`` are the keys of the last trades that count in
    ``pos``; ``removed``: the strategy is gone, and one of its name begins anew.
    """

    topic: ClassVar[str] = "strategy.variables"

    strategy_name: str
    engine: str
    revision: int
    datetime: Timestamp
    variables: Mapping[str, Any]
    fills: list[str] = msgspec.field(default_factory=list)
    removed: bool = False

    @property
    def key(self) -> str:
        return self.strategy_name

    @property
    def is_final(self) -> bool:
        return self.removed


class StopOrder(Model, frozen=True, kw_only=True, gc=False):
    """A stop order kept by the CTA engine itself, not by the exchange."""

    topic: ClassVar[str] = "stop_order.updated"

    stop_orderid: str
    strategy_name: str
    vt_symbol: VtSymbol
    direction: Direction | None
    offset: Offset
    price: float | None
    volume: float
    status: StopOrderStatus
    vt_orderids: list[str]
    datetime: Timestamp | None
    lock: bool = False
    net: bool = False

    @property
    def key(self) -> str:
        return f"{self.strategy_name}.{self.stop_orderid}"

    @property
    def is_final(self) -> bool:
        return self.status is not StopOrderStatus.WAITING


class Algo(Model, frozen=True, kw_only=True, gc=False):
    """An execution algorithm; after it has finished this is its only record."""

    topic: ClassVar[str] = "algo.updated"

    algo_name: str
    template: str
    vt_symbol: VtSymbol
    direction: Direction
    offset: Offset
    price: float | None
    volume: float
    status: Annotated[str, msgspec.Meta(examples=["RUNNING", "PAUSED", "STOPPED", "FINISHED"])]
    traded: float
    left: float
    traded_price: float | None
    parameters: Mapping[str, Any]
    variables: Mapping[str, Any]
    error: Annotated[str | None, msgspec.Meta(description="Why it was stopped or paused by the engine")] = None

    @property
    def key(self) -> str:
        return self.algo_name

    @property
    def is_final(self) -> bool:
        return self.status in ("STOPPED", "FINISHED")


class RiskRule(Model, frozen=True, kw_only=True, gc=False):
    """A rule of vn.py's RiskManager, named by its class (its own names are Chinese)."""

    topic: ClassVar[str] = "risk.rule"

    class_name: Annotated[str, msgspec.Meta(examples=["OrderSizeRule"])]
    name: str
    parameters: Mapping[str, Any]
    variables: Mapping[str, Any]

    @property
    def key(self) -> str:
        return self.class_name


class RiskRejection(Model, frozen=True, kw_only=True, gc=False):
    """An order that risk control refused before it was sent."""

    topic: ClassVar[str] = "risk.rejected"

    code: Annotated[str, msgspec.Meta(examples=["risk_manager", "account_volume"])]
    reason: str
    vt_symbol: VtSymbol
    gateway_name: GatewayName
    reference: str
    datetime: Timestamp

    @property
    def key(self) -> str:
        return f"{self.gateway_name}.{self.vt_symbol}.{self.datetime}"

    @property
    def is_final(self) -> bool:
        return True


class RiskState(Model, frozen=True, kw_only=True, gc=False):
    """What risk control lets through, of one account or of all."""

    topic: ClassVar[str] = "risk.state"

    scope: Annotated[str, msgspec.Meta(description="A gateway's name; *: all of them", examples=["*", "SIM"])]
    state: TradingState
    reason: Annotated[str, msgspec.Meta(examples=["The feed is wrong"])]
    source: Annotated[
        str,
        msgspec.Meta(description="Who set it", examples=["operator", "kill_switch", "daily_loss", "drawdown"]),
    ]
    since: Timestamp
    revision: Annotated[int, msgspec.Meta(description="Grows with every change of this scope")] = 0

    @property
    def key(self) -> str:
        return self.scope


class RiskLimits(Model, frozen=True, kw_only=True, gc=False):
    """The limits of the account-level layer. ``source``: the configuration, or the API, which then overrides it."""

    topic: ClassVar[str] = "risk.limits"

    limits: Annotated[Mapping[str, Any], msgspec.Meta(description="As PUT takes them; null: no limit")]
    source: Literal["configuration", "api"]
    updated: Timestamp | None

    @property
    def key(self) -> str:
        return "limits"


class RiskDay(Model, frozen=True, kw_only=True, gc=False):
    """What daily loss and drawdown of an account are measured from; since the day began, or trading was resumed."""

    topic: ClassVar[str] = "risk.day"

    vt_accountid: Annotated[str, msgspec.Meta(examples=["SIM.SIM"])]
    gateway_name: GatewayName
    day: Annotated[str, msgspec.Meta(description="The trading day", examples=["2026-01-05"])]
    opening_balance: float
    highest_balance: float

    @property
    def key(self) -> str:
        return self.vt_accountid


class OrderLeft(msgspec.Struct, frozen=True, kw_only=True):
    """An order that a kill switch could not end, and why."""

    vt_orderid: str
    vt_symbol: VtSymbol
    status: OrderStatus
    left: Annotated[float, msgspec.Meta(description="The volume that may still be filled")]
    reason: str


class PositionLeft(msgspec.Struct, frozen=True, kw_only=True):
    """A position that is still open after a kill switch, and why."""

    vt_positionid: str
    vt_symbol: VtSymbol
    volume: float
    reason: str


class KillSwitchReport(Model, frozen=True, kw_only=True, gc=False):
    """What a kill switch has done, and what is left open."""

    topic: ClassVar[str] = "risk.kill_switch"

    started: Timestamp
    ended: Annotated[Timestamp | None, msgspec.Meta(description="null: it runs, or the service ended meanwhile")]
    reason: str
    flatten: bool
    complete: Annotated[bool, msgspec.Meta(description="Nothing that was to be ended is left open")]
    strategies_stopped: list[str]
    algos_stopped: list[str]
    cancels_requested: int
    orders_cancelled: int
    flatten_orders: list[str]
    orders_left: list[OrderLeft]
    positions_left: list[PositionLeft]
    problems: list[str]

    @property
    def key(self) -> str:
        return "kill_switch"


class GatewayStatus(Model, frozen=True, kw_only=True, gc=False):
    topic: ClassVar[str] = "gateway.status"

    gateway_name: GatewayName
    class_path: Annotated[str, msgspec.Meta(examples=["vnpy_core.engine.sim.SimGateway"])]
    state: GatewayState
    detail: Annotated[str | None, msgspec.Meta(description="Why it is not connected")] = None
    exchanges: list[Exchange] = msgspec.field(default_factory=list)
    since: Timestamp | None = None
    recovery: Annotated[
        Literal["GATEWAY", "SERVICE"] | None,
        msgspec.Meta(description="Who brings a lost connection back; null: nobody does, or it is there"),
    ] = None
    connections: Annotated[int, msgspec.Meta(description="How often it has come to be connected")] = 0
    losses: Annotated[int, msgspec.Meta(description="How often the connection was lost")] = 0

    @property
    def key(self) -> str:
        return self.gateway_name


class OrderSpec(msgspec.Struct, frozen=True, kw_only=True):
    """An order as it is asked for. ``price`` is 0 for a market order; ``reference`` says who asks.

    ``marker``, the id of its intent, goes to the venue with the reference, to know the order again by.
    """

    symbol: Symbol
    exchange: Exchange
    direction: Direction
    type: OrderType
    volume: float
    price: float = 0.0
    offset: Offset = Offset.NONE
    reference: str = ""
    marker: str = ""

    @property
    def vt_symbol(self) -> str:
        return f"{self.symbol}.{self.exchange}"


class AlgoSpec(msgspec.Struct, frozen=True, kw_only=True):
    """An execution algorithm as it is asked for; what ``setting`` leaves out is the template's default."""

    template: str
    vt_symbol: VtSymbol
    direction: Direction
    offset: Offset
    price: float
    volume: float
    setting: Mapping[str, Any]


class RiskOrder(msgspec.Struct, frozen=True, gc=False):
    """An order that is to be sent, as risk control looks at it. ``sender`` is the strategy or algo; empty: a client."""

    gateway_name: str
    vt_symbol: str
    is_buy: bool
    offset: Offset
    type: OrderType
    volume: float
    price: float
    sender: str

    @property
    def closes(self) -> bool:
        return self.offset is not Offset.OPEN and self.offset is not Offset.NONE


class OrderIntent(Model, frozen=True, kw_only=True, gc=False):
    """An order about to be sent, and then what became of the sending. Internal: journaled, never published.

    ``outcome`` is null until the engine answered; an intent left so by a crash is an order whose fate is unknown.
    REFUSED: somebody looked at it and said no; NOT_SENT: it came to nobody, and may be tried again.
    """

    topic: ClassVar[str] = "intent"

    intent_id: str
    client_order_id: str | None
    gateway_name: str
    symbol: str
    exchange: Exchange
    direction: Direction
    offset: Offset
    type: OrderType
    price: float
    volume: float
    reference: str
    created: Timestamp
    outcome: Annotated[
        Literal["SENT", "REFUSED", "NOT_SENT", "UNKNOWN"] | None, msgspec.Meta(description="null: not known yet")
    ] = None
    vt_orderid: str | None = None
    reason: Annotated[str | None, msgspec.Meta(description="Why it was not sent, or is not known to be")] = None
    replaces: Annotated[str | None, msgspec.Meta(description="The order it is sent in place of")] = None

    @property
    def key(self) -> str:
        return self.intent_id

    @property
    def is_final(self) -> bool:
        return self.outcome in ("SENT", "REFUSED", "NOT_SENT")


class CommandRecord(Model, frozen=True, kw_only=True, gc=False):
    """A command that came by the bus, and its answer. Internal: journaled, never published.

    If the command comes again, also after a restart, it is answered the same and not done again.
    """

    topic: ClassVar[str] = "command"

    command_id: str
    digest: Annotated[str, msgspec.Meta(description="SHA-256 of topic and body, hexadecimal")]
    answer: Annotated[str, msgspec.Meta(description="The JSON that was answered")]
    answered: Timestamp

    @property
    def key(self) -> str:
        return self.command_id

    @property
    def is_final(self) -> bool:
        return True


class KeyUse(Model, frozen=True, kw_only=True, gc=False):
    """A request that came with an ``Idempotency-Key``, and its answer. Internal: journaled, never published.

    It is on disk before the intents that it brings about. ``status`` is null until they all have an outcome; 503 says
    that nothing was sent, and that the key may be used again.
    """

    topic: ClassVar[str] = "key"

    owner: str
    idempotency_key: str
    digest: Annotated[str, msgspec.Meta(description="SHA-256 of what was asked for, hexadecimal")]
    used: Timestamp
    intent_ids: list[str] = msgspec.field(default_factory=list)
    status: int | None = None
    body: Annotated[str | None, msgspec.Meta(description="The JSON that was answered")] = None

    @property
    def key(self) -> str:
        return f"{self.owner} {self.idempotency_key}"

    @property
    def is_final(self) -> bool:
        return self.status is not None


class AuditEntry(Model, frozen=True, kw_only=True, gc=False):
    """A command, or an attempt to log in: who, what, from where, and what came of it. Internal: journaled and stored
    for those who may read it, never published. ``audit_id`` grows with time."""

    topic: ClassVar[str] = "audit"

    audit_id: str
    actor: Annotated[str, msgspec.Meta(description="The user; of a failed login, who was claimed", examples=["admin"])]
    credential: Annotated[
        str,
        msgspec.Meta(description="The session or API key, or the way", examples=["session:4f1c09", "key:9c0d", "bus"]),
    ]
    address: Annotated[str, msgspec.Meta(examples=["127.0.0.1"])]
    action: Annotated[str, msgspec.Meta(examples=["POST /api/v1/trading/orders"])]
    status: Annotated[int, msgspec.Meta(description="What was answered; 0: the client was gone", examples=[201])]
    code: Annotated[str | None, msgspec.Meta(description="Why it was refused", examples=["order_refused"])] = None
    request_id: str
    detail: Annotated[str, msgspec.Meta(description="JSON: what was asked for, without secrets")] = ""

    @property
    def key(self) -> str:
        return self.audit_id

    @property
    def is_final(self) -> bool:
        return True


class Log(Model, frozen=True, kw_only=True, gc=False):
    """A line of vn.py's log, of an app or of a strategy. Not a fact: kept in a ring, dropped for slow readers."""

    topic: ClassVar[str] = "log"

    source: Annotated[str, msgspec.Meta(examples=["MainEngine", "CtaStrategy", "SIM"])]
    level: Annotated[str, msgspec.Meta(examples=["INFO", "WARNING", "ERROR"])]
    message: str
    datetime: Timestamp
    strategy_name: str | None = None


class Alert(Model, frozen=True, kw_only=True, gc=False):
    """Something an operator must know: raised once, resolved once. What becomes of it is told by its incident."""

    topic: ClassVar[str] = "alert.raised"

    alert_id: Annotated[str, msgspec.Meta(examples=["event_queue_depth"])]
    severity: Annotated[str, msgspec.Meta(examples=["warning", "critical"])]
    summary: str
    datetime: Timestamp
    resolved: bool = False
    rule: Annotated[str, msgspec.Meta(description="The rule that has found it", examples=["gateway_down"])] = ""
    labels: Annotated[Mapping[str, str], msgspec.Meta(examples=[{"gateway": "SIM"}])] = {}

    @property
    def key(self) -> str:
        return self.alert_id


class Incident(Model, frozen=True, kw_only=True, gc=False):
    """One occurrence of an alert, from the first time its condition held until it is over. Internal: journaled and
    stored, shown by ``/alerts``. ``incident_id`` grows with time.

    A delivery is the name of a channel and what it is told: ``ops raised``.
    """

    topic: ClassVar[str] = "alert.incident"

    incident_id: Annotated[str, msgspec.Meta(examples=["187a3c5d2e4f6071"])]
    alert_id: Annotated[str, msgspec.Meta(description="Equal for the same trouble", examples=["gateway_down.SIM"])]
    rule: Annotated[str, msgspec.Meta(examples=["gateway_down"])]
    severity: Annotated[str, msgspec.Meta(examples=["info", "warning", "critical"])]
    summary: Annotated[str, msgspec.Meta(examples=["Gateway SIM is not connected"])]
    detail: Annotated[str, msgspec.Meta(description="The rest of what is known")] = ""
    labels: Annotated[Mapping[str, str], msgspec.Meta(examples=[{"gateway": "SIM"}])] = {}
    value: Annotated[float | None, msgspec.Meta(description="What was measured when it began")] = None
    state: AlertState
    began: Annotated[Timestamp, msgspec.Meta(description="When the condition was first true")]
    fired: Annotated[Timestamp | None, msgspec.Meta(description="When it had lasted long enough")] = None
    acknowledged: Timestamp | None = None
    acknowledged_by: Annotated[str | None, msgspec.Meta(examples=["admin"])] = None
    note: Annotated[str, msgspec.Meta(description="Of who acknowledged it")] = ""
    silenced_by: Annotated[
        str | None, msgspec.Meta(description="A silence, or the alert that is its cause", examples=["gateway_down.SIM"])
    ] = None
    resolved: Timestamp | None = None
    notified: Annotated[Timestamp | None, msgspec.Meta(description="When the channels were last given it")] = None
    outstanding: Annotated[list[str], msgspec.Meta(description="Deliveries that are not made yet")] = []
    delivered: Annotated[list[str], msgspec.Meta(examples=[["ops raised"]])] = []
    failed: Annotated[list[str], msgspec.Meta(description="Deliveries that were given up")] = []

    @property
    def key(self) -> str:
        return self.incident_id

    @property
    def is_final(self) -> bool:
        return self.state is AlertState.RESOLVED and not self.outstanding


class AlertRule(Model, frozen=True, kw_only=True, gc=False):
    """A rule that was set over the API; it holds instead of the configured one until it is removed. Internal:
    journaled and stored."""

    topic: ClassVar[str] = "alert.rule"

    name: str
    rule: Annotated[Mapping[str, Any], msgspec.Meta(description="What it sets, as PUT takes it")]
    removed: bool = False
    updated: Timestamp
    updated_by: str = ""

    @property
    def key(self) -> str:
        return self.name

    @property
    def is_final(self) -> bool:
        return self.removed


class Silence(Model, frozen=True, kw_only=True, gc=False):
    """Alerts that nobody is to be told of for a while: those of which all of ``matchers`` hold, by ``rule``,
    ``alert_id``, ``severity`` or a label; without any, all of them (a maintenance window). Internal: journaled and
    stored, shown by ``/alerts/silences``."""

    topic: ClassVar[str] = "alert.silence"

    silence_id: Annotated[str, msgspec.Meta(examples=["187a3c5d2e4f6072"])]
    matchers: Annotated[Mapping[str, str], msgspec.Meta(examples=[{"rule": "feed_mute", "gateway": "SIM"}])]
    starts: Timestamp
    ends: Timestamp
    reason: Annotated[str, msgspec.Meta(examples=["The exchange is closed for maintenance"])]
    created: Timestamp
    created_by: str = ""
    over: Annotated[bool, msgspec.Meta(description="Its time has passed, or it was ended")] = False

    @property
    def key(self) -> str:
        return self.silence_id

    @property
    def is_final(self) -> bool:
        return self.over


# Facts are journaled before anyone sees them and are never dropped; the order is that of the topics in the docs.
FACTS: tuple[type[Model], ...] = (
    Order, Trade, Position, Account, Strategy, StopOrder, Algo, RiskRejection, RiskRule, RiskState, RiskLimits, RiskDay,
    KillSwitchReport, GatewayStatus, Alert,
    OrderIntent, KeyUse, CommandRecord, AuditEntry, StrategyVariables, Incident, AlertRule, Silence,
)  # fmt: skip


class HistoryOverview(Model, frozen=True, kw_only=True, gc=False):
    """What the history store holds of one series; ``interval`` is TICK for ticks."""

    vt_symbol: VtSymbol
    symbol: Symbol
    exchange: Exchange
    interval: Interval
    count: int
    start: Timestamp
    end: Timestamp

    @property
    def key(self) -> str:
        return f"{self.vt_symbol}.{self.interval}"


class Download(msgspec.Struct, frozen=True, kw_only=True):
    """Bars that were downloaded and stored: how many, from whom, and the first and the last of them."""

    vt_symbol: VtSymbol
    interval: Interval
    source: Annotated[str, msgspec.Meta(description="The gateway, or `datafeed`", examples=["SIM"])]
    count: int
    start: Timestamp
    end: Timestamp
    notes: Annotated[list[str], msgspec.Meta(description="What the source said meanwhile")] = []


class ServiceInstance(Model, frozen=True, kw_only=True, gc=False):
    """A running service as the registry lists it. ``weight``: its share of the requests, beside others of its name."""

    name: Annotated[str, msgspec.Meta(examples=["vnpy-core"])]
    host: Annotated[str, msgspec.Meta(examples=["10.0.0.12"])]
    port: Annotated[int, msgspec.Meta(ge=0, le=65535, examples=[8006])]
    version: str
    status: ServiceStatus
    metadata: Mapping[str, Any] = msgspec.field(default_factory=dict)
    tags: list[str] = msgspec.field(default_factory=list)
    health_check_url: Annotated[str | None, msgspec.Meta(examples=["http://10.0.0.12:8006/health/ready"])] = None
    weight: Annotated[int, msgspec.Meta(ge=0)] = 100
    register_time: Timestamp | None = None
    last_heartbeat: Timestamp | None = None

    @property
    def key(self) -> str:
        return f"{self.name}:{self.host}:{self.port}"
