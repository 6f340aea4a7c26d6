"""Breakers: how much an account has lost since its day began, and whether that is too much. For the event thread alone.

A deposit counts as a profit and a withdrawal as a loss: gateways tell balances, and not what they are made of.
"""

import math
from collections.abc import Callable, Iterable

import msgspec

from vnpy_core.config.risk_settings import AccountLimits
from vnpy_core.models import RiskDay


class Trip(msgspec.Struct, frozen=True):
    """A limit of losses that was met."""

    source: str
    reason: str


class Breakers:
    """``tell`` is given the days as they begin and as their highest balance grows, so that they outlive a restart."""

    def __init__(self, tell: Callable[[RiskDay], None]) -> None:
        self._tell = tell
        self._days: dict[str, RiskDay] = {}
        self._grown: set[str] = set()
        self._balances: dict[str, float] = {}

    def restore(self, days: Iterable[RiskDay]) -> None:
        """Go on with what was told before a restart."""
        self._days.update((day.vt_accountid, day) for day in days)

    def on_balance(
        self, gateway_name: str, vt_accountid: str, balance: float, day: str, limits: AccountLimits
    ) -> Trip | None:
        """Take up a balance, and return which limit of the account it breaks."""
        if not balance or not math.isfinite(balance):
            return None  # some gateways tell a zero before they know
        self._balances[vt_accountid] = balance
        known = self._days.get(vt_accountid)
        if known is None or known.day < day:  # an earlier one: the holidays were not known yet
            known = self._begin(gateway_name, vt_accountid, balance, day)
        elif balance > known.highest_balance:
            known = self._days[vt_accountid] = msgspec.structs.replace(known, highest_balance=balance)
            self._grown.add(vt_accountid)
        opening, highest = known.opening_balance, known.highest_balance
        return _trip(
            "daily_loss", opening, balance, limits.max_daily_loss, limits.max_daily_loss_percent
        ) or _trip("drawdown", highest, balance, limits.max_drawdown, limits.max_drawdown_percent)

    def rearm(self, gateway_name: str | None) -> None:
        """Measure from now on from the balances of now, of one gateway's accounts or of all."""
        for vt_accountid, day in tuple(self._days.items()):
            if gateway_name in (None, day.gateway_name) and vt_accountid in self._balances:
                self._begin(day.gateway_name, vt_accountid, self._balances[vt_accountid], day.day)

    def on_timer(self) -> None:
        """Tell what has grown; once a second, because an account that gains tells so with every tick."""
        while self._grown:
            self._tell(self._days[self._grown.pop()])

    def _begin(self, gateway_name: str, vt_accountid: str, balance: float, day: str) -> RiskDay:
        begun = self._days[vt_accountid] = RiskDay(
            vt_accountid=vt_accountid, gateway_name=gateway_name, day=day,
            opening_balance=balance, highest_balance=balance,
        )  # fmt: skip
        self._grown.discard(vt_accountid)
        self._tell(begun)
        return begun


def _trip(source: str, before: float, balance: float, amount: float | None, percent: float | None) -> Trip | None:
    lost = before - balance
    if amount is not None and lost >= amount:
        limit = f"{amount:g}"
    elif percent is not None and before > 0 and lost >= before * percent / 100:
        limit = f"{percent:g} %"
    else:
        return None
    return Trip(source, f"The balance fell from {before:.2f} to {balance:.2f}; the limit of {source} is {limit}")
