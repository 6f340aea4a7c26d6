"""What risk control tells operators."""

from typing import Annotated

import msgspec

from vnpy_core.enums import TradingState
from vnpy_core.models import GatewayName, RiskDay, RiskState


class AccountRisk(msgspec.Struct, frozen=True, kw_only=True):
    """One gateway's account. ``effective_state`` is the narrower of its own and that of all."""

    gateway_name: GatewayName
    effective_state: TradingState
    state: RiskState
    day: Annotated[RiskDay | None, msgspec.Meta(description="null: it has told no balance yet")]
    balance: float | None
    daily_loss: float | None
    drawdown: float | None


class RiskOverview(msgspec.Struct, frozen=True, kw_only=True):
    """What is let through: ``state`` is that of all accounts together."""

    state: RiskState
    accounts: list[AccountRisk]
