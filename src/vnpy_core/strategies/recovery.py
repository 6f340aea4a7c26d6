"""What an earlier run has left: vn.py's setting file, working orders, and strategies that are gone since."""

import logging
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from vnpy_core.data.repositories import StrategyRecord
from vnpy_core.enums import StrategyState
from vnpy_core.models import Order, Strategy
from vnpy_core.strategies.host import ENGINE_NAME, Known

SETTING_FILE = "cta_strategy_setting.json"
_REFERENCE_PREFIX = f"{ENGINE_NAME}_"

logger = logging.getLogger(__name__)


class EarlierOrders(msgspec.Struct, frozen=True):
    """``owners``: vt_orderid to strategy name; ``working``: those that may still be; ``fills``: keys of all trades."""

    owners: dict[str, str]
    working: list[str]
    fills: list[str]


def records_of(settings: Mapping[str, Any]) -> Iterator[StrategyRecord]:
    """Yield a record of each entry of vn.py's setting file that is one; the log names the others."""
    for name, entry in settings.items():
        try:
            yield StrategyRecord(
                strategy_name=name,
                class_name=str(entry["class_name"]),
                engine=ENGINE_NAME,
                vt_symbol=str(entry["vt_symbol"]),
                setting=dict(entry["setting"]),
                updated_by=SETTING_FILE,
            )
        except (TypeError, KeyError, ValueError):
            logger.error("The entry %r of %s is not that of a strategy", name, SETTING_FILE)


def settings_of(records: Mapping[str, StrategyRecord]) -> dict[str, dict[str, Any]]:
    """Return what vn.py's setting file has of ``records``."""
    return {
        name: {"class_name": record.class_name, "vt_symbol": record.vt_symbol, "setting": record.setting}
        for name, record in records.items()
    }


def earlier_orders(known: Known) -> EarlierOrders:
    """Return the orders that strategies have sent: vn.py writes who sent an order into its reference."""
    orders = [event.data for event in known.orders.values() if isinstance(event.data, Order)]
    own = [order for order in orders if order.reference.startswith(_REFERENCE_PREFIX)]
    return EarlierOrders(
        owners={order.vt_orderid: order.reference.removeprefix(_REFERENCE_PREFIX) for order in own},
        working=[order.vt_orderid for order in own if not order.is_final],
        fills=[event.data.key for event in known.trades.values()],
    )


def gone(known: Known, records: Mapping[str, StrategyRecord]) -> list[Strategy]:
    """Return the last to be told of strategies that have no record any more, and nobody was told."""
    return [
        msgspec.structs.replace(event.data, state=StrategyState.REMOVED)
        for event in known.strategies.values()
        if isinstance(event.data, Strategy)
        and event.data.engine == ENGINE_NAME
        and event.data.strategy_name not in records
    ]
