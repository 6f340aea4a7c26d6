"""What the API answers: lists and results around the models. Enums by name, times in UTC, see models.py."""

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from vnpy_core.models import (
    Account,
    Bar,
    Contract,
    GatewayName,
    GatewayStatus,
    HistoryOverview,
    Order,
    OrderIntent,
    Position,
    ServiceInstance,
    Strategy,
    Tick,
    Timestamp,
    Trade,
    VtSymbol,
)
from vnpy_core.reports import SessionStatus
from vnpy_core.trading.drift_sides import Drift
from vnpy_core.trading.reconciliation import Reconciliation
from vnpy_core.trading.results import CancelResult, GivenSetting, SubmitResult

NextCursor = Annotated[str | None, msgspec.Meta(description="Ask again with it for the next page; null: no more")]


class OrderPage(msgspec.Struct, frozen=True, kw_only=True):
    orders: list[Order]
    next_cursor: NextCursor


class IntentPage(msgspec.Struct, frozen=True, kw_only=True):
    """Orders that were to be sent, and what is known of the sending."""

    intents: list[OrderIntent]
    next_cursor: NextCursor


class ReconciliationPage(msgspec.Struct, frozen=True, kw_only=True):
    """How each gateway's report compares with what is known."""

    reconciliations: list[Reconciliation]
    next_cursor: NextCursor


class DriftPage(msgspec.Struct, frozen=True, kw_only=True):
    """What the strategies believe to hold beside what their accounts hold."""

    drifts: list[Drift]
    next_cursor: NextCursor


class GivenSettingPage(msgspec.Struct, frozen=True, kw_only=True):
    """What was given over the API to connect gateways by."""

    gateway_settings: list[GivenSetting]
    next_cursor: NextCursor


class SettingForgotten(msgspec.Struct, frozen=True, kw_only=True):
    """What was given over the API for it is kept no longer."""

    gateway_name: GatewayName


class TradePage(msgspec.Struct, frozen=True, kw_only=True):
    trades: list[Trade]
    next_cursor: NextCursor


class PositionPage(msgspec.Struct, frozen=True, kw_only=True):
    positions: list[Position]
    next_cursor: NextCursor


class AccountPage(msgspec.Struct, frozen=True, kw_only=True):
    accounts: list[Account]
    next_cursor: NextCursor


class ContractPage(msgspec.Struct, frozen=True, kw_only=True):
    contracts: list[Contract]
    next_cursor: NextCursor


class TickPage(msgspec.Struct, frozen=True, kw_only=True):
    ticks: list[Tick]
    next_cursor: NextCursor


class GatewayRow(GatewayStatus, frozen=True, kw_only=True, gc=False):
    """A gateway's status, and how long ago its market data was heard."""

    last_tick_age_s: Annotated[
        float | None, msgspec.Meta(description="Of all its symbols; null: no tick has come since it is connected")
    ] = None


class GatewayPage(msgspec.Struct, frozen=True, kw_only=True):
    gateways: list[GatewayRow]
    next_cursor: NextCursor


class StrategyPage(msgspec.Struct, frozen=True, kw_only=True):
    strategies: list[Strategy]
    next_cursor: NextCursor


class BarPage(msgspec.Struct, frozen=True, kw_only=True):
    bars: list[Bar]
    next_cursor: NextCursor


class OverviewPage(msgspec.Struct, frozen=True, kw_only=True):
    overview: list[HistoryOverview]
    next_cursor: NextCursor


class ItemProblem(msgspec.Struct, frozen=True, kw_only=True):
    """Why one order of a batch was not sent, or is not known to be; as in a problem document."""

    code: str
    detail: str
    vt_orderid: Annotated[str | None, msgspec.Meta(description="The order this is about, if there is one")] = None
    intent_id: Annotated[str | None, msgspec.Meta(description="The order intent this is about")] = None


class BatchItem(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one order of a batch: ``status`` is what it would have been answered alone."""

    client_order_id: str
    status: Annotated[int, msgspec.Meta(examples=[201])]
    result: SubmitResult | None = None
    problem: ItemProblem | None = None


class BatchResult(msgspec.Struct, frozen=True, kw_only=True):
    """One item for each order of the batch, in its order. ``refused`` were certainly not sent."""

    results: list[BatchItem]
    sent: int
    refused: int
    unknown: int


class CancelAllResult(msgspec.Struct, frozen=True, kw_only=True):
    """One result for each order that was active and meant."""

    results: list[CancelResult]
    accepted: int
    refused: int


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    vt_symbol: VtSymbol
    gateway_name: GatewayName


class SubscriptionResult(msgspec.Struct, frozen=True, kw_only=True):
    """The symbols, and the gateway that each was asked of."""

    subscriptions: list[Subscription]


class Parameters(msgspec.Struct, frozen=True, kw_only=True):
    strategy_name: Annotated[str, msgspec.Meta(examples=["demo"])]
    parameters: Mapping[str, Any]


class Variables(msgspec.Struct, frozen=True, kw_only=True):
    strategy_name: Annotated[str, msgspec.Meta(examples=["demo"])]
    variables: Mapping[str, Any]


class Removed(msgspec.Struct, frozen=True, kw_only=True):
    strategy_name: Annotated[str, msgspec.Meta(examples=["demo"])]
    removed: bool = True


class StrategyParameter(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A parameter, and the range that its class gives it, if it gives one."""

    name: Annotated[str, msgspec.Meta(examples=["fast_window"])]
    type: Annotated[str, msgspec.Meta(examples=["int", "float", "str", "bool", "any"])]
    default: Any
    minimum: float | None = None
    maximum: float | None = None
    exclusive_minimum: float | None = None
    exclusive_maximum: float | None = None
    multiple_of: float | None = None
    choices: list[Any] | None = None
    description: str | None = None


class StrategyClass(msgspec.Struct, frozen=True, kw_only=True):
    """A class that strategies can be made of: an installed package's, of the user's folder, or uploaded."""

    class_name: Annotated[str, msgspec.Meta(examples=["DoubleMaStrategy"])]
    engine: Annotated[str, msgspec.Meta(description="vn.py's engine that runs it", examples=["CtaStrategy"])]
    module: str
    origin: Annotated[str, msgspec.Meta(examples=["official", "user", "uploaded"])]
    package: Annotated[str | None, msgspec.Meta(description="The installed package it is of, with its version")]
    file: str
    doc: Annotated[str, msgspec.Meta(description="Its docstring, or its file's")]
    author: str
    parameters: list[StrategyParameter]
    variables: list[str]


class ClassPage(msgspec.Struct, frozen=True, kw_only=True):
    classes: list[StrategyClass]
    broken_files: Annotated[Mapping[str, str], msgspec.Meta(description="Not loaded: path, and why, with traceback")]
    next_cursor: NextCursor


class SessionPage(msgspec.Struct, frozen=True, kw_only=True):
    sessions: list[SessionStatus]
    next_cursor: NextCursor


class SessionEnded(msgspec.Struct, frozen=True, kw_only=True):
    session_id: Annotated[str, msgspec.Meta(examples=["ws-1"])]
    ended: bool = True


class ServicePage(msgspec.Struct, frozen=True, kw_only=True):
    """Running services, of any status, as the registry last listed them."""

    services: list[ServiceInstance]
    as_of: Annotated[Timestamp | None, msgspec.Meta(description="When the registry said so; null: it never has")]
    stale: Annotated[bool, msgspec.Meta(description="It has been asked since, and has not answered")]
    next_cursor: NextCursor
