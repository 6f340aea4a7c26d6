"""What clients may ask: the bodies and query parameters of the API, checked before anything is done with them."""

import json
import re
from datetime import datetime
from typing import Annotated, Any, Literal, Self, TypeVar

import msgspec
from fastapi import Depends, Query
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from vnpy_core.enums import (
    Direction,
    Exchange,
    Interval,
    Offset,
    OrderStatus,
    OrderType,
    Product,
    StrategyState,
    parse_enum,
)
from vnpy_core.models import Strategy, to_timestamp
from vnpy_core.trading.filters import OrderFilter, TradeFilter

MAX_LIMIT = 10_000
NAMES = "By name, or by vn.py's English or Chinese value / 名称，或 vn.py 的英文、中文取值"

_E = TypeVar("_E", Direction, Exchange, Interval, Offset, OrderStatus, OrderType, Product)
# No control characters; blanks are part of some exchanges' symbols ("SP a2501&a2505").
_SYMBOL = r"[^\x00-\x1f\x7f]{1,64}"
_VT_SYMBOL = re.compile(rf"^{_SYMBOL}\.({'|'.join(Exchange)})$")
_OFFSET_WITHOUT_PLUS = re.compile(r" (\d\d:?\d\d)$")


def named(kind: type[_E]) -> BeforeValidator:
    return BeforeValidator(lambda value: parse_enum(kind, value) if isinstance(value, str) else value)


def _vt_symbol(text: str) -> str:
    if not _VT_SYMBOL.fullmatch(text):
        raise ValueError("must be symbol.EXCHANGE, such as rb2501.SHFE")
    return text


def _moment(value: Any) -> datetime:
    """Parse ISO 8601 with an offset; a plus sign that came as a blank, as it does in a careless URL, is taken back."""
    try:
        moment = datetime.fromisoformat(_OFFSET_WITHOUT_PLUS.sub(r"+\1", value))
        if moment.tzinfo is None:
            raise ValueError
        to_timestamp(moment)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{value!r} is no ISO 8601 time with an offset, such as 2026-01-05T09:30:00+08:00") from error
    return moment


def _json_object(values: dict[str, Any]) -> dict[str, Any]:
    """Refuse what Python's JSON parser lets through and nobody after it can carry."""
    try:
        json.dumps(values, allow_nan=False)
        msgspec.json.decode(msgspec.json.encode(values))
    except (ValueError, OverflowError, RecursionError) as error:
        raise ValueError("must be made of finite numbers and of valid Unicode, and not be nested too deep") from error
    return values


AnyDirection = Annotated[Direction, named(Direction)]
AnyExchange = Annotated[Exchange, named(Exchange)]
AnyInterval = Annotated[Interval, named(Interval)]
BarInterval = Annotated[
    Literal[Interval.MINUTE, Interval.HOUR, Interval.DAILY, Interval.WEEKLY], named(Interval)
]
AnyOffset = Annotated[Offset, named(Offset)]
AnyOrderStatus = Annotated[OrderStatus, named(OrderStatus)]
AnyOrderType = Annotated[OrderType, named(OrderType)]
AnyProduct = Annotated[Product, named(Product)]
AnyStrategyState = Annotated[StrategyState, named(StrategyState)]
EngineName = Annotated[
    str, Field(pattern=r"^\w{1,64}$", description="vn.py's name of it / vn.py 引擎名", examples=["CtaStrategy"])
]
Moment = Annotated[datetime, BeforeValidator(_moment), WithJsonSchema({"type": "string", "format": "date-time"})]
Symbol = Annotated[str, Field(pattern=f"^{_SYMBOL}$", examples=["rb2501"])]
VtSymbol = Annotated[
    str,
    AfterValidator(_vt_symbol),
    Field(
        json_schema_extra={"pattern": _VT_SYMBOL.pattern}, description="symbol.EXCHANGE", examples=["rb2501.SHFE"]
    ),
]
JsonObject = Annotated[dict[str, Any], AfterValidator(_json_object)]
GatewayName = Annotated[str, Field(pattern=f"^{_SYMBOL}$", examples=["SIM"])]
Text = Annotated[str, Field(max_length=128)]


class Body(BaseModel):
    """A request body: no field too many, no type that is merely alike."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class RequestQuery(BaseModel):
    # A misspelt filter must not quietly mean "all of them".
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Nothing(RequestQuery):
    """No query parameters at all."""


async def _no_query(query: Annotated[_Nothing, Query()]) -> None:
    """Refuse every query parameter. Async, because FastAPI sends what is not to a thread."""


NO_QUERY = [Depends(_no_query)]


def _cursor(table: str) -> Any:
    """Return the description of a list's cursor; the form is the read model's."""
    return Field(
        pattern=f"^{table}-[0-9a-f]{{1,16}}$",
        description="next_cursor of the page before / 上一页的 next_cursor",
        examples=[f"{table}-1f4"],
    )


class Page(RequestQuery):
    """One page of a list; each list adds its own cursor."""

    limit: Annotated[int, Field(ge=1, le=MAX_LIMIT, description="Rows on this page / 本页行数")] = 1000


def _past_cursor(table: str) -> Any:
    """Return the description of the cursor of a list that also has past days; the form is ``data.past``'s."""
    return Field(
        pattern=f"^{table}-[0-9a-f]{{1,16}}(-([0-9a-f]{{2}})+)?$",
        max_length=4096,
        description="next_cursor of the page before / 上一页的 next_cursor",
        examples=[f"{table}-1f4"],
    )


class PastQuery(Page):
    """A page of a list that answers for past days too: with a first or last moment it is read from SQL."""

    start: Annotated[
        Moment | None, Field(description="First moment, also of past days / 起始时刻，可查询历史")
    ] = None
    end: Annotated[
        Moment | None, Field(description="Last moment, also of past days / 截止时刻，可查询历史")
    ] = None
    since: Annotated[
        Moment | None, Field(description="Not before this moment; restricts the live list / 不早于此时刻，过滤当前列表")
    ] = None
    cursor: str | None = None

    @property
    def is_of_the_past(self) -> bool:
        """A page that follows one of past days is such a page too, whether the range was given again or not."""
        return self.start is not None or self.end is not None or (self.cursor or "").count("-") > 1

    @property
    def span(self) -> tuple[str | None, str | None]:
        """The wire timestamps of ``start`` and ``end``."""
        return to_timestamp(self.start) if self.start else None, to_timestamp(self.end) if self.end else None


class ServiceQuery(RequestQuery):
    name: Annotated[
        str | None, Field(min_length=1, max_length=64, description="Of this name / 服务名", examples=["vnpy-core"])
    ] = None


class GatewayQuery(Page):
    cursor: Annotated[str | None, _cursor("gateways")] = None


class StrategyQuery(Page):
    """Which strategies; every filter given must hold."""

    cursor: Annotated[str | None, _cursor("strategies")] = None
    engine: EngineName | None = None
    state: AnyStrategyState | None = None
    vt_symbol: VtSymbol | None = None

    def matches(self, strategy: Strategy) -> bool:
        return (
            (self.engine is None or strategy.engine == self.engine)
            and (self.state is None or strategy.state is self.state)
            and (self.vt_symbol is None or self.vt_symbol in strategy.symbols)
        )


class ClassQuery(RequestQuery):
    engine: EngineName | None = None


class OrderQuery(PastQuery):
    """Which orders; every filter given must hold."""

    cursor: Annotated[str | None, _past_cursor("orders")] = None
    vt_symbol: VtSymbol | None = None
    symbol: Symbol | None = None
    exchange: AnyExchange | None = None
    gateway_name: GatewayName | None = None
    status: AnyOrderStatus | None = None
    active: Annotated[bool | None, Field(description="Still in the market / 仍可成交")] = None
    direction: AnyDirection | None = None
    reference: Annotated[Text | None, Field(description="The whole reference / 完整来源标识")] = None
    strategy: Annotated[Text | None, Field(description="Strategy that sent it / 发出委托的策略")] = None
    client_order_id: Annotated[
        Text | None,
        Field(description="The client's own id, of any day / 客户端委托号，不限日期", examples=["desk-1-000042"]),
    ] = None

    def which(self) -> OrderFilter:
        return OrderFilter(**_filters(self))


class IntentQuery(RequestQuery):
    outcome: Annotated[
        Literal["UNKNOWN"], Field(description="What became of the sending; the others are in SQL / 发送结果")
    ] = "UNKNOWN"


class TradeQuery(PastQuery):
    cursor: Annotated[str | None, _past_cursor("trades")] = None
    vt_symbol: VtSymbol | None = None
    symbol: Symbol | None = None
    exchange: AnyExchange | None = None
    gateway_name: GatewayName | None = None
    direction: AnyDirection | None = None
    vt_orderid: Annotated[Text | None, Field(description="Fills of this order / 该委托的成交")] = None

    def which(self) -> TradeFilter:
        return TradeFilter(**_filters(self))


def _filters(query: PastQuery) -> dict[str, Any]:
    given = query.model_dump(exclude={"cursor", "limit", "start", "end", "since"})
    return given | {"since": to_timestamp(query.since) if query.since else None}


class PositionQuery(Page):
    cursor: Annotated[str | None, _cursor("positions")] = None
    vt_symbol: VtSymbol | None = None
    symbol: Symbol | None = None
    exchange: AnyExchange | None = None
    gateway_name: GatewayName | None = None
    direction: AnyDirection | None = None


class AccountQuery(Page):
    cursor: Annotated[str | None, _cursor("accounts")] = None
    gateway_name: GatewayName | None = None


class ContractQuery(Page):
    cursor: Annotated[str | None, _cursor("contracts")] = None
    vt_symbol: VtSymbol | None = None
    symbol: Annotated[Symbol | None, Field(description="What the symbol begins with / 代码前缀")] = None
    exchange: AnyExchange | None = None
    gateway_name: GatewayName | None = None
    product: AnyProduct | None = None


class TickQuery(Page):
    cursor: Annotated[str | None, _cursor("ticks")] = None
    vt_symbol: Annotated[
        list[VtSymbol] | None, Field(description="May be repeated / 可重复", max_length=1000)
    ] = None
    exchange: AnyExchange | None = None
    gateway_name: GatewayName | None = None


class HistoryQuery(RequestQuery):
    vt_symbol: VtSymbol
    start: Annotated[Moment | None, Field(description="First moment, with offset / 起始时刻（含时区）")] = None
    end: Annotated[Moment | None, Field(description="Last moment, with offset / 截止时刻（含时区）")] = None
    cursor: Annotated[Moment | None, Field(description="next_cursor of the page before / 上一页的 next_cursor")] = None
    limit: Annotated[int, Field(ge=1, le=MAX_LIMIT, description="Rows on this page / 本页行数")] = 1000


class BarQuery(HistoryQuery):
    interval: Annotated[BarInterval, Field(description=f"{NAMES}: 1m, 1h, d, w")] = Interval.MINUTE


class DownloadBody(Body):
    """Bars to download."""

    vt_symbol: VtSymbol
    interval: Annotated[BarInterval, Field(description=f"{NAMES}: 1m, 1h, d, w")] = Interval.MINUTE
    start: Annotated[Moment, Field(description="First moment, with offset / 起始时刻（含时区）")]
    end: Annotated[Moment | None, Field(description="Last moment, with offset; now / 截止时刻（含时区），默认现在")] = (
        None
    )
    gateway_name: Annotated[
        GatewayName | None,
        Field(description="May be left out if one gateway alone has the contract / 仅一个接口有该合约时可省略"),
    ] = None

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"vt_symbol": "rb2501.SHFE", "interval": "MINUTE", "start": "2026-01-05T09:00:00+08:00"}]
        }
    )


class TickBarQuery(HistoryQuery):
    interval: Annotated[
        Annotated[Literal[Interval.MINUTE, Interval.HOUR], named(Interval)],
        Field(description=f"{NAMES}: 1m, 1h"),
    ] = Interval.MINUTE


class SubscriptionBody(Body):
    """Symbols whose ticks are wanted, or no longer wanted."""

    vt_symbols: Annotated[list[VtSymbol], Field(min_length=1, max_length=1000)]
    gateway_name: Annotated[
        GatewayName | None,
        Field(description="May be left out if one gateway alone has the contract / 仅一个接口有该合约时可省略"),
    ] = None

    model_config = ConfigDict(json_schema_extra={"examples": [{"vt_symbols": ["rb2501.SHFE", "IF2501.CFFEX"]}]})


_ROUTES = ("classes", "performance")


def _strategy_name(name: str) -> str:
    if name in _ROUTES:
        raise ValueError(f"{name!r} is the name of a route")
    return name


StrategyName = Annotated[
    str,
    Field(
        # Part of a URL path, of a file name in vn.py's folder and of an order's reference.
        pattern=r"^\w[\w.\-]{0,63}$",
        json_schema_extra={"not": {"enum": list(_ROUTES)}},
        examples=["demo"],
    ),
    AfterValidator(_strategy_name),
]


class StrategyBody(Body):
    """A strategy to add."""

    class_name: Annotated[str, Field(pattern=r"^\w{1,128}$", examples=["DoubleMaStrategy"])]
    strategy_name: StrategyName
    engine: EngineName = "CtaStrategy"
    vt_symbol: Annotated[VtSymbol | None, Field(description="Of a strategy of one symbol / 单合约策略的合约")] = None
    vt_symbols: Annotated[
        list[VtSymbol] | None,
        Field(max_length=1000, description="In place of `vt_symbol`, if there are several / 多合约策略的全部合约"),
    ] = None
    setting: Annotated[
        JsonObject, Field(description="Parameters that differ from the class's / 与策略类默认值不同的参数")
    ] = Field(default_factory=dict)
    auto_start: Annotated[
        bool, Field(description="Initialise and start it whenever the service starts / 服务启动时自动初始化并启动")
    ] = False

    @property
    def symbols(self) -> list[str]:
        return self.vt_symbols if self.vt_symbols is not None else [self.vt_symbol] if self.vt_symbol else []

    @model_validator(mode="after")
    def _one_way_to_name_symbols(self) -> Self:
        if self.vt_symbol is not None and self.vt_symbols is not None:
            raise ValueError("give vt_symbol or vt_symbols, not both")
        return self

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "class_name": "DoubleMaStrategy", "strategy_name": "demo", "vt_symbol": "rb2501.SHFE",
                    "setting": {"fast_window": 10}, "auto_start": True,
                }
            ]
        }
    )  # fmt: skip


class ParametersBody(Body):
    """Parameters to change; those left out stay as they are."""

    parameters: Annotated[JsonObject, Field(min_length=1)]

    model_config = ConfigDict(json_schema_extra={"examples": [{"parameters": {"fast_window": 12}}]})
