"""DriftWatch: compares, all the time, what the strategies believe to hold with what the account holds."""

import asyncio
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from vnpy_core.config.gateways import GatewaySettings
from vnpy_core.config.json_file import replace_json
from vnpy_core.enums import GatewayState
from vnpy_core.errors import Conflict, NotFound
from vnpy_core.events import Event
from vnpy_core.models import Alert, Contract, GatewayStatus, Model, Order, Position, Strategy, Trade, now_timestamp
from vnpy_core.trading.drift_sides import Drift, DriftState, Key, Sides, Tables, parts_of
from vnpy_core.trading.expected_positions import effect_of
from vnpy_core.trading.reconciliation import Reconciliation

logger = logging.getLogger(__name__)

LOOK_S = 1.0
WRITE_S = 5.0
# In busy trade the account may lag behind the fills without a pause: then it counts after this many settle times.
BUSY = 6
_ALERTS = "drift."
_STRATEGIES = ("CtaStrategy_", "PortfolioStrategy_")
_DIGITS = 9
_ONLINE = frozenset({GatewayState.CONNECTED, GatewayState.STALE})


class Published(Protocol):
    def emit(self, model: Model) -> None: ...
    def subscribe(self, callback: Callable[[Sequence[Event]], None]) -> None: ...


class Kept(msgspec.Struct):
    """``others`` by gateway and symbol, with every trade up to fact ``seq``."""

    seq: int = 0
    others: dict[str, dict[str, float]] = msgspec.field(default_factory=dict)


class _Watched(msgspec.Struct):
    others: float | None = None
    seen: tuple[float, ...] = ()  # what the sides last were
    changed: float = -math.inf
    began: float | None = None  # since when they agree, or since when there is a drift of this sign
    sign: int = 0
    value: float = 0.0
    value_since: float = 0.0


class DriftWatch:
    """Loop only. A strategy's ``pos`` begins at 0 while its account may hold other things, so what is compared is how
    the two change: what was there beyond the strategies at the first comparison is the others', and grows by the
    trades of orders that no strategy has sent. It is kept over restarts, with the number of the last fact in it.

    Where several gateways have a symbol, and vn.py would send its orders to another one than before, the comparison
    begins anew.
    """

    def __init__(
        self,
        settings: Mapping[str, GatewaySettings],
        results: Callable[[], Sequence[Reconciliation]],
        pipeline: Published,
        tables: Tables,
        *,
        clock: Callable[[], float],
        kept: Path | None = None,
    ) -> None:
        self._settings = {name: each for name, each in settings.items() if each.drift != "off"}
        self._results = results
        self._pipeline = pipeline
        self._tables = tables
        self._clock = clock
        self._file = kept
        self._online: set[str] = set()
        self._sides = Sides()
        self._watched: dict[Key, _Watched] = {}
        self._unknown: dict[str, tuple[Trade, float]] = {}
        self._seq = 0
        self._unwritten = False
        self._raised = {
            event.data.key
            for event in tables.alerts.values()
            if isinstance(event.data, Alert) and event.data.key.startswith(_ALERTS) and not event.data.resolved
        }
        self._restore(_read(kept))
        pipeline.subscribe(self._on_events)
        for alert_id in self._raised - {_alert_id(key) for key in self._watched}:
            self._tell(alert_id, f"{alert_id.removeprefix(_ALERTS)} is not compared any more", resolved=True)

    def results(self) -> list[Drift]:
        """Return how it stands with each symbol that a strategy trades, by gateway and symbol."""
        return [self._result(key, watched) for key, watched in sorted(self._watched.items())]

    async def accept(self, gateway_name: str, vt_symbol: str) -> Drift:
        """Take what there is as it is: the difference is the others' from now on.

        Raises:
            NotFound: no strategy trades that there.
            Conflict: no drift has been found (``not_drifted``).
        """
        key = gateway_name, vt_symbol
        watched = self._watched.get(key)
        if watched is None:
            raise NotFound(f"Nothing is compared of {vt_symbol} on {gateway_name}: no strategy trades it there.")
        total = self._sides.total(key)
        if _alert_id(key) not in self._raised or total is None:
            raise Conflict(f"No drift of {vt_symbol} on {gateway_name} has been found.", code="not_drifted")
        logger.warning("The drift of %s on %s was accepted: %s", vt_symbol, gateway_name, self._numbers(key))
        watched.others = round(self._sides.account(key) - total, _DIGITS)
        watched.began, watched.sign = self._clock(), 0
        self._resolve(key)
        await self._write(durable=True)
        return self._result(key, watched)

    async def run(self) -> None:
        """Look once a second, and keep what is to be kept; never returns."""
        written = self._clock()
        while True:
            self.look()
            if self._unwritten and self._clock() - written >= WRITE_S:
                await self._write()
                written = self._clock()
            await asyncio.sleep(LOOK_S)

    async def close(self) -> None:
        if self._unwritten:
            await self._write()

    def look(self) -> None:
        """Judge every symbol as it is now."""
        now = self._clock()
        for trade, came in list(self._unknown.values()):
            # An order that is not told of for so long is none of a strategy's.
            self._count(trade, came, late=now - came >= self._settle_s(trade.gateway_name))
        compared = self._compared()
        for key in list(self._watched):
            self._judge(key, now, compared)

    # -- what comes

    def _on_events(self, events: Sequence[Event]) -> None:
        now, touched = self._clock(), set[Key]()
        for event in events:
            data = event.data
            if isinstance(data, Trade):
                self._count(data, now)
                touched.add((data.gateway_name, data.vt_symbol))
            elif isinstance(data, Strategy):
                touched.update(key for part in parts_of(data) if (key := self._take(part)) is not None)
            elif isinstance(data, Position | Contract):
                if (key := self._take(data)) is not None:
                    touched.add(key)
            elif isinstance(data, GatewayStatus):
                (self._online.add if data.state in _ONLINE else self._online.discard)(data.gateway_name)
            self._seq = max(self._seq, event.seq or 0)
        if touched and (watched := touched & self._watched.keys()):
            compared = self._compared()
            for key in watched:
                self._judge(key, now, compared)

    def _count(self, trade: Trade, came: float, *, late: bool = False) -> None:
        """Add a trade to the others' part, if no strategy has sent its order."""
        self._unknown.pop(trade.key, None)
        watched = self._watched.get((trade.gateway_name, trade.vt_symbol))
        if watched is None or watched.others is None:
            return
        known = self._tables.orders.get(trade.vt_orderid)
        order = known.data if known is not None else None
        if not isinstance(order, Order) and not late:
            self._unknown[trade.key] = trade, came
        elif not isinstance(order, Order) or not order.reference.startswith(_STRATEGIES):
            watched.others = round(watched.others + effect_of(trade, net=True)[1], _DIGITS)
            self._unwritten = True

    def _take(self, data: Position | Strategy | Contract) -> Key | None:
        before = self._sides.gateway_of(data.vt_symbol)
        key = self._sides.take(data)
        if key is None or isinstance(data, Position) or not self._sides.has_strategies(data.vt_symbol):
            return key
        old = before or "", data.vt_symbol
        if old != key and old in self._watched:
            logger.warning("Orders for %s go to %s now, not to %s any more", data.vt_symbol, key[0], before)
            del self._watched[old]
            self._end(old)
        if key[0] in self._settings:
            self._watched.setdefault(key, _Watched())
        return key

    # -- how it stands

    def _compared(self) -> set[str]:
        """Return the gateways that are connected and have told what they hold."""
        told = {each.gateway_name for each in self._results() if each.state not in ("WAITING", "RUNNING")}
        return told & self._online & self._settings.keys()

    def _judge(self, key: Key, now: float, compared: set[str]) -> None:
        watched, total, account = self._watched[key], self._sides.total(key), self._sides.account(key)
        if key[0] not in compared or total is None:
            watched.began = None
            watched.seen = ()
            return
        seen = total, account, watched.others or 0.0
        if seen != watched.seen:
            watched.seen, watched.changed = seen, now
        settle_s, quiet = self._settle_s(key[0]), now - watched.changed
        if watched.others is None:
            watched.began = now if watched.began is None else watched.began
            if quiet >= settle_s or now - watched.began >= BUSY * settle_s:
                watched.others = round(account - total, _DIGITS)
                watched.began, watched.sign, self._unwritten = now, 0, True
            return
        drift = self._drift(watched, total, account)
        sign = (drift > 0) - (drift < 0) if abs(drift) > self._settings[key[0]].drift_tolerance else 0
        if watched.began is None or sign != watched.sign:
            watched.began, watched.sign = now, sign
        if drift != watched.value:
            watched.value, watched.value_since = drift, now
        lasts = now - max(watched.began, watched.value_since) >= settle_s or now - watched.began >= BUSY * settle_s
        if sign and lasts:
            self._raise(key)
        elif not sign and now - watched.began >= settle_s:
            self._resolve(key)
            if not self._sides.positions(key):  # and nobody is left to compare with
                del self._watched[key]
                self._unwritten = True

    def _drift(self, watched: _Watched, total: float, account: float) -> float:
        return round(account - total - (watched.others or 0.0), _DIGITS)

    def _settle_s(self, name: str) -> float:
        settings = self._settings.get(name)
        return settings.drift_settle_s if settings is not None else 0.0

    def _result(self, key: Key, watched: _Watched) -> Drift:
        total, account = self._sides.total(key), self._sides.account(key)
        positions = self._sides.positions(key)
        drift = None if total is None or watched.others is None else self._drift(watched, total, account)
        detail = None
        state: DriftState = "AGREES"
        if _alert_id(key) in self._raised:
            state = "DRIFTED"
        elif total is None:
            state = "WAITING"
            silent = [name for name, pos in positions.items() if pos is None]
            detail = f"The position of {', '.join(silent)} is not known."
        elif key[0] not in self._compared():
            state, detail = "WAITING", "The gateway is not connected, or has not told what it holds."
        elif drift is None or abs(drift) > self._settings[key[0]].drift_tolerance:
            state = "SETTLING"
        return Drift(
            gateway_name=key[0], vt_symbol=key[1], state=state, strategies=total, others=watched.others,
            account=account, drift=drift, positions=positions, detail=detail,
        )  # fmt: skip

    # -- alerts

    def _numbers(self, key: Key) -> str:
        watched, total, account = self._watched[key], self._sides.total(key) or 0.0, self._sides.account(key)
        of = ", ".join(f"{name} {pos or 0:g}" for name, pos in self._sides.positions(key).items()) or "none is left"
        return (
            f"the account holds {account:g}, the strategies {total:g} ({of}), others {watched.others or 0:g}: "
            f"a drift of {self._drift(watched, total, account):+g}"
        )

    def _raise(self, key: Key) -> None:
        if _alert_id(key) not in self._raised:
            summary = f"{key[1]} on {key[0]}: {self._numbers(key)}"
            logger.error("%s", summary)
            self._raised.add(_alert_id(key))
            self._tell(_alert_id(key), summary)

    def _resolve(self, key: Key) -> None:
        if _alert_id(key) in self._raised:
            self._tell(_alert_id(key), f"{key[1]} on {key[0]}: {self._numbers(key)}", resolved=True)

    def _end(self, key: Key) -> None:
        self._unwritten = True
        if _alert_id(key) in self._raised:
            self._tell(_alert_id(key), f"{key[1]} on {key[0]} is not compared any more", resolved=True)

    def _tell(self, alert_id: str, summary: str, *, resolved: bool = False) -> None:
        if resolved:
            self._raised.discard(alert_id)
        self._pipeline.emit(
            Alert(
                alert_id=alert_id, severity="critical", summary=summary, datetime=now_timestamp(), resolved=resolved
            )
        )

    # -- over restarts

    def _restore(self, kept: Kept) -> None:
        for table in (self._tables.contracts, self._tables.positions, self._tables.strategies):
            for event in table.values():
                if isinstance(event.data, Position | Strategy | Contract):
                    self._take(event.data)
        if self._tables.trades.evicted_seq > kept.seq > 0:
            logger.warning("Too many trades came since strategies and accounts were compared: it begins anew")
            kept = Kept()
        for name, by_symbol in kept.others.items():
            if name in self._settings:
                self._watched |= {(name, symbol): _Watched(others=others) for symbol, others in by_symbol.items()}
        self._seq = kept.seq
        for event in self._tables.trades.values():
            if isinstance(event.data, Trade) and (event.seq or 0) > kept.seq:
                self._count(event.data, self._clock())
                self._seq = max(self._seq, event.seq or 0)

    async def _write(self, *, durable: bool = False) -> None:
        if self._file is None or self._unknown:  # those belong to a number that is not to be kept yet
            return
        others: dict[str, dict[str, float]] = {}
        for (name, vt_symbol), watched in self._watched.items():
            if watched.others is not None:
                others.setdefault(name, {})[vt_symbol] = watched.others
        self._unwritten = False
        content = msgspec.to_builtins(Kept(self._seq, others))
        try:
            await asyncio.to_thread(replace_json, self._file, content, durable=durable)
        except OSError as error:
            logger.error("%s cannot be written, so the next start does not know of it: %s", self._file, error)


def _alert_id(key: Key) -> str:
    return f"{_ALERTS}{key[0]}.{key[1]}"


def _read(path: Path | None) -> Kept:
    if path is None or not path.exists():
        return Kept()
    try:
        return msgspec.json.decode(path.read_bytes(), type=Kept)
    except (OSError, msgspec.DecodeError) as error:
        logger.error("%s cannot be read, so strategies and accounts are compared anew: %s", path, error)
        return Kept()
