"""What clients may ask about orders: bodies and query parameters, checked before anything is done with them."""

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from vnpy_core.enums import Direction, Offset
from vnpy_core.models import OrderSpec
from vnpy_core.routers.requests import (
    NAMES,
    AnyDirection,
    AnyExchange,
    AnyOffset,
    AnyOrderType,
    Body,
    GatewayName,
    RequestQuery,
    Symbol,
    Text,
    VtSymbol,
    named,
)
from vnpy_core.trading.filters import OrderFilter

MAX_BATCH = 100

class DryRunQuery(RequestQuery):
    dry_run: Annotated[bool, Field(description="Check only: send and record nothing / 仅校验")] = False


class CancelQuery(RequestQuery):
    gateway_name: Annotated[
        GatewayName | None, Field(description="With a plain orderid: its gateway / 使用普通委托号时的接口名")
    ] = None


ClientOrderId = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9._:-]{1,64}$",
        description=(
            "Good for one order ever; a second use is refused, but after a 503 (not sent) / "
            "只能使用一次，重复即拒绝；503（未发出）后可再用"
        ),
        examples=["desk-1-000042"],
    ),
]


class OrderBody(Body):
    """An order to send."""

    symbol: Symbol
    exchange: Annotated[AnyExchange, Field(description=NAMES)]
    direction: Annotated[
        Annotated[Literal[Direction.LONG, Direction.SHORT], named(Direction)], Field(description=NAMES)
    ]
    type: Annotated[AnyOrderType, Field(description=NAMES)]
    price: Annotated[float, Field(allow_inf_nan=False, description="0 for a market order / 市价单填 0")]
    volume: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    offset: Annotated[AnyOffset, Field(description=NAMES)] = Offset.NONE
    gateway_name: Annotated[
        GatewayName | None,
        Field(description="May be left out if one gateway alone has the contract / 仅一个接口有该合约时可省略"),
    ] = None
    reference: Annotated[Text, Field(description="Who asks, for the list of orders / 来源标识")] = ""
    client_order_id: ClientOrderId | None = None

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "gateway_name": "SIM", "symbol": "rb2501", "exchange": "SHFE", "direction": "LONG",
                    "offset": "OPEN", "type": "LIMIT", "price": 3500.0, "volume": 1.0,
                }
            ]
        }
    )  # fmt: skip

    def spec(self) -> OrderSpec:
        return OrderSpec(**self.model_dump(exclude={"gateway_name", "client_order_id"}))


class AmendBody(Body):
    """What is to change of an order; what is left out, or null, stays as it is."""

    price: Annotated[float | None, Field(allow_inf_nan=False)] = None
    volume: Annotated[
        float | None,
        Field(gt=0, allow_inf_nan=False, description="The whole, with what is traded already / 总数量（含已成交）"),
    ] = None
    client_order_id: Annotated[
        ClientOrderId | None, Field(description="Of the new order; good for one ever / 新委托的自定义编号")
    ] = None

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"price": 3501.0}, {"price": 3501.0, "volume": 3.0}],
            "not": {"properties": {name: {"type": "null"} for name in ("price", "volume")}},
        }
    )

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if self.price is None and self.volume is None:
            raise ValueError("price or volume must be given")
        return self


class BatchOrderBody(OrderBody):
    """An order of a batch."""

    client_order_id: ClientOrderId


class BatchBody(Body):
    """Orders to send one after the other."""

    orders: Annotated[list[BatchOrderBody], Field(min_length=1, max_length=MAX_BATCH)]

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "orders": [
                        {
                            "gateway_name": "SIM", "symbol": "rb2501", "exchange": "SHFE", "direction": "LONG",
                            "offset": "OPEN", "type": "LIMIT", "price": price, "volume": 1.0,
                            "client_order_id": client_order_id,
                        }
                        for client_order_id, price in (("desk-1-000042", 3500.0), ("desk-1-000043", 3499.0))
                    ]
                }
            ]
        }
    )  # fmt: skip


class CancelBatchBody(Body):
    """Orders to cancel."""

    order_ids: Annotated[
        list[Annotated[Text, Field(min_length=1)]],
        Field(min_length=1, max_length=MAX_BATCH, description="As in the path of a single one / 与单笔撤单相同"),
    ]
    gateway_name: Annotated[
        GatewayName | None, Field(description="Of plain orderids / 使用普通委托号时的接口名")
    ] = None

    model_config = ConfigDict(json_schema_extra={"examples": [{"order_ids": ["SIM.26010500001", "SIM.26010500002"]}]})


class CancelAllBody(Body):
    """Which active orders to cancel; with no filter at all: every one."""

    vt_symbol: VtSymbol | None = None
    symbol: Symbol | None = None
    exchange: Annotated[AnyExchange | None, Field(description=NAMES)] = None
    gateway_name: GatewayName | None = None
    direction: Annotated[AnyDirection | None, Field(description=NAMES)] = None
    reference: Text | None = None
    strategy: Text | None = None

    model_config = ConfigDict(json_schema_extra={"examples": [{"gateway_name": "SIM", "vt_symbol": "rb2501.SHFE"}]})

    def which(self) -> OrderFilter:
        return OrderFilter(**self.model_dump())
