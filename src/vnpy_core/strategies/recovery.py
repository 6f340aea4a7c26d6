"""What an earlier run has left: vn.py's setting files, working orders, and strategies that are gone since."""

import logging
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import msgspec

from vnpy_core.data.repositories import StrategyRecord
from vnpy_core.enums import StrategyState
from vnpy_core.models import Order, Strategy
from vnpy_core.strategies.host import Known
from vnpy_core.strategies.setting_files import SETTING_FILES, entries

logger = logging.getLogger(__name__)


class EarlierOrders(msgspec.Struct, frozen=True):
    """``owners``: vt_orderid to what follows the engine in its reference; ``working``: those that may still be;
    ``fills``: keys of all trades."""

    owners: dict[str, str]
    working: list[str]
    fills: list[str]


def records_of(engine: str, settings: Mapping[str, Any]) -> Iterator[StrategyRecord]:
    """Yield a record of each entry of vn.py's setting file that is one; the log names the others."""
    for name, record in entries(engine, settings):
        if record is not None:
            yield record
        else:
            logger.error("The entry %r of %s is not that of a strategy", name, SETTING_FILES[engine].setting)


def earlier_orders(known: Known, engine: str) -> EarlierOrders:
    """Return the orders that an engine's strategies have sent: vn.py writes that into an order's reference."""
    prefix = f"{engine}_"
    orders = [event.data for event in known.orders.values() if isinstance(event.data, Order)]
    own = [order for order in orders if order.reference.startswith(prefix)]
    return EarlierOrders(
        owners={order.vt_orderid: order.reference.removeprefix(prefix) for order in own},
        working=[order.vt_orderid for order in own if not order.is_final],
        fills=[event.data.key for event in known.trades.values()],
    )


def gone(known: Known, records: Mapping[str, StrategyRecord], engines: Collection[str]) -> list[Strategy]:
    """Return the last to be told of these engines' strategies that have no record any more, and nobody was told."""
    return [
        msgspec.structs.replace(event.data, state=StrategyState.REMOVED)
        for event in known.strategies.values()
        if isinstance(event.data, Strategy)
        and event.data.engine in engines
        and event.data.strategy_name not in records
    ]
