"""The limits of the account-level risk layer: a section of the configuration, and the body of ``PUT /risk/limits``."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

# The template writes what is not set as an empty string.
_unset = BeforeValidator(lambda value: None if value == "" else value)
# JSON has one kind of numbers: 3.0 is a whole one.
_whole = BeforeValidator(lambda value: int(value) if isinstance(value, float) and value.is_integer() else value)
Amount = Annotated[Annotated[float, Field(gt=0, allow_inf_nan=False)] | None, _unset]
Percent = Annotated[Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)] | None, _unset]
Count = Annotated[Annotated[int, Field(ge=0, le=1_000_000), _whole] | None, _unset]


class _Limits(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    max_order_volume: Annotated[Amount, Field(description="Of one order")] = None
    max_order_notional: Annotated[Amount, Field(description="Price, volume and contract size of one order")] = None
    max_working_orders: Annotated[Count, Field(description="Orders that may work at a time")] = None


class SymbolLimits(_Limits):
    """Of one contract."""

    price_collar_percent: Annotated[Percent, Field(description="How far a price may be from the last one")] = None


class SenderLimits(_Limits):
    """Of one strategy or algo."""

    max_orders_per_s: Annotated[Amount, Field(description="On average")] = None
    burst: Annotated[int, Field(ge=1, le=100_000, description="Orders that may come at once"), _whole] = 10


class AccountLimits(SenderLimits):
    """Of one gateway."""

    max_daily_loss: Annotated[Amount, Field(description="From the first balance of the day; money")] = None
    max_daily_loss_percent: Annotated[Percent, Field(description="The same, of that balance")] = None
    max_drawdown: Annotated[Amount, Field(description="From the highest balance of the day; money")] = None
    max_drawdown_percent: Annotated[Percent, Field(description="The same, of that balance")] = None
    breaker_state: Annotated[
        Literal["REDUCING", "HALTED"], Field(description="What too much of a loss sets the account to")
    ] = "REDUCING"


class RiskSettings(BaseModel):
    """Limits for every symbol, strategy and account, and for those named what differs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    symbol: SymbolLimits = SymbolLimits()
    strategy: SenderLimits = SenderLimits()
    account: AccountLimits = AccountLimits()
    symbols: Annotated[
        dict[str, SymbolLimits], Field(description="By vt_symbol: what differs from risk.symbol")
    ] = Field(default_factory=dict)
    strategies: Annotated[
        dict[str, SenderLimits], Field(description="By strategy or algo: what differs from risk.strategy")
    ] = Field(default_factory=dict)
    accounts: Annotated[
        dict[str, AccountLimits], Field(description="By gateway: what differs from risk.account")
    ] = Field(default_factory=dict)
    duplicate_window_ms: Annotated[
        int,
        Field(ge=0, le=3_600_000, description="The same order again is refused for so long; 0: it is not"),
        _whole,
    ] = 0
    without_price: Annotated[
        Literal["refuse", "pass"], Field(description="What a price or market order gets without a recent last price")
    ] = "pass"
    price_max_age_s: Annotated[
        float, Field(gt=0, le=86_400, allow_inf_nan=False, description="An older last price is none")
    ] = 60.0
    halted_reducing: Annotated[
        Literal["clients", "everyone"], Field(description="Whose orders may reduce positions while HALTED")
    ] = "clients"
    rules_on_reducing: Annotated[
        bool, Field(description="vn.py's rules of size and count refuse orders that reduce positions, too")
    ] = False


def merged(default: Any, special: BaseModel | None) -> Any:
    """Return ``default`` with what ``special`` sets."""
    if special is None:
        return default
    return default.model_copy(update={name: getattr(special, name) for name in special.model_fields_set})
