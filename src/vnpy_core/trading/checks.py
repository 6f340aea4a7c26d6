"""PreTradeChecks: what an order must pass before anything is journaled or sent, as a chain that others add to.

A check looks at an order and raises the ``OrderRefused`` that says why it must not go out. It runs on the loop, must
not block, and must have no side effects: a dry run asks the same chain. Strategies' orders do not come this way.
"""

from collections.abc import Callable, Container, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import NoReturn, Protocol

import msgspec

from vnpy_core.enums import Direction, Exchange, GatewayState, Offset, OrderType, Product
from vnpy_core.errors import NotFound, OrderRefused, Unavailable
from vnpy_core.events import Event
from vnpy_core.models import Contract, GatewayStatus, OrderSpec

# What floats do to decimal prices: 0.1 + 0.2 is 4e-17 off, and prices of 1e6 some 1e-10.
_RELATIVE_NOISE, _TICK_NOISE = Decimal("1e-12"), Decimal("1e-9")
_PRICED = frozenset({OrderType.LIMIT, OrderType.STOP, OrderType.FAK, OrderType.FOK})
_CLOSES_BY_DAY = frozenset({Exchange.SHFE, Exchange.INE})
_CHINESE_STOCKS = frozenset({Exchange.SSE, Exchange.SZSE, Exchange.BSE})
_NEGATIVE_PRICES = frozenset({Exchange.NYMEX, Exchange.ICE})
# By the class's top package and name; a gateway that is not listed says itself what it does not take.
_TAKES = {
    ("vnpy_core", "SimGateway"): frozenset({*_PRICED, OrderType.MARKET}),
    ("vnpy_ctp", "CtpGateway"): frozenset(
        {OrderType.LIMIT, OrderType.MARKET, OrderType.FAK, OrderType.FOK, OrderType.RFQ}
    ),
    ("vnpy_tts", "TtsGateway"): frozenset({OrderType.LIMIT, OrderType.MARKET, OrderType.FAK, OrderType.FOK}),
    ("vnpy_xtp", "XtpGateway"): frozenset({OrderType.LIMIT, OrderType.MARKET}),
    ("vnpy_ib", "IbGateway"): frozenset({OrderType.LIMIT, OrderType.MARKET, OrderType.STOP}),
}


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """An order that is to be sent, with what its gateway has told of the contract and of itself."""

    spec: OrderSpec
    gateway_name: str
    contract: Contract
    gateway: GatewayStatus


class Check(Protocol):
    """``codes`` are those it refuses with, and when; ``docs/order-refusals.md`` is made of them."""

    @property
    def codes(self) -> Mapping[str, str]: ...

    def __call__(self, order: Proposal) -> None:
        """Return if the order may go out.

        Raises:
            OrderRefused: it may not. Unavailable: not now.
        """


class Sessions(Protocol):
    """The trading calendar."""

    def is_open(self, contract: Contract, moment: datetime) -> bool | None:
        """Tell whether the contract trades at ``moment``; ``None`` if its session is not known."""


class StateTable(Protocol):
    def get(self, key: str) -> Event | None: ...


class MarketState(Protocol):
    """The read model, as far as checks need it."""

    @property
    def contracts(self) -> StateTable: ...
    @property
    def gateways(self) -> StateTable: ...


class PreTradeChecks:
    """The chain: first those of the contract, then those that were added, in their order."""

    def __init__(self, state: MarketState, checks: Sequence[Check] | None = None) -> None:
        self._state = state
        self._checks = list(contract_checks() if checks is None else checks)

    def add(self, check: Check) -> None:
        """Ask ``check`` too, after those that are there."""
        self._checks.append(check)

    def pass_or_refuse(self, spec: OrderSpec, gateway_name: str) -> OrderSpec:
        """Return the order as it is to be sent: as asked for, with the price that is exactly on its tick.

        Raises:
            NotFound: no such gateway, or it has told of no such contract.
            Unavailable: the gateway is not connected.
            OrderRefused: a check refuses it; ``code`` says which.
        """
        gateway = self._state.gateways.get(gateway_name)
        if gateway is None or not isinstance(gateway.data, GatewayStatus):
            raise NotFound(f"There is no gateway {gateway_name!r}.", code="unknown_gateway")
        if gateway.data.state not in (GatewayState.CONNECTED, GatewayState.STALE):
            raise Unavailable(
                f"Gateway {gateway_name} is {gateway.data.state}; nothing was sent.", code="gateway_not_connected"
            )
        contract = self._state.contracts.get(f"{gateway_name}.{spec.vt_symbol}")
        if contract is None or not isinstance(contract.data, Contract):
            raise NotFound(f"Gateway {gateway_name} has no contract {spec.vt_symbol}.", code="unknown_contract")
        proposal = Proposal(
            spec=spec, gateway_name=gateway_name, contract=contract.data, gateway=gateway.data
        )
        for check in self._checks:
            check(proposal)
        return _on_tick(spec, contract.data)


class ProductCheck:
    """Nobody trades an index itself."""

    codes: Mapping[str, str] = {"not_tradable": "the contract is an index"}

    def __call__(self, order: Proposal) -> None:
        if order.contract.product is Product.INDEX:
            _refuse("not_tradable", f"{order.contract.vt_symbol} is an index and cannot be traded.")


class TypeCheck:
    """``takes``: the order types of the gateways of which these are known."""

    codes: Mapping[str, str] = {"unsupported_type": "the gateway or the contract does not take orders of this type"}

    def __init__(self, takes: Mapping[tuple[str, str], frozenset[OrderType]] = _TAKES) -> None:
        self._takes = takes

    def __call__(self, order: Proposal) -> None:
        kind, path = order.spec.type, order.gateway.class_path.split(".")
        takes = self._takes.get((path[0], path[-1]))
        if takes is not None and kind not in takes:
            _refuse("unsupported_type", f"{order.gateway_name} takes {', '.join(sorted(takes))} orders, not {kind}.")
        if kind is OrderType.STOP and not order.contract.stop_supported:
            _refuse(
                "unsupported_type",
                f"{order.contract.vt_symbol} takes no STOP orders. A strategy can keep one in the service itself.",
            )


class OffsetCheck:
    """Whether a position is opened or closed must be said, except where positions are net.

    There OPEN and CLOSE say nothing, as vn.py's strategies and gateways have it; the day of a position does not exist.
    """

    codes: Mapping[str, str] = {
        "invalid_offset": (
            "the offset is missing, or it tells the day of a position (CLOSETODAY on an exchange other than SHFE and "
            "INE, CLOSETODAY or CLOSEYESTERDAY where positions are net)"
        )
    }

    def __call__(self, order: Proposal) -> None:
        offset, contract = order.spec.offset, order.contract
        if contract.net_position:
            if offset in (Offset.CLOSETODAY, Offset.CLOSEYESTERDAY):
                _refuse("invalid_offset", f"Positions of {contract.vt_symbol} are net: leave the offset out.")
        elif offset is Offset.NONE:
            _refuse("invalid_offset", f"{contract.vt_symbol} needs an offset: OPEN or one of the closing ones.")
        elif offset is Offset.CLOSETODAY and contract.exchange not in _CLOSES_BY_DAY:
            _refuse("invalid_offset", f"{contract.exchange} does not tell today's positions from others: use CLOSE.")


class VolumeCheck:
    """Smallest, largest, and in whole lots; what is left of a holding of shares may be sold below a lot."""

    codes: Mapping[str, str] = {
        "volume_below_minimum": "the volume is below the contract's `min_volume`",
        "volume_above_maximum": "the volume is above the contract's `max_volume`",
        "volume_step": "the volume is no multiple of the contract's `min_volume`",
    }

    def __call__(self, order: Proposal) -> None:
        contract, volume = order.contract, order.spec.volume
        if contract.max_volume is not None and contract.max_volume > 0 and volume > contract.max_volume:
            _refuse("volume_above_maximum", f"{volume:g} is above the maximum of {contract.max_volume:g}.")
        lot = contract.min_volume
        if lot <= 0 or _is_odd_lot_sale(order):
            return
        if volume < lot and _multiple(volume, lot) is None:
            _refuse("volume_below_minimum", f"{volume:g} is below the minimum of {lot:g}.")
        if _multiple(volume, lot) is None:
            _refuse("volume_step", f"{volume!r} is no multiple of {lot:g}.")


class PriceCheck:
    """On the price tick, exactly; positive, except where prices may be negative."""

    codes: Mapping[str, str] = {
        "invalid_price": "an order of this type needs a positive price (that of a spread may be zero or negative)",
        "price_tick": "the price is no multiple of the contract's `pricetick`",
    }

    def __call__(self, order: Proposal) -> None:
        contract, price = order.contract, order.spec.price
        if order.spec.type not in _PRICED:
            return
        may_be_negative = contract.product is Product.SPREAD or contract.exchange in _NEGATIVE_PRICES
        if price <= 0 and not may_be_negative:
            _refuse("invalid_price", f"A {order.spec.type} order needs a positive price, not {price:g}.")
        if contract.pricetick > 0 and _multiple(price, contract.pricetick) is None:
            _refuse("price_tick", f"{price!r} is no multiple of the price tick {contract.pricetick:g}.")


class SessionCheck:
    """Open or closed, where the calendar knows; asked for ``gateways`` alone, or for all."""

    codes: Mapping[str, str] = {
        "market_closed": "the contract does not trade at this hour, and `closed_orders` says to refuse then"
    }

    def __init__(
        self,
        sessions: Sessions,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        *,
        gateways: Container[str] | None = None,
    ) -> None:
        self._sessions = sessions
        self._clock = clock
        self._gateways = gateways

    def __call__(self, order: Proposal) -> None:
        if self._gateways is not None and order.gateway_name not in self._gateways:
            return
        if self._sessions.is_open(order.contract, self._clock()) is False:
            _refuse("market_closed", f"{order.contract.vt_symbol} does not trade now.")


def contract_checks() -> tuple[Check, ...]:
    """Return what a contract alone tells."""
    return ProductCheck(), TypeCheck(), OffsetCheck(), VolumeCheck(), PriceCheck()


def _refuse(code: str, detail: str) -> NoReturn:
    raise OrderRefused(detail, code=code)


def _is_odd_lot_sale(order: Proposal) -> bool:
    of_stocks = order.contract.product is Product.EQUITY and order.contract.exchange in _CHINESE_STOCKS
    return of_stocks and order.spec.direction is Direction.SHORT


@lru_cache(4096)
def _multiple(value: float, unit: float) -> Decimal | None:
    """Return the multiple of ``unit`` that ``value`` is but for the noise of floats, or ``None``.

    Prices and volumes come again and again, and exact arithmetic takes 5 µs each time.

    >>> _multiple(0.1 + 0.2, 0.1), _multiple(0.35, 0.1)
    (Decimal('0.3'), None)
    """
    exact, step = Decimal(repr(float(value))), Decimal(repr(float(unit)))
    nearest = (exact / step).to_integral_value() * step
    off = abs(exact - nearest)
    return nearest if off <= abs(exact) * _RELATIVE_NOISE + step * _TICK_NOISE else None


def _on_tick(spec: OrderSpec, contract: Contract) -> OrderSpec:
    if spec.type not in _PRICED or contract.pricetick <= 0:
        return spec
    price = _multiple(spec.price, contract.pricetick)
    if price is None or float(price) == spec.price:
        return spec
    return msgspec.structs.replace(spec, price=float(price))
