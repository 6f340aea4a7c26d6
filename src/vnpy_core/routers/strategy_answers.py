"""What the API answers of strategies beside their state: saved states, errors; with examples of them."""

import msgspec

from vnpy_core.reports import PositionStanding, SavedState, StrategyError
from vnpy_core.routers.answers import NextCursor


class SavedStatePage(msgspec.Struct, frozen=True, kw_only=True):
    """What a strategy's variables were saved as, the newest first."""

    history: list[SavedState]
    next_cursor: NextCursor


class StrategyErrorPage(msgspec.Struct, frozen=True, kw_only=True):
    """The last 50 errors of a strategy since the service was started, the newest first."""

    errors: list[StrategyError]
    next_cursor: NextCursor


_AT = "2026-01-05T01:30:00.000000+00:00"
SAVED_STATES = SavedStatePage(
    history=[SavedState(revision=1767576600001, datetime=_AT, variables={"pos": 1.0, "fast_ma0": 3502.5})],
    next_cursor=None,
)
ERRORS = StrategyErrorPage(
    errors=[
        StrategyError(
            kind="FAILED", datetime=_AT, summary="Strategy 'demo' failed: ZeroDivisionError: division by zero",
            traceback="Traceback (most recent call last): …",
        )
    ],
    next_cursor=None,
)  # fmt: skip
POSITION = PositionStanding(
    strategy_name="demo", state="DIFFERS", pos=1.0, traded=2.0, beyond_trades=0.0, difference=-1.0,
    set_by="first start", set_at=_AT,
)  # fmt: skip
