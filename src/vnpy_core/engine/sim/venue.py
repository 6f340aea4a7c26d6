"""The simulated venue as a whole: exchange, prices, memory, put together from the settings and from what was saved."""

import logging
import sqlite3
import time
from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from functools import cached_property
from pathlib import Path

import msgspec
from vnpy.trader.constant import Status
from vnpy.trader.database import get_database
from vnpy.trader.object import BarData, HistoryRequest, TickData

from vnpy_core.engine.sim.account import Ledger
from vnpy_core.engine.sim.contracts import MONEY
from vnpy_core.engine.sim.exchange import Exchange
from vnpy_core.engine.sim.feed import RandomFeed
from vnpy_core.engine.sim.history import MinuteBar, MinuteRecorder, PastBars, local_time, replayed_bars
from vnpy_core.engine.sim.replay import ReplayFeed
from vnpy_core.engine.sim.session import trading_day_bounds
from vnpy_core.engine.sim.settings import MEMORY, SimSettings
from vnpy_core.engine.sim.store import AccountState, FeedState, FileStore, MemoryStore, Saved, Store
from vnpy_core.engine.sim.suggest import unknown_key
from vnpy_core.engine.sim.walk import RandomWalk
from vnpy_core.errors import ConfigError

_EVER = datetime.fromtimestamp(0, UTC)

log = logging.getLogger(__name__)


class Venue:
    """Everything behind the wire. Not thread-safe: the gateway holds its lock around every call but ``feed.fetch``.

    A replay goes on where the store says that it stood, or, with ``anew``, begins at its beginning.

    Raises:
        ConfigError: the settings do not fit the contracts or the recorded data.
        Unavailable: the file cannot be used.
    """

    def __init__(
        self, name: str, settings: SimSettings, default_path: Path, zone: tzinfo, *, anew: bool = False
    ) -> None:
        self.name = name
        self.settings = settings
        self.zone = zone
        self.session = settings.parsed_session()
        self.instruments = settings.instruments()
        self._check_symbols()
        self.notes: list[str] = []
        memory = settings.persist == MEMORY
        self.store: Store = MemoryStore() if memory else FileStore(Path(settings.persist or default_path))
        self._store_failed = False
        self._began = datetime.now(UTC)
        self._orders_of_others = 0  # numbers before the first one of ours
        try:
            saved = self.store.load(name, zone)
            self.exchange = self._exchange(saved)
            self.feed: RandomFeed | ReplayFeed = (
                self._replay_feed(saved, anew) if settings.feed == "replay" else self._random_feed()
            )
            if saved is not None:
                self._restore(saved)
            self.exchange.advance(self.feed.clock())
            self.save()
        except BaseException:
            self.store.close()
            raise
        self._minutes = MinuteRecorder()
        self._past = PastBars(name, self.session, zone)

    def _check_symbols(self) -> None:
        for key in ("symbols", "replay_symbols"):
            for vt_symbol in getattr(self.settings, key):
                if vt_symbol not in self.instruments:
                    message = unknown_key(vt_symbol, self.instruments, key, "contract")
                    raise ConfigError(f"{message}; others can be added by `contracts`")

    def _exchange(self, saved: Saved | None) -> Exchange:
        if saved is None:
            # Nobody remembers the ids of an earlier process: begin where none of its can be.
            orders = int(time.strftime("%H%M%S")) * 10_000 if isinstance(self.store, MemoryStore) else 0
            self._orders_of_others = orders
            ledger = Ledger(self.name, round(self.settings.balance * MONEY))
            exchange = Exchange(
                self.name, self.instruments, ledger, self.session, order_count=orders, trade_count=orders
            )
            exchange.changes.account = True
            return exchange
        account = saved.account
        if account.deposit != round(self.settings.balance * MONEY):
            self.notes.append(
                f"the account goes on with its deposit of {account.deposit / MONEY:.2f}: `balance` is for a new one"
            )
        ledger = Ledger(self.name, account.deposit, account.realised, account.commission)
        return Exchange(
            self.name, self.instruments, ledger, self.session,
            day=account.day, order_count=account.order_count, trade_count=account.trade_count,
        )  # fmt: skip

    def _restore(self, saved: Saved) -> None:
        exchange, ledger = self.exchange, self.exchange.ledger
        for position in saved.positions:
            instrument = self.instruments.get(position.vt_symbol)
            exposure = ledger.exposure(instrument) if instrument is not None else None
            if instrument is None or exposure is None or position.direction not in exposure.holdings:
                self.notes.append(f"the position in {position.vt_symbol} is left out: there is no such contract now")
                continue
            today, yesterday = (instrument.whole_lots(volume) for volume in (position.today, position.yesterday))
            holding = exposure.holdings[position.direction]
            ledger.restore(exposure, holding, position.sign, today, yesterday, position.cost)
        for order, triggered in saved.orders:
            if order.is_active() and order.vt_symbol not in self.instruments:
                order.status = Status.CANCELLED
                order.extra = {"code": "unknown_contract", "reason": f"there is no contract {order.vt_symbol} now"}
            exchange.restore_order(order, triggered)
        exchange.trades = {trade.tradeid: trade for trade in saved.trades}

    def _random_feed(self) -> RandomFeed:
        walks = self.store.walks()
        return RandomFeed(
            {
                vt_symbol: RandomWalk(self.name, self.instruments[vt_symbol], self.settings.seed, walks.get(vt_symbol))
                for vt_symbol in self.settings.symbols or self.instruments
            },
            self.session,
            self.zone,
            interval_s=self.settings.tick_interval_ms / 1000,
            ticks_per_second=self.settings.ticks_per_second,
        )

    def _replay_feed(self, saved: Saved | None, anew: bool) -> ReplayFeed:
        settings = self.settings
        before = saved.account if saved is not None and saved.account.feed == self._feed_identity else None
        if before is not None and before.feed_finished and (anew or settings.replay_repeat):
            before = None
        return ReplayFeed(
            self.name,
            get_database(),
            [self.instruments[vt_symbol] for vt_symbol in settings.replay_symbols],
            settings.interval(),
            self.zone,
            start=settings.moment("replay_start", self.zone),
            end=settings.moment("replay_end", self.zone),
            speed=settings.speed,
            in_flight=settings.replay_in_flight,
            waits=settings.replay_begin != "connect",
            on_subscribe=settings.replay_begin == "subscribe",
            resume_after=before.clock if before is not None else None,
            is_over=before is not None and before.feed_finished,
        )

    @cached_property
    def _feed_identity(self) -> str:
        """What makes this market the same one after a restart."""
        settings = self.settings
        if settings.feed == "random":
            return settings.feed
        parts = (*settings.replay_symbols, settings.replay_interval, settings.replay_start, settings.replay_end)
        return msgspec.json.encode(parts).decode()

    def now(self) -> datetime:
        """Return the time at the exchange: the wall clock, or the time of the last recorded tick."""
        return self.feed.clock()

    def has_market(self, vt_symbol: str) -> bool:
        """Tell whether the contract will ever tick: in a replay only those do that are replayed."""
        return isinstance(self.feed, RandomFeed) or vt_symbol in self.settings.replay_symbols

    def subscribe(self, vt_symbol: str, now: float) -> None:
        """Make sure the contract has a market, and note that the client wants it."""
        feed = self.feed
        if isinstance(feed, RandomFeed) and vt_symbol not in feed.walks:
            state = self.store.walks().get(vt_symbol)
            feed.add(RandomWalk(self.name, self.instruments[vt_symbol], self.settings.seed, state), now)
        feed.subscribe(vt_symbol, now)

    def on_tick(self, tick: TickData) -> None:
        self.exchange.on_tick(tick)
        if isinstance(self.feed, RandomFeed):
            self._minutes.add(tick)

    def recorded_minutes(self, request: HistoryRequest) -> list[MinuteBar]:
        """Return the minute bars of the request's range that the random market has made since its first tick."""
        self.save_feed()
        start = local_time(request.start, self.zone)
        return self.store.bars(request.vt_symbol, int(start.timestamp() // 60), int(self.now().timestamp() // 60))

    def history(self, request: HistoryRequest, recorded: Sequence[MinuteBar]) -> list[BarData]:
        """Return bars of the past; see history.py. Takes its time, and needs no lock."""
        now = datetime.now(self.zone)
        if isinstance(self.feed, ReplayFeed):
            return replayed_bars(get_database(), request, self.name, now=now, clock=self.now(), zone=self.zone)
        walk = self.feed.walks.get(request.vt_symbol)
        if walk is None:
            walk = RandomWalk(self.name, self.instruments[request.vt_symbol], self.settings.seed)
        return self._past.query(request, walk, recorded, now)

    def save(self) -> None:
        """Write what has changed. A write that fails is repeated with the next change, and said once."""
        exchange = self.exchange
        if not exchange.changes:
            return
        try:
            self.store.save(exchange.changes, self._account_state())
        except sqlite3.Error:
            self._note_store_failure()
            return
        self._store_failed = False
        exchange.take_changes()

    def save_feed(self) -> None:
        """Write where the feed stands; once a second, and at the end."""
        walks = self.feed.walks if isinstance(self.feed, RandomFeed) else {}
        state = FeedState({name: walk.state for name, walk in walks.items()}, self._minutes.take_finished(self.now()))
        try:
            self.store.save_feed(state, self._account_state())
        except sqlite3.Error:
            self._note_store_failure()

    def _note_store_failure(self) -> None:
        if not self._store_failed:
            self._store_failed = True
            log.exception("the simulated exchange %s cannot write its file; it goes on and tries again", self.name)

    def _account_state(self) -> AccountState:
        exchange, ledger = self.exchange, self.exchange.ledger
        return AccountState(
            ledger.deposit, ledger.realised, ledger.commission, exchange.order_count, exchange.trade_count,
            exchange.day, exchange.clock, self._feed_identity,
            isinstance(self.feed, ReplayFeed) and self.feed.is_finished,
        )  # fmt: skip

    @property
    def is_durable(self) -> bool:
        """Whether the venue can be left and opened again without losing anything."""
        return isinstance(self.store, FileStore)

    def forgets_nothing_since(self) -> datetime | None:
        """Return the moment, of the wall clock, from which on every order that ever came is still here; None: nobody
        can say, as a replay's days are not those of the wall clock."""
        exchange = self.exchange
        began = self._began if isinstance(self.store, MemoryStore) else _EVER
        if len(exchange.orders) == exchange.order_count - self._orders_of_others:
            return began
        if isinstance(self.feed, RandomFeed):
            return max(began, trading_day_bounds(self.now())[0])
        return None

    def describe(self) -> str:
        settings = self.settings
        replayed = ", ".join(settings.replay_symbols)
        what = f"seed {settings.seed}" if settings.feed == "random" else f"replaying {replayed}"
        where = self.store.path if isinstance(self.store, FileStore) else "nothing is kept on disk"
        return f"{what}; {where}"

    def close(self) -> None:
        self.save()
        self.save_feed()
        self.store.close()
