"""What the simulated exchange lists: the default catalogue, and the arithmetic of price ticks, lots and money.

Inside the exchange a volume is a whole number of lots (one lot is the contract's ``min_volume``) and money is a whole
number of millionths of the account's currency. Sums of both are exact, which is what makes them conserved.
"""

from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Annotated, Any

import msgspec
from vnpy.trader.object import ContractData

from vnpy_core.engine.sim.suggest import unknown_key
from vnpy_core.engine.vn_enums import to_vn
from vnpy_core.enums import Exchange, Product
from vnpy_core.errors import ConfigError

MONEY = 1_000_000
# Exchanges that tell the closing of today's position from that of yesterday's; a plain CLOSE means yesterday's.
CLOSES_BY_DAY = frozenset({Exchange.SHFE, Exchange.INE})

Positive = Annotated[float, msgspec.Meta(gt=0)]
Rate = Annotated[float, msgspec.Meta(ge=0)]


class ContractSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One listed contract, as the catalogue and the setting ``contracts`` write it.

    ``price`` is where the random walk starts, ``step`` its largest move in price ticks, ``gap`` the price ticks between
    two levels of the book and ``depth`` the lots that a level shows on average. ``limit_rate`` 0: no price limits.
    """

    symbol: str
    exchange: Exchange
    name: str = ""
    product: Product = Product.FUTURES
    size: Positive = 1.0
    pricetick: Positive = 1.0
    min_volume: Positive = 1.0
    max_volume: Positive | None = None
    net_position: bool = False
    long_only: bool = False
    stop_supported: bool = True
    price: Positive = 100.0
    step: Annotated[int, msgspec.Meta(ge=1)] = 1
    gap: Annotated[int, msgspec.Meta(ge=1)] = 1
    depth: Annotated[int, msgspec.Meta(ge=1)] = 60
    limit_rate: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.1
    margin_rate: Rate = 0.1
    commission_rate: Rate = 0.0
    commission_per_lot: Rate = 0.0

    @property
    def vt_symbol(self) -> str:
        return f"{self.symbol}.{self.exchange}"


class Instrument:
    """A contract at work. Prices that come out are the floats nearest to the decimal value of a whole price tick."""

    __slots__ = (
        "_lot_den", "_lot_num", "_tick_den", "_tick_num", "_unit_value",
        "closes_by_day", "exchange", "good_till_cancelled", "lot_fee", "spec", "t_plus_one", "vt_symbol",
    )  # fmt: skip

    def __init__(self, spec: ContractSpec) -> None:
        self.spec = spec
        self.exchange = to_vn(spec.exchange)
        self.vt_symbol = spec.vt_symbol
        self.closes_by_day = spec.exchange in CLOSES_BY_DAY and not spec.net_position
        self.t_plus_one = spec.long_only
        # Markets without a closing bell keep orders; on the others an order is for the day.
        self.good_till_cancelled = spec.net_position and not spec.long_only
        tick, lot = Fraction(str(spec.pricetick)), Fraction(str(spec.min_volume))
        self._tick_num, self._tick_den = tick.numerator, tick.denominator
        self._lot_num, self._lot_den = lot.numerator, lot.denominator
        self._unit_value = float(lot * Fraction(str(spec.size)) * MONEY)
        self.lot_fee = float(lot * Fraction(str(spec.commission_per_lot)) * MONEY)

    def price_at(self, index: int) -> float:
        return index * self._tick_num / self._tick_den

    def index_of(self, price: float) -> int:
        """Return the whole price tick nearest to ``price``."""
        return round(price * self._tick_den / self._tick_num)

    def is_on_tick(self, price: float) -> bool:
        ticks = price * self._tick_den / self._tick_num
        return abs(ticks - round(ticks)) < 1e-6

    def volume_of(self, lots: int) -> float:
        return lots * self._lot_num / self._lot_den

    def lots_of(self, volume: float) -> int | None:
        """Return ``volume`` in lots, or None when it is not a multiple of a lot."""
        lots = volume * self._lot_den / self._lot_num
        nearest = round(lots)
        return nearest if abs(lots - nearest) < 1e-6 else None

    def whole_lots(self, volume: float) -> int:
        """Return how many whole lots ``volume`` holds; 0 for NaN and for nothing."""
        return int(volume * self._lot_den / self._lot_num + 1e-6) if volume > 0 else 0

    def notional(self, price: float, lots: int) -> int:
        return round(price * lots * self._unit_value)

    def commission(self, notional: int, lots: int) -> int:
        return round(notional * self.spec.commission_rate + lots * self.lot_fee)

    def margin(self, notional: int) -> int:
        return round(notional * self.spec.margin_rate)

    def average_price(self, notional: int, lots: int) -> float:
        return notional / (lots * self._unit_value) if lots else 0.0

    def contract_data(self, gateway_name: str) -> ContractData:
        spec = self.spec
        return ContractData(
            gateway_name=gateway_name,
            symbol=spec.symbol,
            exchange=self.exchange,
            name=spec.name or spec.symbol,
            product=to_vn(spec.product),
            size=spec.size,
            pricetick=spec.pricetick,
            min_volume=spec.min_volume,
            max_volume=spec.max_volume,
            stop_supported=spec.stop_supported,
            net_position=spec.net_position,
            history_data=True,
        )


def _future(symbol: str, exchange: Exchange, name: str, **fields: Any) -> ContractSpec:
    # vn.py's converter keeps the volume of a cancelled order frozen until the event arrives. On the exchanges that
    # close by day a strategy that cancels its stop order and sends it again at once is then refused by vn.py itself,
    # so there it must keep its stop orders locally, as it does with the real gateways.
    return ContractSpec(
        symbol=symbol, exchange=exchange, name=name, stop_supported=exchange not in CLOSES_BY_DAY, **fields
    )


def _equity(symbol: str, exchange: Exchange, name: str, price: float) -> ContractSpec:
    return ContractSpec(
        symbol=symbol, exchange=exchange, name=name, product=Product.EQUITY, pricetick=0.01, min_volume=100,
        price=price, net_position=True, long_only=True, margin_rate=1.0, commission_rate=0.00025,
    )  # fmt: skip


def _pair(symbol: str, name: str, pricetick: float, price: float) -> ContractSpec:
    return ContractSpec(
        symbol=symbol, exchange=Exchange.IDEALPRO, name=name, product=Product.FOREX, pricetick=pricetick,
        min_volume=1000, price=price, net_position=True, step=3, depth=500, limit_rate=0.0, margin_rate=0.04,
        commission_rate=0.00002,
    )  # fmt: skip


CATALOGUE: tuple[ContractSpec, ...] = (
    _future("rb2605", Exchange.SHFE, "Steel rebar 2605", size=10, price=3500, commission_rate=0.0001, limit_rate=0.07),
    _future("hc2605", Exchange.SHFE, "Hot rolled coil 2605", size=10, price=3650, commission_rate=0.0001),
    _future("cu2605", Exchange.SHFE, "Copper 2605", size=5, pricetick=10, price=72000, commission_rate=0.00005),
    _future("au2606", Exchange.SHFE, "Gold 2606", size=1000, pricetick=0.02, price=560, commission_per_lot=10, step=3),
    _future("i2605", Exchange.DCE, "Iron ore 2605", size=100, pricetick=0.5, price=780, commission_rate=0.0001),
    _future("sc2605", Exchange.INE, "Crude oil 2605", size=1000, pricetick=0.1, price=520, commission_per_lot=20),
    _future("TA605", Exchange.CZCE, "PTA 605", size=5, pricetick=2, price=5600, commission_per_lot=3, limit_rate=0.07),
    _future("MA605", Exchange.CZCE, "Methanol 605", size=10, price=2500, commission_rate=0.0001, limit_rate=0.07),
    _future(
        "IF2606", Exchange.CFFEX, "CSI 300 index 2606", size=300, pricetick=0.2, price=3900, commission_rate=0.000023,
        margin_rate=0.12, step=3,
    ),
    _equity("600000", Exchange.SSE, "SPD Bank", 10.0),
    _equity("000001", Exchange.SZSE, "Ping An Bank", 12.0),
    ContractSpec(
        symbol="BTCUSDT", exchange=Exchange.GLOBAL, name="Bitcoin / Tether", product=Product.SPOT, pricetick=0.1,
        min_volume=0.001, price=60000, net_position=True, step=20, gap=2, depth=900, limit_rate=0.0, margin_rate=1.0,
        commission_rate=0.0004,
    ),
    _pair("USDJPY", "US dollar / yen", 0.001, 150.0),
    _pair("EURUSD", "Euro / US dollar", 0.00001, 1.1),
)  # fmt: skip


def list_contracts(
    overrides: Iterable[Mapping[str, Any]] = (), rates: Mapping[str, float | None] | None = None
) -> dict[str, Instrument]:
    """Return vt_symbol → instrument: the catalogue, changed and extended by ``overrides``, all with ``rates``.

    An override names its contract by ``vt_symbol``, or by ``symbol`` and ``exchange``; ``rates`` that are not None
    hold for every contract.

    Raises:
        ConfigError: an override is not a contract; the message names the contract and the field.
    """
    specs = {spec.vt_symbol: spec for spec in CATALOGUE}
    for override in overrides:
        spec = _overridden(specs, override)
        specs[spec.vt_symbol] = spec
    common = {name: rate for name, rate in (rates or {}).items() if rate is not None}
    return {name: Instrument(msgspec.structs.replace(spec, **common)) for name, spec in specs.items()}


def _overridden(specs: Mapping[str, ContractSpec], override: Mapping[str, Any]) -> ContractSpec:
    fields = dict(override)
    if "vt_symbol" in fields:
        symbol, _, exchange = str(fields.pop("vt_symbol")).rpartition(".")
        fields |= {"symbol": symbol, "exchange": exchange}
    label = f"{fields.get('symbol', '?')}.{fields.get('exchange', '?')}"
    for name in fields:
        if name not in ContractSpec.__struct_fields__:
            raise ConfigError(unknown_key(name, ("vt_symbol", *ContractSpec.__struct_fields__), f"contracts: {label}"))
    known = specs.get(label)
    base = msgspec.structs.asdict(known) if known is not None else {}
    try:
        return msgspec.convert(base | fields, ContractSpec, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(f"contracts: {label}: {error}") from error
