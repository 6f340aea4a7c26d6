"""What is news: which facts tell something new about what is known, and which are echoes or come too late.

vn.py's gateways push an order again whenever they have queried it, and may deliver its states out of order. The rules:

* A fact equal to the latest of its key is no news. (An intent, too: it is journaled once for each of its states.)
* An order never goes back: after a final state (ALLTRADED, CANCELLED, REJECTED) no active one, after ALLTRADED no
  other, after PARTTRADED no NOTTRADED, after NOTTRADED no SUBMITTING. ``traded`` never falls: a late CANCELLED with a
  smaller one keeps the greater.
* What an order's later state leaves out (``client_order_id``, ``rejected_reason``, ``datetime``, ``reference``, what
  replaces it and what it replaces) it keeps from the earlier one. One that was ours once is not ``external`` later.
* A gateway that begins its order numbers anew must not lose the new order: a final order's id counts as that of
  another order if contract, side, type or volume differ, or if its time is later.
* A trade that is known is no news, unless its contract, side, price, volume or day differ: then the id was used anew.
"""

from enum import StrEnum

import msgspec

from vnpy_core.enums import OrderStatus
from vnpy_core.models import Algo, Model, Order, RiskState, Trade


class Echo(StrEnum):
    """Why a fact is no news."""

    DUPLICATE = "duplicate"
    STALE = "stale"


_RANK = {
    OrderStatus.UNKNOWN: 0,
    OrderStatus.SUBMITTING: 1,
    OrderStatus.NOTTRADED: 2,
    OrderStatus.PARTTRADED: 3,
}


def news(latest: Model | None, incoming: Model) -> Model | Echo:
    """Return what ``incoming`` makes known beyond ``latest`` (of the same key), or why it is nothing."""
    if latest is None:
        return incoming
    if incoming == latest:
        return Echo.DUPLICATE
    if isinstance(incoming, Order) and isinstance(latest, Order):
        return _order_news(latest, incoming)
    if isinstance(incoming, Trade) and isinstance(latest, Trade):
        return Echo.DUPLICATE if _same_trade(latest, incoming) else incoming
    if isinstance(incoming, RiskState) and isinstance(latest, RiskState) and incoming.revision < latest.revision:
        return Echo.STALE  # the breaker was quicker than the operator's answer
    if isinstance(incoming, Algo) and isinstance(latest, Algo) and _is_behind(latest, incoming):
        return Echo.STALE  # the algo went on while its command was answered
    return incoming


def _is_behind(latest: Algo, incoming: Algo) -> bool:
    return incoming.traded < latest.traded or (latest.is_final and not incoming.is_final)


def _order_news(latest: Order, incoming: Order) -> Order | Echo:
    if latest.is_final and not incoming.is_final:
        return incoming if _is_another(latest, incoming) else Echo.STALE
    if latest.status is OrderStatus.ALLTRADED and incoming.status is not OrderStatus.ALLTRADED:
        return Echo.STALE
    if not incoming.is_final and incoming.traded <= latest.traded and _goes_back(latest, incoming):
        return Echo.STALE
    merged = msgspec.structs.replace(
        incoming,
        traded=max(incoming.traded, latest.traded),
        client_order_id=incoming.client_order_id or latest.client_order_id,
        rejected_reason=incoming.rejected_reason or latest.rejected_reason,
        datetime=incoming.datetime or latest.datetime,
        reference=incoming.reference or latest.reference,
        replaces=incoming.replaces or latest.replaces,
        replaced_by=incoming.replaced_by or latest.replaced_by,
        external=incoming.external and latest.external,
    )
    return Echo.DUPLICATE if merged == latest else merged


def _goes_back(latest: Order, incoming: Order) -> bool:
    if incoming.status is OrderStatus.UNKNOWN:
        return False
    return _RANK[incoming.status] < _RANK[latest.status] or incoming.traded < latest.traded


def _is_another(latest: Order, incoming: Order) -> bool:
    def substance(order: Order) -> tuple[object, ...]:
        return order.vt_symbol, order.type, order.direction, order.offset, order.volume

    if substance(latest) != substance(incoming):
        return True
    return latest.datetime is not None and incoming.datetime is not None and incoming.datetime > latest.datetime


def _same_trade(latest: Trade, incoming: Trade) -> bool:
    def substance(trade: Trade) -> tuple[object, ...]:
        return trade.vt_symbol, trade.direction, trade.offset, trade.price, trade.volume

    if substance(latest) != substance(incoming):
        return False
    return latest.datetime is None or incoming.datetime is None or latest.datetime[:10] == incoming.datetime[:10]
