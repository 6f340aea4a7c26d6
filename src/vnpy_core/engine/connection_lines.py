"""What known gateways write to the log when a connection is lost, comes back or is refused: vn.py has no event for it.

Read in the sources of vnpy_ctp 6.7.11.4, vnpy_ctptest, vnpy_tts 6.7.11.0, vnpy_mini 1.6.3.3, vnpy_sopt 3.7.1.2,
vnpy_rohon 6.7.2.5, vnpy_tora 2026.5.14, vnpy_xtp 2.2.32.2.3, vnpy_ib 10.45.1.0, vnpy_binance 2026.8.5,
vnpy_okx 2026.6.10 and vnpy_bybit 2026.6.19. SimGateway tells it by an event, and needs none of this.
"""

import re
from enum import StrEnum

import msgspec


class Side(StrEnum):
    """``MARKET``: without it there are no ticks; ``TRADING``: without it nothing is known of orders."""

    MARKET = "MARKET"
    TRADING = "TRADING"


class News(StrEnum):
    LOST = "LOST"
    BACK = "BACK"
    REFUSED = "REFUSED"


class Sign(msgspec.Struct, frozen=True):
    """What a line says of one of the gateway's connections; ``name`` tells those of one side apart."""

    side: Side
    news: News
    name: str


class Connections:
    """The connections of one gateway that it has said are lost."""

    def __init__(self) -> None:
        self._lost: dict[str, Side] = {}

    def note(self, sign: Sign) -> None:
        if sign.news is News.LOST:
            self._lost[sign.name] = sign.side
        elif sign.news is News.BACK:
            self._lost.pop(sign.name, None)

    def lost(self, side: Side) -> bool:
        return side in self._lost.values()

    def regain(self, side: Side) -> None:
        """Take all of one side to be there."""
        self._lost = {name: each for name, each in self._lost.items() if each is not side}

    def clear(self) -> None:
        self._lost.clear()


class Recovery(StrEnum):
    """What a gateway does about a lost connection by itself.

    ``ALWAYS``: it tries from the first ``connect`` on, for ever; a second ``connect`` beside it would be a second
    login. ``ONCE_CONNECTED``: it comes back, but does not repeat a first attempt that failed. ``NEVER``: nothing.
    """

    ALWAYS = "ALWAYS"
    ONCE_CONNECTED = "ONCE_CONNECTED"
    NEVER = "NEVER"


# Names of what is behind, as the gateways write them: 行情 market data, 交易 trading.
_CHINESE = {"行情": Side.MARKET, "交易": Side.TRADING}
_FRONT = r"(?P<name>行情|交易)服务器"
_LINES: tuple[tuple[re.Pattern[str], News], ...] = tuple(
    (re.compile(pattern), news)
    for pattern, news in (
        (rf"^{_FRONT}连接断开", News.LOST),
        (rf"^{_FRONT}登录成功", News.BACK),
        (rf"^{_FRONT}(?:登录失败|授权验证失败)", News.REFUSED),
        (r"^(?P<name>IB TWS)连接断开", News.LOST),
        (r"^(?P<name>IB TWS)连接成功", News.BACK),
        (r"^(?P<name>(?:\w+ )*API) disconnected\b", News.LOST),
        (r"^(?P<name>(?:\w+ )*API) connected\b", News.BACK),
        (r"^(?P<name>(?:\w+ )*API) login failed\b", News.REFUSED),
        (r"^(?P<name>(?:Public|Private|Trade) websocket stream(?: of \S+)?) is disconnected\b", News.LOST),
        (r"^(?P<name>(?:Public|Private|Trade) websocket stream(?: of \S+)?) is connected\b", News.BACK),
        (r"^(?P<name>(?:Private|Trade) websocket stream) login failed\b", News.REFUSED),
    )
)
_MARKET_WORDS = frozenset({"MD", "Public"})

_RECOVERY = {
    **dict.fromkeys(("vnpy_ctp", "vnpy_ctptest", "vnpy_tts", "vnpy_mini", "vnpy_sopt", "vnpy_rohon"), Recovery.ALWAYS),
    **dict.fromkeys(("vnpy_tora",), Recovery.ALWAYS),
    **dict.fromkeys(("vnpy_xtp", "vnpy_binance", "vnpy_okx", "vnpy_bybit"), Recovery.ONCE_CONNECTED),
    "vnpy_ib": Recovery.ALWAYS,  # its timer connects whenever the client is not connected
}


def read_line(line: str) -> Sign | None:
    """Return what a gateway's log line says of a connection; ``None``, as for most lines: nothing."""
    for pattern, news in _LINES:
        found = pattern.search(line)
        if found is not None:
            name = found["name"]
            return Sign(_side(name), news, _same_both_ways(name))
    return None


def recovery_of(kind: type) -> Recovery:
    """Return what is known of a gateway class, by the packages it and its bases come from."""
    for base in kind.__mro__:
        known = _RECOVERY.get(base.__module__.partition(".")[0])
        if known is not None:
            return known
    return Recovery.NEVER


def _side(name: str) -> Side:
    if name in _CHINESE:
        return _CHINESE[name]
    return Side.MARKET if _MARKET_WORDS & set(name.split()) else Side.TRADING


def _same_both_ways(name: str) -> str:
    """vnpy_binance says "Public API connected", and "MD Public API disconnected" of the same one."""
    return name.replace("MD Public", "Public")
