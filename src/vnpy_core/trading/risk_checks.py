"""RiskChecks: the limits an order must keep that does not reduce a position. For the event thread alone.

What limits of the configuration apply to whom is worked out once; an order costs a few look-ups.
"""

from collections.abc import Mapping

import msgspec

from vnpy_core.config.risk_settings import AccountLimits, RiskSettings, SenderLimits, SymbolLimits, merged
from vnpy_core.enums import OrderType
from vnpy_core.models import RiskOrder
from vnpy_core.trading.risk_book import RiskBook

# In the order in which an order meets them; docs/risk.md is made of them.
CODES: Mapping[str, str] = {
    "trading_halted": "trading is HALTED, and the order does not reduce a position, or a strategy or algo sends it",
    "trading_reducing": "trading is REDUCING, and the order does not certainly make a position smaller",
    "symbol_volume": "the volume is above the symbol's `max_order_volume`",
    "strategy_volume": "the volume is above the strategy's or algo's `max_order_volume`",
    "account_volume": "the volume is above the account's `max_order_volume`",
    "price_collar": "the price is further from the last one than `price_collar_percent`",
    "no_last_price": "there is no recent last price to judge it by, and `without_price` is `refuse`",
    "symbol_notional": "price, volume and contract size are above the symbol's `max_order_notional`",
    "strategy_notional": "they are above the strategy's or algo's `max_order_notional`",
    "account_notional": "they are above the account's `max_order_notional`",
    "symbol_working_orders": "the symbol has `max_working_orders` already",
    "strategy_working_orders": "the strategy or algo has `max_working_orders` already",
    "account_working_orders": "the account has `max_working_orders` already",
    "duplicate_order": "the same order was sent less than `duplicate_window_ms` ago",
    "strategy_rate": "the strategy or algo sends more than `max_orders_per_s` and its `burst`",
    "account_rate": "the account sends more than `max_orders_per_s` and its `burst`",
}


Applying = tuple[tuple[str, SymbolLimits | SenderLimits], ...]


class Refusal(msgspec.Struct, frozen=True, gc=False):
    """Why an order may not go out."""

    code: str
    reason: str


class _Bucket(msgspec.Struct, gc=False):
    """Tokens of one sender; each order takes one, and time gives them back."""

    tokens: float
    at: float


class RiskChecks:
    def __init__(self, book: RiskBook, limits: RiskSettings) -> None:
        self._book = book
        self._symbols: dict[str, SymbolLimits] = {}
        self._senders: dict[str, SenderLimits] = {}
        self._accounts: dict[str, AccountLimits] = {}
        self._buckets: dict[tuple[str, str], _Bucket] = {}
        self._recent: dict[tuple[object, ...], float] = {}
        self.limits = limits

    def set_limits(self, limits: RiskSettings) -> None:
        self.limits = limits
        for known in (self._symbols, self._senders, self._accounts, self._buckets):
            known.clear()

    def account(self, gateway_name: str) -> AccountLimits:
        found = self._accounts.get(gateway_name)
        if found is None:
            limits = self.limits
            found = self._accounts[gateway_name] = merged(limits.account, limits.accounts.get(gateway_name))
        return found

    def refusal(self, order: RiskOrder, now: float) -> Refusal | None:
        """Return why the order may not go out; asks without leaving a trace."""
        symbol, account = self._symbol(order.vt_symbol), self.account(order.gateway_name)
        sender = self._sender(order.sender) if order.sender else None
        of: Applying = (("symbol", symbol), ("account", account))
        if sender is not None:
            of = (("symbol", symbol), ("strategy", sender), ("account", account))
        for name, limits in of:
            if limits.max_order_volume is not None and order.volume > limits.max_order_volume:
                return Refusal(f"{name}_volume", f"volume {order.volume:g} is above {limits.max_order_volume:g}")
        return (
            self._price(order, symbol, of, now)
            or self._working(order, of)
            or self._duplicate(order, now)
            or self._rates(order, account, sender, now)
        )

    def attempt(self, order: RiskOrder, now: float) -> None:
        """Note an order that goes out now, for those that follow it."""
        account = self.account(order.gateway_name)
        if account.max_orders_per_s is not None:
            self._bucket("account", order.gateway_name, account, now).tokens -= 1
        if order.sender and (sender := self._sender(order.sender)).max_orders_per_s is not None:
            self._bucket("strategy", order.sender, sender, now).tokens -= 1
        if self.limits.duplicate_window_ms:
            self._recent[_identity(order)] = now

    def forget_old(self, now: float) -> None:
        """Drop what no order can meet any more."""
        before = now - self.limits.duplicate_window_ms / 1000
        self._recent = {identity: at for identity, at in self._recent.items() if at >= before}

    def _symbol(self, vt_symbol: str) -> SymbolLimits:
        found = self._symbols.get(vt_symbol)
        if found is None:
            limits = self.limits
            found = self._symbols[vt_symbol] = merged(limits.symbol, limits.symbols.get(vt_symbol))
        return found

    def _sender(self, name: str) -> SenderLimits:
        found = self._senders.get(name)
        if found is None:
            limits = self.limits
            found = self._senders[name] = merged(limits.strategy, limits.strategies.get(name))
        return found

    def _price(
        self, order: RiskOrder, symbol: SymbolLimits, of: Applying, now: float
    ) -> Refusal | None:
        is_priced = order.type is not OrderType.MARKET
        collar = symbol.price_collar_percent if is_priced else None
        has_notional = any(limits.max_order_notional is not None for _, limits in of)
        if collar is None and not has_notional:
            return None
        last = self._book.last_price(order.vt_symbol, now - self.limits.price_max_age_s)
        if last is None and (collar is not None or not is_priced):
            if self.limits.without_price == "refuse":
                return Refusal("no_last_price", f"{order.vt_symbol} has no recent last price")
        elif last is not None and collar is not None and abs(order.price - last) > abs(last) * collar / 100 + 1e-9:
            return Refusal("price_collar", f"price {order.price:g} is more than {collar:g} % from the last, {last:g}")
        price = order.price if is_priced else last
        terms = self._book.terms.get((order.gateway_name, order.vt_symbol))
        if price is None or not has_notional:
            return None
        notional = abs(price) * order.volume * (terms.size if terms is not None else 1.0)
        for name, limits in of:
            if limits.max_order_notional is not None and notional > limits.max_order_notional:
                return Refusal(f"{name}_notional", f"notional {notional:g} is above {limits.max_order_notional:g}")
        return None

    def _working(
        self, order: RiskOrder, of: Applying
    ) -> Refusal | None:
        for name, limits in of:
            if limits.max_working_orders is None:
                continue
            if name == "symbol":
                works = self._book.by_symbol.get(order.vt_symbol, 0)
            elif name == "strategy":
                works = self._book.by_sender.get(order.sender, 0)
            else:
                works = self._book.by_account.get(order.gateway_name, 0)
            if works >= limits.max_working_orders:
                return Refusal(f"{name}_working_orders", f"{works} orders work, of {limits.max_working_orders}")
        return None

    def _duplicate(self, order: RiskOrder, now: float) -> Refusal | None:
        window_s = self.limits.duplicate_window_ms / 1000
        if window_s and now - self._recent.get(_identity(order), float("-inf")) < window_s:
            return Refusal("duplicate_order", f"the same order was sent less than {window_s:g} s ago")
        return None

    def _rates(
        self, order: RiskOrder, account: AccountLimits, sender: SenderLimits | None, now: float
    ) -> Refusal | None:
        for name, key, limits in (("strategy", order.sender, sender), ("account", order.gateway_name, account)):
            if limits is None or limits.max_orders_per_s is None:
                continue
            if self._bucket(name, key, limits, now).tokens < 1:
                return Refusal(f"{name}_rate", f"more than {limits.max_orders_per_s:g} orders a second")
        return None

    def _bucket(self, name: str, key: str, limits: SenderLimits, now: float) -> _Bucket:
        bucket = self._buckets.get((name, key))
        if bucket is None:
            bucket = self._buckets[name, key] = _Bucket(float(limits.burst), now)
        gained = (now - bucket.at) * (limits.max_orders_per_s or 0.0)
        bucket.tokens, bucket.at = min(bucket.tokens + gained, float(limits.burst)), now
        return bucket


def _identity(order: RiskOrder) -> tuple[object, ...]:
    return (
        order.gateway_name, order.vt_symbol, order.is_buy, order.offset, order.type, order.volume, order.price,
        order.sender,
    )  # fmt: skip
