"""What strategies' performance is measured by: the section ``performance`` of the configuration."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from vnpy_core.config.access_settings import Section

# The template writes what is not set as an empty string.
_unset = BeforeValidator(lambda value: None if value == "" else value)
Cost = Annotated[Annotated[float, Field(ge=0, allow_inf_nan=False)] | None, _unset]
Size = Annotated[Annotated[float, Field(gt=0, allow_inf_nan=False)] | None, _unset]
Capital = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class CostSettings(Section):
    """What trading costs; for a product or a symbol, what differs."""

    commission_rate: Annotated[Cost, Field(description="Of turnover: 0.0001 is one ten-thousandth")] = None
    commission_per_lot: Annotated[Cost, Field(description="Money for each lot, beside the rate")] = None
    slippage: Annotated[Cost, Field(description="Price units for each lot; fills have their own already")] = None
    size: Annotated[Size, Field(description="Of the contract; default: what the gateway says")] = None


class StrategyCapital(Section):
    capital: Annotated[Capital, Field(description="What the strategy began with")]


class PerformanceSettings(CostSettings):
    capital: Annotated[Capital, Field(description="What a strategy began with, for returns and drawdowns")] = 1_000_000
    annual_days: Annotated[int, Field(ge=1, le=366, description="Trading days of a year")] = 240
    risk_free: Annotated[float, Field(ge=-1, le=1, description="Return of a year without risk: 0.02 is 2 %")] = 0.0
    half_life: Annotated[int, Field(ge=1, description="Of vn.py's weighted Sharpe ratio, in days")] = 120
    products: Annotated[
        dict[str, CostSettings], Field(description="By letters of the symbol (rb): what differs")
    ] = Field(default_factory=dict)
    symbols: Annotated[
        dict[str, CostSettings], Field(description="By vt_symbol: what differs")
    ] = Field(default_factory=dict)
    strategies: Annotated[
        dict[str, StrategyCapital], Field(description="By strategy: its capital")
    ] = Field(default_factory=dict)

    def costs_of(self, symbol: str, vt_symbol: str) -> CostSettings:
        """Return what holds for a symbol: its own, over its product's, over the general."""
        product = symbol.rstrip("0123456789")
        letters = "".join(character for character in symbol if character.isalpha())
        found: dict[str, float | None] = {}
        for level in (self.symbols.get(vt_symbol), self.products.get(product) or self.products.get(letters), self):
            if level is not None:
                for name in CostSettings.model_fields:
                    if found.get(name) is None:
                        found[name] = getattr(level, name)
        return CostSettings(**found)

    def capital_of(self, strategy_name: str) -> float:
        own = self.strategies.get(strategy_name)
        return own.capital if own is not None else self.capital
