"""A seeded random walk for one contract: five-level quotes on price ticks, and the minute bars of the past.

The n-th tick of a contract depends on the seed, the contract and n alone: not on other contracts, and not on how often
the process was started in between. Only the times, and the statistics of the trading day, come from the clock.
"""

import hashlib
from datetime import datetime
from random import Random

import msgspec
import numpy as np
from numpy.typing import NDArray
from vnpy.trader.object import TickData

from vnpy_core.engine.sim.contracts import Instrument
from vnpy_core.engine.sim.session import trading_day_bounds

# Each block of ticks has its own generator, so that a stored walk goes on without drawing all it has drawn before.
BLOCK = 4096
LEVELS = 5
_FREE_RANGE = 0.3  # how far a contract without price limits walks from its first price
HISTORY_BLOCK = 1440


class WalkState(msgspec.Struct):
    """What a walk needs to go on: ticks drawn, the unfolded price, and the statistics of the trading day.

    ``origin`` is the contract's first price and price tick: in others the numbers would mean something else.
    """

    origin: str = ""
    drawn: int = 0
    position: int = 0
    anchor: datetime | None = None  # the moment of the first tick ever
    last: int = 0
    open: int = 0
    high: int = 0
    low: int = 0
    pre_close: int = 0
    lots: int = 0
    turnover: float = 0.0
    open_interest: int = 0
    day_end: datetime | None = None


class RandomWalk:
    """Draws the ticks of one contract. The price is reflected at bounds that lie inside the price limits."""

    def __init__(self, gateway_name: str, instrument: Instrument, seed: int, state: WalkState | None = None) -> None:
        spec = instrument.spec
        self.instrument = instrument
        self.seed = seed
        self._gateway_name = gateway_name
        self._start = instrument.index_of(spec.price)
        margin = (LEVELS + 1) * spec.gap  # the book stays inside the limits
        span = max(3 * margin, int(self._start * (spec.limit_rate or _FREE_RANGE)))
        self._low = max(margin + 1, self._start - span + margin)
        self._high = max(self._low + 1, self._start + span - margin)
        self._limit_up = instrument.price_at(self._start + span) if spec.limit_rate else 0.0
        self._limit_down = instrument.price_at(max(1, self._start - span)) if spec.limit_rate else 0.0
        self._size = spec.size
        origin, start = f"{spec.price}/{spec.pricetick}", self._start
        if state is None or state.origin != origin:
            state = WalkState(
                origin=origin, position=start, last=start, pre_close=start, open_interest=spec.depth * 1000
            )
        self.state = state
        self._random = self._generator()

    def _generator(self) -> Random:
        block, used = divmod(self.state.drawn, BLOCK)
        random = Random(f"{self.seed}/{self.instrument.vt_symbol}/{block}")  # noqa: S311 - prices, not secrets
        for _ in range(used):
            random.getrandbits(96)
        return random

    def next(self, now: datetime) -> TickData:
        """Return the next tick, with ``now`` as its time."""
        state, instrument = self.state, self.instrument
        spec = instrument.spec
        if state.drawn % BLOCK == 0:
            self._random = self._generator()
        bits = self._random.getrandbits(96)
        state.drawn += 1
        state.position += ((bits & 0xFFFF) * (2 * spec.step + 1) >> 16) - spec.step
        last = _fold(state.position, self._low, self._high)
        traded = (bits >> 16 & 0x1F) * spec.depth >> 6
        self._count(now, last, traded)
        state.open_interest = max(0, state.open_interest + (bits >> 21 & 0xF) - 7)
        ask = last + (bits >> 25 & 1)  # the last trade was at the bid or at the ask
        bid, gap, depth, price_at, volume_of = ask - 1, spec.gap, spec.depth, instrument.price_at, instrument.volume_of
        return TickData(
            self._gateway_name,
            spec.symbol,
            instrument.exchange,
            now,
            spec.name,
            volume_of(state.lots),
            state.turnover,
            volume_of(state.open_interest),
            price_at(last),
            volume_of(traded),
            self._limit_up,
            self._limit_down,
            price_at(state.open),
            price_at(state.high),
            price_at(state.low),
            price_at(state.pre_close),
            price_at(bid),
            price_at(bid - gap),
            price_at(bid - 2 * gap),
            price_at(bid - 3 * gap),
            price_at(bid - 4 * gap),
            price_at(ask),
            price_at(ask + gap),
            price_at(ask + 2 * gap),
            price_at(ask + 3 * gap),
            price_at(ask + 4 * gap),
            volume_of(1 + ((bits >> 26 & 0x3F) * depth >> 5)),
            volume_of(1 + ((bits >> 32 & 0x3F) * depth >> 5)),
            volume_of(1 + ((bits >> 38 & 0x3F) * depth >> 5)),
            volume_of(1 + ((bits >> 44 & 0x3F) * depth >> 5)),
            volume_of(1 + ((bits >> 50 & 0x3F) * depth >> 5)),
            volume_of(1 + ((bits >> 56 & 0x3F) * depth >> 5)),
            volume_of(1 + ((bits >> 62 & 0x3F) * depth >> 5)),
            volume_of(1 + ((bits >> 68 & 0x3F) * depth >> 5)),
            volume_of(1 + ((bits >> 74 & 0x3F) * depth >> 5)),
            volume_of(1 + ((bits >> 80 & 0x3F) * depth >> 5)),
            now,
        )

    def _count(self, now: datetime, last: int, traded: int) -> None:
        state = self.state
        if state.day_end is None or now >= state.day_end:
            if state.anchor is None:
                state.anchor = now
            state.day_end = trading_day_bounds(now)[1]
            state.pre_close, state.open, state.high, state.low = state.last, last, last, last
            state.lots, state.turnover = 0, 0.0
        state.last = last
        if last > state.high:
            state.high = last
        elif last < state.low:
            state.low = last
        state.lots += traded
        state.turnover += self.instrument.price_at(last) * self.instrument.volume_of(traded) * self._size

    def past_minutes(self, count: int) -> NDArray[np.int64]:
        """Return the ``count`` minutes before the first tick, ascending: open, high, low, close, lots as rows.

        Prices are in price ticks. The last minute closes at the walk's first price. More minutes only add older ones.
        """
        spec = self.instrument.spec
        move = max(1, round(spec.step * 1.7))  # the spread of a minute of ticks at two a second
        blocks = -(-count // HISTORY_BLOCK)
        drawn = [self._history_draws(block, move, spec.depth) for block in range(blocks)]
        draws = np.concatenate(drawn, axis=1)[:, :count]
        # Backwards from the first price: the close of each older minute, and beyond the oldest the open of that one.
        unfolded = self._start + np.concatenate([[0], np.cumsum(draws[0])])
        closes = _fold_all(unfolded, self._low, self._high)
        close, open_ = closes[:-1], closes[1:]
        high = np.minimum(np.maximum(open_, close) + draws[1], self._high)
        low = np.maximum(np.minimum(open_, close) - draws[2], self._low)
        return np.stack([open_, high, low, close, draws[3]])[:, ::-1]

    def _history_draws(self, block: int, move: int, depth: int) -> NDArray[np.int64]:
        digest = hashlib.sha256(f"{self.seed}/{self.instrument.vt_symbol}/history/{block}".encode()).digest()
        # The legacy generator: its stream is promised not to change.
        random = np.random.RandomState(np.frombuffer(digest, dtype=np.uint32))
        return np.stack(
            [
                random.randint(-move * 5, move * 5 + 1, HISTORY_BLOCK),
                random.randint(0, move * 3 + 1, HISTORY_BLOCK),
                random.randint(0, move * 3 + 1, HISTORY_BLOCK),
                random.randint(depth, depth * 60, HISTORY_BLOCK),
            ]
        ).astype(np.int64)


def _fold(value: int, low: int, high: int) -> int:
    """Reflect ``value`` at the bounds until it lies between them."""
    span = high - low
    offset = (value - low) % (2 * span)
    return low + (offset if offset <= span else 2 * span - offset)


def _fold_all(values: NDArray[np.int64], low: int, high: int) -> NDArray[np.int64]:
    span = high - low
    offset = (values - low) % (2 * span)
    return low + np.where(offset <= span, offset, 2 * span - offset)
