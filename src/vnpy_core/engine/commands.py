"""TradingCommands: send, cancel and subscribe, with what came of it said instead of an empty string and a log line.

All of it is for the event thread: ``event_engine.call(commands.send_order, …)``.
"""

import logging
import threading
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from vnpy.event import Event
from vnpy.trader.event import EVENT_ORDER
from vnpy.trader.gateway import BaseGateway
from vnpy.trader.object import CancelRequest, LogData, OrderData, OrderRequest, SubscribeRequest

from vnpy_core.engine.main_engine import CoreMainEngine
from vnpy_core.engine.markers import marked
from vnpy_core.engine.vn_enums import to_vn
from vnpy_core.enums import Exchange, Offset
from vnpy_core.errors import Conflict, NotFound, OrderRefused, OutcomeUnknown, Unavailable
from vnpy_core.models import OrderSpec

__all__ = ["OrderSpec", "TradingCommands"]

RISK_ENGINE = "RiskManager"
_ABSENT = object()

logger = logging.getLogger(__name__)


class TradingCommands:
    """What the API lets a client do with vn.py's main engine."""

    def __init__(self, main_engine: CoreMainEngine) -> None:
        self._main = main_engine
        # Sent, and not yet seen by vn.py's OMS: commands overtake the event that tells it.
        self._sent: dict[str, CancelRequest] = {}
        main_engine.event_engine.register(EVENT_ORDER, self._on_order)

    def send_order(self, gateway_name: str, spec: OrderSpec) -> str:
        """Send the order and return its vt_orderid.

        Raises:
            NotFound: no such gateway, or it has not told of that contract (``unknown_contract``).
            Unavailable: it is not connected (``gateway_not_connected``), or takes no orders now (``reconciling``,
                ``gateway_stale``); or none does.
            OrderRefused: it was not sent: by the account's limits (a code of theirs), by vn.py's risk manager
                (``risk_manager``), because one of its rules raised
                (``risk_failed``), or by the gateway (``gateway_refused``).
            OutcomeUnknown: the gateway raised; whether the order went out, only its events can tell.
        """
        gateway = self._taking_orders(gateway_name, spec.vt_symbol)
        request = _request_of(spec)
        risk = self._main.engines.get(RISK_ENGINE)
        front = getattr(risk, "front", None)
        with _Watch(gateway) as watch, front.client_order() if front is not None else nullcontext():
            try:
                vt_orderid: str = self._main.send_order(request, gateway_name)
            except BaseException as error:
                if not watch.reached_gateway:
                    raise OrderRefused(f"a risk rule raised {error!r}", code="risk_failed") from error
                raise OutcomeUnknown(
                    f"gateway {gateway_name} raised {error!r} while it sent the order: look at the order list"
                ) from error
        if not vt_orderid:
            if not watch.reached_gateway:
                refusal = getattr(risk, "last_refusal", None) or "it was stopped on its way to the gateway"
                raise OrderRefused(refusal, code=getattr(risk, "last_code", "risk_manager"))
            reason = watch.gateway_reason or "it gave no reason"
            raise OrderRefused(f"gateway {gateway_name} refused the order: {reason}", code="gateway_refused")
        self._sent[vt_orderid] = CancelRequest(
            orderid=vt_orderid.removeprefix(f"{gateway_name}."), symbol=spec.symbol, exchange=request.exchange
        )
        if spec.offset is not Offset.OPEN:  # those freeze nothing, and it goes through all orders of the symbol
            self._tell_converter(request, vt_orderid, gateway_name)
        return vt_orderid

    def try_order(self, gateway_name: str, spec: OrderSpec) -> None:
        """Raise what ``send_order`` would raise before it asks vn.py's rules, to which each question is an order.

        Leaves no trace: nothing is counted, logged or told.

        Raises:
            NotFound, OrderRefused: as ``send_order``.
            Unavailable: as ``send_order``.
        """
        self._taking_orders(gateway_name, spec.vt_symbol)
        front = getattr(self._main.engines.get(RISK_ENGINE), "front", None)
        if front is None or front.guard is None:
            return
        with front.client_order():
            asked = front.asked(_request_of(spec), gateway_name)
        if (refusal := front.guard.refusal(asked)) is not None:
            raise OrderRefused(refusal.reason, code=refusal.code)

    def cancel_order(self, vt_orderid: str) -> None:
        """Ask the gateway to cancel the order; what comes of it, its events tell.

        Raises:
            NotFound: nobody knows the order.
            Unavailable: its gateway is not connected (``gateway_not_connected``).
            Conflict: it is no longer active (``order_not_active``).
            OutcomeUnknown: the gateway raised.
        """
        order: OrderData | None = self._main.get_order(vt_orderid)
        if order is not None and not order.is_active():
            raise Conflict(f"order {vt_orderid} is {order.status.name}", code="order_not_active")
        if order is not None:
            request, gateway_name = order.create_cancel_request(), order.gateway_name
        elif vt_orderid in self._sent:
            request = self._sent[vt_orderid]
            gateway_name = vt_orderid.removesuffix(f".{request.orderid}")
        else:
            raise NotFound(f"no order {vt_orderid}", code="unknown_order")
        self._gateway(gateway_name)
        try:
            self._main.cancel_order(request, gateway_name)
        except Exception as error:
            raise OutcomeUnknown(f"gateway {gateway_name} raised {error!r} while it cancelled {vt_orderid}") from error

    def subscribe(self, gateway_name: str, symbol: str, exchange: Exchange) -> None:
        """Ask the gateway for the ticks of a symbol.

        Raises:
            NotFound: no such gateway, or it has not told of that contract (``unknown_contract``).
            Unavailable: it is not connected (``gateway_not_connected``), or raised.
        """
        self._gateway(gateway_name)
        self._require_contract(gateway_name, f"{symbol}.{exchange}")
        try:
            self._main.subscribe(SubscribeRequest(symbol=symbol, exchange=to_vn(exchange)), gateway_name)
        except Exception as error:
            raise Unavailable(f"gateway {gateway_name} raised {error!r} while it subscribed") from error

    def unsubscribe(self, gateway_name: str, symbol: str, exchange: Exchange) -> bool:
        """Tell the gateway that the ticks are not wanted; False if it is of those, the most, that cannot be told.

        Raises:
            NotFound: no such gateway.
            Unavailable: the gateway raised.
        """
        unsubscribe = getattr(self._gateway(gateway_name), "unsubscribe", None)
        if unsubscribe is None:
            return False
        try:
            unsubscribe(SubscribeRequest(symbol=symbol, exchange=to_vn(exchange)))
        except Exception as error:
            raise Unavailable(f"gateway {gateway_name} raised {error!r} while it unsubscribed") from error
        return True

    def _gateway(self, gateway_name: str) -> BaseGateway:
        gateway = self._main.gateways.get(gateway_name)
        if gateway is None:
            raise NotFound(f"no gateway {gateway_name}", code="unknown_gateway")
        obstacle = self._main.obstacle(gateway_name)
        if obstacle is not None:
            raise Unavailable(f"gateway {gateway_name} {obstacle}", code="gateway_not_connected")
        return gateway

    def _taking_orders(self, gateway_name: str, vt_symbol: str) -> BaseGateway:
        gateway = self._gateway(gateway_name)
        hold = self._main.hold_of(gateway_name)
        if hold is not None:
            raise Unavailable(f"gateway {gateway_name} takes no orders now: {hold.reason}", code=hold.code)
        if self._main.held is not None:
            raise Unavailable(f"no orders are taken now: {self._main.held}")
        self._require_contract(gateway_name, vt_symbol)
        return gateway

    def _require_contract(self, gateway_name: str, vt_symbol: str) -> None:
        if self._main.contract_of(gateway_name, vt_symbol) is None:
            raise NotFound(f"gateway {gateway_name} has no contract {vt_symbol}", code="unknown_contract")

    def _tell_converter(self, request: OrderRequest, vt_orderid: str, gateway_name: str) -> None:
        """Freeze the volume that a close order takes, as vn.py's apps do after the orders they send."""
        try:
            self._main.update_order_request(request, vt_orderid, gateway_name)
        except Exception:
            # The order is out; its event tells the converter once more.
            logger.exception("The offset converter does not take order %s", vt_orderid)

    def _on_order(self, event: Event) -> None:
        self._sent.pop(event.data.vt_orderid, None)


def _request_of(spec: OrderSpec) -> OrderRequest:
    return OrderRequest(
        symbol=spec.symbol,
        exchange=to_vn(spec.exchange),
        direction=to_vn(spec.direction),
        type=to_vn(spec.type),
        volume=spec.volume,
        price=spec.price,
        offset=to_vn(spec.offset),
        reference=marked(spec.reference, spec.marker),
    )


class _Watch:
    """Looks on while one order is sent: did it reach the gateway, and what was said meanwhile by whom.

    A gateway says why it refuses only in a log event, which comes after the answer. So its methods are shadowed on
    the object, for this one call and this thread.
    """

    def __init__(self, gateway: BaseGateway) -> None:
        self.reached_gateway = False
        self.gateway_reason = ""
        self._gateway = gateway
        self._thread = threading.get_ident()
        self._shadowed: list[tuple[Any, str, Any]] = []

    def __enter__(self) -> "_Watch":
        self._shadow(self._gateway, "send_order", self._saw_send)
        self._shadow(self._gateway, "on_log", self._saw_log)
        return self

    def __exit__(self, *exc_info: object) -> None:
        for owner, name, before in reversed(self._shadowed):
            if before is _ABSENT:
                delattr(owner, name)
            else:
                setattr(owner, name, before)

    def _shadow(self, owner: Any, name: str, saw: Callable[[Any], None]) -> None:
        original = getattr(owner, name)

        def shadow(*args: Any, **kwargs: Any) -> Any:
            if threading.get_ident() == self._thread:
                saw(next(iter((*args, *kwargs.values())), None))
            return original(*args, **kwargs)

        self._shadowed.append((owner, name, vars(owner).get(name, _ABSENT)))
        setattr(owner, name, shadow)

    def _saw_send(self, request: object) -> None:
        self.reached_gateway = True

    def _saw_log(self, log: LogData) -> None:
        self.gateway_reason = log.msg
