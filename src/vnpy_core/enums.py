"""vn.py's enumerations by name, and the localized values accepted for them on input.

vn.py translates the *values* of its enums with gettext, so ``Direction.LONG.value`` is ``Long`` or ``多``
depending on the server's locale. Names never change; they are what travels.
"""

from enum import StrEnum
from typing import TypeVar


class Direction(StrEnum):
    LONG = "LONG"
    SHORT = "SHORT"
    NET = "NET"


class Offset(StrEnum):
    NONE = "NONE"
    OPEN = "OPEN"
    CLOSE = "CLOSE"
    CLOSETODAY = "CLOSETODAY"
    CLOSEYESTERDAY = "CLOSEYESTERDAY"


class OrderStatus(StrEnum):
    """vn.py's order states, and ``UNKNOWN``: sent, and nobody has said what became of it."""

    SUBMITTING = "SUBMITTING"
    NOTTRADED = "NOTTRADED"
    PARTTRADED = "PARTTRADED"
    ALLTRADED = "ALLTRADED"
    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"
    UNKNOWN = "UNKNOWN"


ACTIVE_STATUSES = frozenset({OrderStatus.SUBMITTING, OrderStatus.NOTTRADED, OrderStatus.PARTTRADED})
FINAL_STATUSES = frozenset({OrderStatus.ALLTRADED, OrderStatus.CANCELLED, OrderStatus.REJECTED})


class TradingState(StrEnum):
    """What risk control lets through: everything, what reduces positions, or nothing that runs by itself."""

    ACTIVE = "ACTIVE"
    REDUCING = "REDUCING"
    HALTED = "HALTED"


class OrderType(StrEnum):
    LIMIT = "LIMIT"
    MARKET = "MARKET"
    STOP = "STOP"
    FAK = "FAK"
    FOK = "FOK"
    RFQ = "RFQ"
    ETF = "ETF"


class Product(StrEnum):
    EQUITY = "EQUITY"
    FUTURES = "FUTURES"
    OPTION = "OPTION"
    INDEX = "INDEX"
    FOREX = "FOREX"
    SPOT = "SPOT"
    ETF = "ETF"
    BOND = "BOND"
    WARRANT = "WARRANT"
    SPREAD = "SPREAD"
    FUND = "FUND"
    CFD = "CFD"
    SWAP = "SWAP"


class OptionType(StrEnum):
    CALL = "CALL"
    PUT = "PUT"


class Interval(StrEnum):
    MINUTE = "MINUTE"
    HOUR = "HOUR"
    DAILY = "DAILY"
    WEEKLY = "WEEKLY"
    TICK = "TICK"


class StopOrderStatus(StrEnum):
    WAITING = "WAITING"
    CANCELLED = "CANCELLED"
    TRIGGERED = "TRIGGERED"


class GatewayState(StrEnum):
    """``FAILED``: the class could not be loaded, or the connection attempt ended in an error."""

    DISCONNECTED = "DISCONNECTED"
    CONNECTING = "CONNECTING"
    CONNECTED = "CONNECTED"
    STALE = "STALE"
    FAILED = "FAILED"


class StrategyState(StrEnum):
    """``ADDED`` → ``INITING`` → ``INITED`` → ``TRADING``; ``FAILED`` carries the traceback in ``error``.

    In any other state ``error`` says what keeps ticks from it, or is null.

    ``REMOVED`` is the last thing said about a strategy.
    """

    ADDED = "ADDED"
    INITING = "INITING"
    INITED = "INITED"
    TRADING = "TRADING"
    FAILED = "FAILED"
    REMOVED = "REMOVED"


class ServiceStatus(StrEnum):
    """How a service of the registry says it is; UNHEALTHY also if it says something that nobody understands."""

    STARTING = "STARTING"
    HEALTHY = "HEALTHY"
    UNHEALTHY = "UNHEALTHY"
    STOPPING = "STOPPING"


class Role(StrEnum):
    """What a user is; see ``security.scopes`` for what each may do."""

    VIEWER = "viewer"
    TRADER = "trader"
    ADMIN = "admin"


class Scope(StrEnum):
    """One kind of thing that may be done. ADMIN is one of its own, and includes no other."""

    TRADING_READ = "trading:read"
    TRADING_WRITE = "trading:write"
    STRATEGY_READ = "strategy:read"
    STRATEGY_WRITE = "strategy:write"
    DATA_READ = "data:read"
    DATA_WRITE = "data:write"
    RISK_READ = "risk:read"
    RISK_WRITE = "risk:write"
    SYSTEM_READ = "system:read"
    ADMIN = "admin"


class AlertState(StrEnum):
    """Where an alert stands. PENDING: its condition does not last long enough yet."""

    PENDING = "PENDING"
    FIRING = "FIRING"
    ACKNOWLEDGED = "ACKNOWLEDGED"
    SILENCED = "SILENCED"
    RESOLVED = "RESOLVED"


class Exchange(StrEnum):
    CFFEX = "CFFEX"
    SHFE = "SHFE"
    CZCE = "CZCE"
    DCE = "DCE"
    INE = "INE"
    GFEX = "GFEX"
    SSE = "SSE"
    SZSE = "SZSE"
    BSE = "BSE"
    SHHK = "SHHK"
    SZHK = "SZHK"
    SGE = "SGE"
    WXE = "WXE"
    CFETS = "CFETS"
    XBOND = "XBOND"
    SMART = "SMART"
    NYSE = "NYSE"
    NASDAQ = "NASDAQ"
    ARCA = "ARCA"
    EDGEA = "EDGEA"
    ISLAND = "ISLAND"
    BATS = "BATS"
    IEX = "IEX"
    AMEX = "AMEX"
    TSE = "TSE"
    NYMEX = "NYMEX"
    COMEX = "COMEX"
    GLOBEX = "GLOBEX"
    IDEALPRO = "IDEALPRO"
    CME = "CME"
    ICE = "ICE"
    SEHK = "SEHK"
    HKFE = "HKFE"
    SGX = "SGX"
    CBOT = "CBOT"
    CBOE = "CBOE"
    CFE = "CFE"
    DME = "DME"
    EUREX = "EUREX"
    APEX = "APEX"
    LME = "LME"
    BMD = "BMD"
    TOCOM = "TOCOM"
    EUNX = "EUNX"
    KRX = "KRX"
    OTC = "OTC"
    IBKRATS = "IBKRATS"
    LOCAL = "LOCAL"
    GLOBAL = "GLOBAL"


_E = TypeVar("_E", bound=StrEnum)

# vn.py's values in its two languages; a name or an untranslated value needs no entry.
_LOCALIZED: dict[type[StrEnum], dict[str, str]] = {
    Direction: {"Long": "LONG", "多": "LONG", "Short": "SHORT", "空": "SHORT", "Net": "NET", "净": "NET"},
    Offset: {
        "": "NONE",
        "Open": "OPEN", "开": "OPEN",
        "Close": "CLOSE", "平": "CLOSE",
        "Close Today": "CLOSETODAY", "平今": "CLOSETODAY",
        "Close Yesterday": "CLOSEYESTERDAY", "平昨": "CLOSEYESTERDAY",
    },
    OrderStatus: {
        "Submitting": "SUBMITTING", "提交中": "SUBMITTING",
        "Not Traded": "NOTTRADED", "未成交": "NOTTRADED",
        "Part Traded": "PARTTRADED", "部分成交": "PARTTRADED",
        "All Traded": "ALLTRADED", "全部成交": "ALLTRADED",
        "Cancelled": "CANCELLED", "已撤销": "CANCELLED",
        "Rejected": "REJECTED", "拒单": "REJECTED",
    },
    OrderType: {"Limit": "LIMIT", "限价": "LIMIT", "Market": "MARKET", "市价": "MARKET", "询价": "RFQ"},
    Product: {
        "Stock": "EQUITY", "股票": "EQUITY", "Futures": "FUTURES", "期货": "FUTURES",
        "Option": "OPTION", "期权": "OPTION", "Index": "INDEX", "指数": "INDEX",
        "Forex": "FOREX", "外汇": "FOREX", "Spot": "SPOT", "现货": "SPOT",
        "Bond": "BOND", "债券": "BOND", "Warrant": "WARRANT", "权证": "WARRANT",
        "Spread": "SPREAD", "价差": "SPREAD", "Fund": "FUND", "基金": "FUND",
        "Swap": "SWAP", "互换": "SWAP",
    },
    OptionType: {"Call": "CALL", "看涨期权": "CALL", "Put": "PUT", "看跌期权": "PUT"},
    Interval: {"1m": "MINUTE", "1h": "HOUR", "d": "DAILY", "w": "WEEKLY", "tick": "TICK"},
    StopOrderStatus: {
        "Waiting": "WAITING", "等待中": "WAITING",
        "Cancelled": "CANCELLED", "已撤销": "CANCELLED",
        "Triggered": "TRIGGERED", "已触发": "TRIGGERED",
    },
    Exchange: {"EUX": "EUREX"},
}  # fmt: skip


def parse_enum(kind: type[_E], text: str) -> _E:
    """Return the member that ``text`` names, by name or by vn.py's English or Chinese value.

    Raises:
        ValueError: ``text`` is neither; the message lists the names.
    """
    member = kind.__members__.get(_LOCALIZED.get(kind, {}).get(text, text))
    if member is None:
        raise ValueError(f"{text!r} is not one of {', '.join(kind.__members__)}")
    return member
