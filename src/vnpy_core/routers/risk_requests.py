"""The bodies of the risk and algo routes."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from vnpy_core.config.risk_settings import AccountLimits, RiskSettings, SenderLimits, SymbolLimits
from vnpy_core.enums import Direction, Offset, TradingState
from vnpy_core.models import Model
from vnpy_core.routers.requests import NAMES, AnyOffset, Body, JsonObject, Page, VtSymbol, named

OneSide = Annotated[Literal[Direction.LONG, Direction.SHORT], named(Direction)]
Narrowed = Annotated[Literal[TradingState.HALTED, TradingState.REDUCING], named(TradingState)]
Scope = Annotated[
    str,
    Field(
        pattern=r"^(\*|[^\s./*]{1,64})$",
        description="A gateway, or * for all of them / 接口名，* 表示全部",
        examples=["*"],
    ),
]
Reason = Annotated[
    str, Field(min_length=1, max_length=256, description="For those who look later / 原因", examples=["Feed is wrong"])
]


class HaltBody(Body):
    """Whose trading is to be narrowed, and how far."""

    scope: Scope = "*"
    reason: Reason = "Halted by an operator."
    state: Annotated[
        Narrowed,
        Field(description="REDUCING: orders that reduce positions pass, also those of strategies / 只减仓"),
    ] = TradingState.HALTED

    model_config = ConfigDict(json_schema_extra={"examples": [{"scope": "*", "reason": "The feed is wrong"}]})


class ResumeBody(Body):
    """Whose trading is to go on."""

    scope: Scope = "*"
    reason: Reason = "Resumed by an operator."

    model_config = ConfigDict(json_schema_extra={"examples": [{"scope": "*", "reason": "The feed is right again"}]})


class KillSwitchBody(Body):
    """What a kill switch is to do besides halting and cancelling."""

    flatten: Annotated[bool, Field(description="Close every position / 平掉全部持仓")] = False
    stop_strategies: Annotated[
        bool, Field(description="Stop strategies and algos, also for the next start / 停止全部策略与算法")
    ] = True
    timeout_s: Annotated[
        float, Field(ge=1, le=120, allow_inf_nan=False, description="Then it reports what is left open / 时限")
    ] = 15.0
    collar_percent: Annotated[
        float,
        Field(gt=0, le=50, allow_inf_nan=False, description="How far beyond the opposite best price / 平仓价格让步"),
    ] = 1.0
    reason: Reason = "Kill switch."

    model_config = ConfigDict(json_schema_extra={"examples": [{"flatten": True, "reason": "Stop everything"}]})


class StrictSymbol(SymbolLimits):
    """Of one contract."""

    model_config = ConfigDict(strict=True)


class StrictSender(SenderLimits):
    """Of one strategy or algo."""

    model_config = ConfigDict(strict=True)


class StrictAccount(AccountLimits):
    """Of one gateway."""

    model_config = ConfigDict(strict=True)


class LimitsBody(RiskSettings):
    """All limits; what is left out is unlimited, as in the configuration. Numbers must be numbers, unlike there."""

    symbol: StrictSymbol = StrictSymbol()
    strategy: StrictSender = StrictSender()
    account: StrictAccount = StrictAccount()
    symbols: dict[str, StrictSymbol] = Field(default_factory=dict)  # type: ignore[assignment]
    strategies: dict[str, StrictSender] = Field(default_factory=dict)  # type: ignore[assignment]
    accounts: dict[str, StrictAccount] = Field(default_factory=dict)  # type: ignore[assignment]

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        json_schema_extra={
            "examples": [
                {
                    "symbol": {"max_order_volume": 50, "price_collar_percent": 2.0},
                    "account": {"max_order_notional": 5_000_000, "max_daily_loss_percent": 3.0},
                    "accounts": {"SIM": {"max_working_orders": 200}},
                    "duplicate_window_ms": 500,
                }
            ]
        },
    )


class RuleBody(Body):
    """Parameters of one of vn.py's rules; those left out stay as they are."""

    parameters: Annotated[JsonObject, Field(description="By name / 按参数名")]

    model_config = ConfigDict(json_schema_extra={"examples": [{"parameters": {"order_volume_limit": 100}}]})


class AlgoBody(Body):
    """An algorithm to start."""

    template: Annotated[str, Field(pattern=r"^\w{1,64}$", examples=["TwapAlgo"])]
    vt_symbol: VtSymbol
    direction: Annotated[OneSide, Field(description=NAMES)]
    offset: Annotated[AnyOffset, Field(description=NAMES)] = Offset.NONE
    price: Annotated[float, Field(allow_inf_nan=False)]
    volume: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    setting: Annotated[
        JsonObject, Field(description="Parameters that differ from the template's / 与模板默认值不同的参数")
    ] = Field(default_factory=dict)

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "template": "TwapAlgo", "vt_symbol": "rb2501.SHFE", "direction": "LONG", "offset": "OPEN",
                    "price": 3510.0, "volume": 10.0, "setting": {"time": 60, "interval": 10},
                }
            ]
        }
    )  # fmt: skip


class AlgoQuery(Page):
    cursor: Annotated[
        str | None,
        Field(
            pattern="^algos-[0-9a-f]{1,16}$",
            description="next_cursor of the page before / 上一页的 next_cursor",
            examples=["algos-1f4"],
        ),
    ] = None
    active: Annotated[bool | None, Field(description="Only those that run or are paused / 仅运行或暂停中的")] = None

    def predicate(self) -> Callable[[Model], bool] | None:
        active = self.active
        return None if active is None else lambda algo: algo.is_final is not active


def limits_of(body: LimitsBody) -> RiskSettings:
    given: dict[str, Any] = {name: getattr(body, name) for name in RiskSettings.model_fields}
    return RiskSettings.model_construct(**given)
