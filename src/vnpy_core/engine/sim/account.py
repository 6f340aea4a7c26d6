"""The client's money and positions at the simulated exchange.

The rules, all in whole lots and whole millionths of money:

* ``balance`` = deposit + realised profit − commission. A profit counts once its position is closed.
* ``frozen`` = margin of positions + what resting orders may need + the floating loss of open positions.
  ``available`` = balance − frozen, as vn.py shows it. A floating loss cannot be spent, a floating profit neither.
* A position's margin is its opening value times the contract's rate: it does not move with the price. A rate of 1 is
  a cash market.
* A resting order that opens holds margin and commission at its own price; one that closes holds position instead and
  is never refused for lack of money. In a net position only what goes beyond closing it counts as opening.
* Positions are kept long and short, by opening day. CLOSETODAY and CLOSEYESTERDAY take from their own day. CLOSE takes
  today's first, as vn.py's OffsetConverter reckons, and yesterday's only on exchanges that close by day (SHFE, INE).
  Equities are sold from yesterday's (T+1).
* The average opening price stays through a settlement: nothing is marked to market.
"""

from enum import Enum

from vnpy.trader.constant import Direction, Offset
from vnpy.trader.object import AccountData, PositionData

from vnpy_core.engine.sim.contracts import MONEY, Instrument


class Closes(Enum):
    """Which day's position an order closes."""

    ANY = "any"
    TODAY = "today"
    YESTERDAY = "yesterday"


def closes_of(instrument: Instrument, offset: Offset, buy: bool) -> Closes | None:
    """Return what an order of this offset closes; None: it opens, or moves a net position."""
    if instrument.spec.net_position:
        return None if buy or not instrument.t_plus_one else Closes.YESTERDAY
    if offset is Offset.CLOSETODAY:
        return Closes.TODAY
    if offset is Offset.CLOSEYESTERDAY:
        return Closes.YESTERDAY
    if offset is Offset.CLOSE:
        return Closes.YESTERDAY if instrument.closes_by_day else Closes.ANY
    return None


class Holding:
    """One position: so many lots opened today and before, what they cost, and what resting orders will close."""

    __slots__ = ("cost", "direction", "floating", "frozen", "shown_floating", "sign", "today", "used", "yesterday")

    def __init__(self, direction: Direction) -> None:
        self.direction = direction
        self.sign = -1 if direction is Direction.SHORT else 1  # of a net position: which way it is now
        self.today = 0
        self.yesterday = 0
        self.cost = 0
        self.floating = 0
        self.shown_floating = 0
        self.used = False
        self.frozen = {Closes.ANY: 0, Closes.TODAY: 0, Closes.YESTERDAY: 0}

    @property
    def lots(self) -> int:
        return self.today + self.yesterday

    @property
    def frozen_lots(self) -> int:
        return sum(self.frozen.values())

    def closable(self, closes: Closes) -> int:
        """Return how many lots a new order of this kind may close beside those that rest."""
        free = self.lots - self.frozen_lots
        if closes is Closes.TODAY:
            return min(free, self.today - self.frozen[Closes.TODAY])
        if closes is Closes.YESTERDAY:
            return min(free, self.yesterday - self.frozen[Closes.YESTERDAY])
        return free

    def open(self, lots: int, cost: int) -> None:
        self.used = True
        self.today += lots
        self.cost += cost

    def close(self, lots: int, closes: Closes) -> int:
        """Take ``lots`` away and return what they had cost. The last lot takes the rest, so no cost is left behind."""
        cost = self.cost * lots // self.lots
        if closes is Closes.ANY:
            from_today = min(lots, self.today - self.frozen[Closes.TODAY])
        else:
            from_today = lots if closes is Closes.TODAY else 0
        self.today -= from_today
        self.yesterday -= lots - from_today
        self.cost -= cost
        return cost

    def settle(self) -> None:
        self.yesterday, self.today = self.lots, 0


class Exposure:
    """All the client has in one contract: its positions and what its resting opening orders add up to."""

    __slots__ = ("holdings", "instrument", "last_price", "margin", "reserved", "resting_cost", "resting_lots")

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        directions = (Direction.NET,) if instrument.spec.net_position else (Direction.LONG, Direction.SHORT)
        self.holdings = {direction: Holding(direction) for direction in directions}
        self.resting_lots = {True: 0, False: 0}  # by side: buying, selling
        self.resting_cost = {True: 0, False: 0}
        self.last_price: float | None = None
        self.margin = 0
        self.reserved = 0

    def holding_of(self, buy: bool, closes: Closes | None) -> Holding:
        """Return the holding that an order on this side acts on."""
        if self.instrument.spec.net_position:
            return self.holdings[Direction.NET]
        return self.holdings[Direction.LONG if buy is (closes is None) else Direction.SHORT]

    def opening_lots(self, buy: bool, resting: int) -> int:
        """Return how many of ``resting`` opening lots on one side would be left after closing a net position."""
        net = self.holdings.get(Direction.NET)
        reducible = net.lots if net is not None and (net.sign > 0) is not buy else 0
        return max(0, resting - reducible)

    def reserve(self, buy: bool, lots: int, cost: int) -> int:
        """Return the money that resting opening orders of ``lots`` and ``cost`` on one side hold."""
        if not lots:
            return 0
        opening = self.opening_lots(buy, lots)
        return self.instrument.margin(cost * opening // lots) + self.instrument.commission(cost, lots)

    def refresh(self) -> None:
        self.margin = sum(self.instrument.margin(holding.cost) for holding in self.holdings.values())
        self.reserved = sum(self.reserve(buy, self.resting_lots[buy], self.resting_cost[buy]) for buy in (True, False))


class Ledger:
    """The account. Whoever fills an order calls ``fill``; whoever rests or withdraws one calls ``hold``."""

    def __init__(self, name: str, deposit: int, realised: int = 0, commission: int = 0) -> None:
        self.name = name
        self.deposit = deposit
        self.realised = realised
        self.commission = commission
        self.exposures: dict[str, Exposure] = {}
        self.margin = 0
        self.reserved = 0
        self.floating = 0

    @property
    def balance(self) -> int:
        return self.deposit + self.realised - self.commission

    @property
    def frozen(self) -> int:
        return self.margin + self.reserved + max(0, -self.floating)

    @property
    def available(self) -> int:
        return self.balance - self.frozen

    def exposure(self, instrument: Instrument) -> Exposure:
        exposure = self.exposures.get(instrument.vt_symbol)
        if exposure is None:
            exposure = self.exposures[instrument.vt_symbol] = Exposure(instrument)
        return exposure

    def shortfall(self, exposure: Exposure, buy: bool, price: float, lots: int) -> int:
        """Return how much money is missing for one more opening order; 0 for one that only closes a net position."""
        resting, cost = exposure.resting_lots[buy], exposure.resting_cost[buy]
        if not exposure.opening_lots(buy, resting + lots):
            return 0
        after = exposure.reserve(buy, resting + lots, cost + exposure.instrument.notional(price, lots))
        return max(0, after - exposure.reserve(buy, resting, cost) - self.available)

    def hold(self, exposure: Exposure, buy: bool, closes: Closes | None, price: float, before: int, after: int) -> None:
        """Change a resting order's unfilled lots; an order that closes holds position, another one money."""
        if closes is not None:
            exposure.holding_of(buy, closes).frozen[closes] += after - before
            return
        instrument = exposure.instrument
        exposure.resting_lots[buy] += after - before
        exposure.resting_cost[buy] += instrument.notional(price, after) - instrument.notional(price, before)
        self._refresh(exposure)

    def fill(self, exposure: Exposure, buy: bool, closes: Closes | None, price: float, lots: int) -> Holding:
        """Book a fill and return the holding it changed. What the order held must have been given back before."""
        instrument, holding = exposure.instrument, exposure.holding_of(buy, closes)
        notional = instrument.notional(price, lots)
        self.commission += instrument.commission(notional, lots)
        opened = lots
        if closes is not None:
            self._close(holding, notional, lots, closes)
            opened = 0
        elif holding.direction is Direction.NET and holding.lots and (holding.sign > 0) is not buy:
            closed = min(lots, holding.lots)
            part = notional * closed // lots
            self._close(holding, part, closed, Closes.ANY)
            notional, opened = notional - part, lots - closed
        if opened:
            if holding.direction is Direction.NET:
                holding.sign = 1 if buy else -1
            holding.open(opened, notional)
        self._float(exposure)
        self._refresh(exposure)
        return holding

    def _close(self, holding: Holding, value: int, lots: int, closes: Closes) -> None:
        self.realised += holding.sign * (value - holding.close(lots, closes))

    def mark(self, exposure: Exposure, price: float) -> None:
        """Value the positions of one contract at ``price``."""
        exposure.last_price = price
        self._float(exposure)

    def _float(self, exposure: Exposure) -> None:
        if exposure.last_price is None:
            return
        for holding in exposure.holdings.values():
            value = exposure.instrument.notional(exposure.last_price, holding.lots)
            floating = holding.sign * (value - holding.cost)
            self.floating += floating - holding.floating
            holding.floating = floating

    def _refresh(self, exposure: Exposure) -> None:
        self.margin -= exposure.margin
        self.reserved -= exposure.reserved
        exposure.refresh()
        self.margin += exposure.margin
        self.reserved += exposure.reserved

    def restore(self, exposure: Exposure, holding: Holding, sign: int, today: int, yesterday: int, cost: int) -> None:
        """Put a position back as it was stored."""
        holding.sign, holding.today, holding.yesterday, holding.cost = sign, today, yesterday, cost
        holding.used = True
        self._refresh(exposure)

    def settle(self) -> list[tuple[Exposure, Holding]]:
        """Turn today's positions into yesterday's and return those that changed."""
        changed = [
            (exposure, holding)
            for exposure in self.exposures.values()
            for holding in exposure.holdings.values()
            if holding.today
        ]
        for _, holding in changed:
            holding.settle()
        return changed

    def position_data(self, exposure: Exposure, holding: Holding) -> PositionData:
        instrument = exposure.instrument
        holding.shown_floating = holding.floating
        sign = holding.sign if holding.direction is Direction.NET else 1
        return PositionData(
            gateway_name=self.name,
            symbol=instrument.spec.symbol,
            exchange=instrument.exchange,
            direction=holding.direction,
            volume=instrument.volume_of(sign * holding.lots),
            frozen=instrument.volume_of(holding.frozen_lots),
            price=instrument.average_price(holding.cost, holding.lots),
            pnl=holding.floating / MONEY,
            yd_volume=instrument.volume_of(sign * holding.yesterday),
        )

    def account_data(self) -> AccountData:
        account = AccountData(self.name, self.name, balance=self.balance / MONEY, frozen=self.frozen / MONEY)
        account.extra = {
            "deposit": self.deposit / MONEY,
            "realised_pnl": self.realised / MONEY,
            "unrealised_pnl": self.floating / MONEY,
            "commission": self.commission / MONEY,
            "margin": self.margin / MONEY,
            "order_frozen": self.reserved / MONEY,
        }
        return account
