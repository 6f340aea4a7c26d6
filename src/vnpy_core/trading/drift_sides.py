"""What strategies believe to hold and what accounts hold, by gateway and symbol; and what is told of the comparison."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Literal, Protocol

import msgspec

from vnpy_core.enums import Direction, StrategyState
from vnpy_core.events import Event
from vnpy_core.models import Contract, GatewayName, Model, Position, Strategy, VtSymbol

Key = tuple[str, str]
DriftState = Literal["WAITING", "SETTLING", "AGREES", "DRIFTED"]
_DIGITS = 9


class Drift(msgspec.Struct, frozen=True, kw_only=True):
    """One symbol of one account. ``drift`` is ``account`` less ``strategies`` and ``others``.

    ``WAITING``: for the gateway, or for the position of a strategy; ``SETTLING``: fills may be on their way, or the
    others' part is about to be taken for the first time; ``DRIFTED``: an alert is raised.
    """

    gateway_name: GatewayName
    vt_symbol: VtSymbol
    state: Annotated[DriftState, msgspec.Meta(examples=["AGREES"])]
    strategies: Annotated[float | None, msgspec.Meta(description="The sum of the strategies' pos")]
    others: Annotated[
        float | None,
        msgspec.Meta(description="Of no strategy: there when they were first compared, with others' trades since"),
    ]
    account: Annotated[float, msgspec.Meta(description="What the account holds, long less short")]
    drift: float | None
    positions: Annotated[Mapping[str, float | None], msgspec.Meta(description="pos by strategy")]
    detail: str | None = None


class Rows(Protocol):
    evicted_seq: int

    def values(self) -> Iterable[Event]: ...
    def get(self, key: str) -> Event | None: ...


class Tables(Protocol):
    """The read model, as far as it is compared."""

    @property
    def orders(self) -> Rows: ...
    @property
    def trades(self) -> Rows: ...
    @property
    def positions(self) -> Rows: ...
    @property
    def strategies(self) -> Rows: ...
    @property
    def contracts(self) -> Rows: ...
    @property
    def alerts(self) -> Rows: ...


class Sides:
    """A strategy counts for the gateway that vn.py would send its orders to: the last that told of the contract."""

    def __init__(self) -> None:
        self._held: dict[Key, dict[Direction, float]] = {}
        self._strategies: dict[tuple[str, str], Strategy] = {}
        self._gateway_of: dict[str, str] = {}

    def take(self, data: Model) -> Key | None:
        """Take up a position, a contract or one of ``parts_of``, and return what it touches; ``None``: nothing, or
        it is not known yet of which gateway."""
        if isinstance(data, Position):
            self._held.setdefault((data.gateway_name, data.vt_symbol), {})[data.direction] = data.volume
            return data.gateway_name, data.vt_symbol
        if isinstance(data, Contract):
            self._gateway_of[data.vt_symbol] = data.gateway_name
            return data.gateway_name, data.vt_symbol
        if isinstance(data, Strategy):
            if data.state is StrategyState.REMOVED:
                self._strategies.pop((data.strategy_name, data.vt_symbol), None)
            else:
                self._strategies[data.strategy_name, data.vt_symbol] = data
            name = self._gateway_of.get(data.vt_symbol)
            return (name, data.vt_symbol) if name is not None else None
        return None

    def gateway_of(self, vt_symbol: str) -> str | None:
        return self._gateway_of.get(vt_symbol)

    def has_strategies(self, vt_symbol: str) -> bool:
        return any(each.vt_symbol == vt_symbol for each in self._strategies.values())

    def positions(self, key: Key) -> dict[str, float | None]:
        """Return the ``pos`` of each strategy of a symbol there; ``None``: it has none to tell."""
        if self._gateway_of.get(key[1], key[0]) != key[0]:
            return {}
        return {name: each.pos for (name, vt_symbol), each in self._strategies.items() if vt_symbol == key[1]}

    def total(self, key: Key) -> float | None:
        """Return the strategies' sum; ``None``: it cannot be told."""
        positions = self.positions(key).values()
        known = [pos for pos in positions if pos is not None]
        return round(sum(known), _DIGITS) if len(known) == len(positions) else None

    def account(self, key: Key) -> float:
        held = self._held.get(key, {})
        return round(sum(-volume if side is Direction.SHORT else volume for side, volume in held.items()), _DIGITS)


def parts_of(strategy: Strategy) -> Iterator[Strategy]:
    """Yield a strategy as if it traded each of its symbols alone."""
    if len(strategy.symbols) == 1:
        yield strategy
        return
    for vt_symbol in strategy.symbols:
        pos = strategy.position_of(vt_symbol)
        yield msgspec.structs.replace(strategy, vt_symbol=vt_symbol, vt_symbols=[vt_symbol], pos=pos)
