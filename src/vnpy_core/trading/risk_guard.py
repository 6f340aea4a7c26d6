"""RiskGuard: the account-level layer that every order passes, whoever sends it. For the event thread alone.

It knows nothing of vn.py: the engine tells it what happens and asks it before it sends. Cancels never come here.
"""

import math
import time
from collections.abc import Callable, Iterable

from vnpy_core.config.risk_settings import RiskSettings
from vnpy_core.enums import Direction, TradingState
from vnpy_core.models import Alert, Model, RiskDay, RiskOrder, RiskState, now_timestamp
from vnpy_core.trading.risk_book import RiskBook, Terms
from vnpy_core.trading.risk_breakers import Breakers
from vnpy_core.trading.risk_checks import Refusal, RiskChecks

EVERYTHING = "*"
_SEVERITY = (TradingState.ACTIVE, TradingState.REDUCING, TradingState.HALTED)


class RiskGuard:
    """``tell`` takes the facts that it brings about itself; it is called on the event thread and must not block.

    ``day`` names the trading day of now of a gateway.
    """

    def __init__(
        self,
        limits: RiskSettings,
        tell: Callable[[Model], None],
        day: Callable[[str], str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.book = RiskBook()
        self.checks = RiskChecks(self.book, limits)
        self.breakers = Breakers(tell)
        self._states: dict[str, RiskState] = {}
        self._tell = tell
        self._day = day
        self._clock = clock

    # -- state

    @property
    def lets_rules_pass(self) -> bool:
        """Whether an order that reduces a position is spared vn.py's rules of size and count."""
        return not self.checks.limits.rules_on_reducing

    def restore(self, states: Iterable[RiskState], days: Iterable[RiskDay]) -> None:
        self._states.update((state.scope, state) for state in states)
        self.breakers.restore(days)

    def state_of(self, gateway_name: str) -> RiskState | None:
        """Return the narrower of the account's own state and that of all; ``None``: nobody has ever set one."""
        own, of_all = self._states.get(gateway_name), self._states.get(EVERYTHING)
        if own is None or of_all is None:
            return own or of_all
        return max(own, of_all, key=lambda state: _SEVERITY.index(state.state))

    def set_state(self, scope: str, state: TradingState, reason: str, source: str) -> RiskState:
        """Set a state and return it as it is to be told. One that becomes ACTIVE measures losses anew."""
        known = self._states.get(scope)
        changed = self._states[scope] = RiskState(
            scope=scope, state=state, reason=reason, source=source, since=now_timestamp(),
            revision=known.revision + 1 if known is not None else 1,
        )  # fmt: skip
        if state is TradingState.ACTIVE:
            self.breakers.rearm(None if scope == EVERYTHING else scope)
        return changed

    # -- orders

    def reduces(self, order: RiskOrder) -> bool:
        return self.book.reduces(order)

    def refusal(self, order: RiskOrder) -> Refusal | None:
        """Return why the order may not go out; asks without leaving a trace."""
        state = self.state_of(order.gateway_name)
        if state is None or state.state is TradingState.ACTIVE:
            refusal = self.checks.refusal(order, self._clock())
            return refusal if refusal is not None and not self.book.reduces(order) else None
        reduces = self.book.reduces(order)
        if state.state is TradingState.HALTED:
            may = not order.sender or self.checks.limits.halted_reducing == "everyone"
            return None if reduces and may else Refusal("trading_halted", f"trading is HALTED: {state.reason}")
        return None if reduces else Refusal("trading_reducing", f"trading is REDUCING: {state.reason}")

    def attempt(self, order: RiskOrder) -> None:
        """Note an order that goes out now."""
        self.checks.attempt(order, self._clock())

    def sent(self, vt_orderid: str, order: RiskOrder) -> None:
        self.book.sent(vt_orderid, order)

    # -- what happens

    def on_trade(self, vt_orderid: str, tradeid: str, volume: float) -> None:
        self.book.on_trade(vt_orderid, tradeid, volume)

    def on_order(self, vt_orderid: str, order: RiskOrder, *, traded: float, is_active: bool) -> None:
        self.book.on_order(vt_orderid, order, traded=traded, is_active=is_active, now=self._clock())

    def on_position(self, gateway_name: str, vt_symbol: str, direction: Direction, volume: float) -> None:
        self.book.on_position((gateway_name, vt_symbol), direction, volume)

    def on_contract(self, gateway_name: str, vt_symbol: str, size: float, is_net: bool) -> None:
        self.book.terms[gateway_name, vt_symbol] = Terms(size, is_net)

    def on_price(self, vt_symbol: str, price: float) -> None:
        if price and math.isfinite(price):
            self.book.prices[vt_symbol] = (price, self._clock())

    def on_balance(self, gateway_name: str, vt_accountid: str, balance: float) -> None:
        """Take up an account's balance; if that is too low, narrow its state, tell so and raise an alert."""
        limits = self.checks.account(gateway_name)
        trip = self.breakers.on_balance(gateway_name, vt_accountid, balance, self._day(gateway_name), limits)
        if trip is None:
            return
        state, known = TradingState(limits.breaker_state), self._states.get(gateway_name)
        if known is not None and _SEVERITY.index(known.state) >= _SEVERITY.index(state):
            return
        narrowed = self.set_state(gateway_name, state, trip.reason, trip.source)
        self._tell(narrowed)
        self._tell(alert_of(narrowed))

    def on_timer(self) -> None:
        now = self._clock()
        self.book.on_timer(now)
        self.checks.forget_old(now)
        self.breakers.on_timer()


def alert_of(state: RiskState) -> Alert:
    """Return the alert of a scope that does not trade freely, or its end."""
    where = "all accounts" if state.scope == EVERYTHING else state.scope
    is_over = state.state is TradingState.ACTIVE
    return Alert(
        alert_id=f"risk_state.{state.scope}",
        severity="critical" if state.state is TradingState.HALTED or state.source != "operator" else "warning",
        summary=f"Trading of {where} is {state.state}: {state.reason}",
        datetime=now_timestamp(),
        resolved=is_over,
    )
