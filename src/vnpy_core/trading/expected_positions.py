"""ExpectedPositions: what a venue's positions should be: the last ones known, with all trades since."""

from collections import defaultdict

from vnpy_core.enums import Direction, Offset
from vnpy_core.models import Position, Trade
from vnpy_core.trading.reconciliation import Difference, Known

EPSILON = 1e-9
_NET, _SIDES, _MIXED = range(3)  # how the trades of a symbol count: all net, all by side, or each by its offset
_WAYS = (_NET, _SIDES, _MIXED)
_NEW = 1 << 62


class ExpectedPositions:
    """Sums are kept by symbol, so that a trade costs the same however many were told. Nothing is expected of a gateway
    that was never heard before."""

    def __init__(self, known: Known) -> None:
        self._known = known
        self._expects = not known.is_nothing
        self._told: dict[str, Position] = {}
        self._new: dict[str, Trade] = {}
        self._keys: dict[str, dict[str, None]] = defaultdict(dict)
        self._two_sided: set[str] = set()
        self._held: set[str] = set()
        self._changes: dict[str, tuple[dict[str, float], ...]] = defaultdict(lambda: tuple({} for _ in _WAYS))
        self._touched: dict[str, None] = {}
        self._differing: dict[str, dict[str, Difference]] = {}
        for _, position in known.positions.values():
            self._take(position)
        for seq, trade in known.trades.values():
            self._add(trade, seq)

    @property
    def told(self) -> int:
        return len(self._told)

    def untold(self) -> list[Position]:
        """Return the known positions of which the venue says nothing."""
        return [position for key, (_, position) in self._known.positions.items() if key not in self._told]

    def hear_position(self, position: Position) -> None:
        self._told[position.key] = position
        self._take(position)

    def hear_trade(self, trade: Trade) -> None:
        if trade.key in self._known.trades:
            return
        if (before := self._new.get(trade.key)) is not None:
            self._add(before, _NEW, -1.0)
        self._new[trade.key] = trade
        self._add(trade, _NEW)

    def differences(self) -> list[Difference]:
        """Return what is not as expected; looks anew at the symbols of which something was told."""
        for vt_symbol in self._touched if self._expects else ():
            found = self._look(vt_symbol)
            if found:
                self._differing[vt_symbol] = found
            else:
                self._differing.pop(vt_symbol, None)
        self._touched.clear()
        by_key = {key: each for found in self._differing.values() for key, each in found.items()}
        return [by_key[key] for key in sorted(by_key)]

    def _take(self, position: Position) -> None:
        vt_symbol = position.vt_symbol
        self._keys[vt_symbol][position.key] = None
        self._held.add(vt_symbol)
        if position.direction is not Direction.NET:
            self._two_sided.add(vt_symbol)
        self._touched[vt_symbol] = None

    def _add(self, trade: Trade, seq: int, sign: float = 1.0) -> None:
        for way in _WAYS:
            net = way == _NET or (way == _MIXED and trade.offset is Offset.NONE)
            key, change = effect_of(trade, net=net)
            known = self._known.positions.get(key)
            if known is None or seq > known[0]:
                changes = self._changes[trade.vt_symbol][way]
                changes[key] = changes.get(key, 0.0) + sign * change
                self._touched[trade.vt_symbol] = None

    def _look(self, vt_symbol: str) -> dict[str, Difference]:
        one_sided = _NET if vt_symbol in self._held else _MIXED
        way = _SIDES if vt_symbol in self._two_sided else one_sided
        changes = self._changes[vt_symbol][way]
        found = {}
        for key in self._keys[vt_symbol].keys() | changes.keys():
            known, told = self._known.positions.get(key), self._told.get(key)
            was = (known[1].volume if known is not None else 0.0) + changes.get(key, 0.0)
            now = told.volume if told is not None else 0.0
            if abs(was - now) > EPSILON:
                found[key] = Difference(
                    kind="position",
                    key=key,
                    vt_symbol=vt_symbol,
                    known=f"{was:g}",
                    venue=f"{now:g}" if told is not None else None,
                    difference=now - was,
                    detail="It is not what the position before and the trades since make it.",
                )
        return found


def effect_of(trade: Trade, *, net: bool = False) -> tuple[str, float]:
    """Return the key of the position that a trade changes, and by how much."""
    buys = trade.direction is Direction.LONG
    base = f"{trade.gateway_name}.{trade.vt_symbol}"
    if net:
        return f"{base}.{Direction.NET}", trade.volume if buys else -trade.volume
    opens = trade.offset in (Offset.OPEN, Offset.NONE)
    long = buys == opens
    return f"{base}.{Direction.LONG if long else Direction.SHORT}", trade.volume if opens else -trade.volume
