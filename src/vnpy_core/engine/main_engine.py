"""CoreMainEngine: vn.py's main engine, without mail and chat, with what apps still ask of it, and an orderly end."""

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, TypeVar

from vnpy.event import Event
from vnpy.trader.app import BaseApp
from vnpy.trader.engine import BaseEngine, EmailEngine, LogEngine, MainEngine, WechatEngine
from vnpy.trader.event import EVENT_CONTRACT, EVENT_LOG
from vnpy.trader.gateway import BaseGateway
from vnpy.trader.object import CancelRequest, ContractData, LogData, OrderRequest, SubscribeRequest

from vnpy_core.config.logging import VNPY_LOGGER
from vnpy_core.engine.event_engine import CoreEventEngine
from vnpy_core.engine.redaction import Redactor
from vnpy_core.engine.shutdown import Shutdown, ShutdownLimits, StageResult

E = TypeVar("E", bound=BaseEngine)
HoldCode = Literal["reconciling", "gateway_stale"]
HOLD_CODES: tuple[HoldCode, ...] = ("reconciling", "gateway_stale")

_vnpy_logger = logging.getLogger(VNPY_LOGGER)


class Hold(NamedTuple):
    """Why a gateway that could take orders gets none."""

    code: HoldCode
    reason: str


class CoreLogEngine(LogEngine):
    """Writes vn.py's log events to the service's log. Takes plain text too, which some apps put in place of LogData.

    It is the first handler of these events, and takes secrets out of the message itself: no later one sees them.
    """

    def process_log_event(self, event: Event) -> None:
        log: LogData | str = event.data
        redactor = self.main_engine.redactor if isinstance(self.main_engine, CoreMainEngine) else Redactor()
        if isinstance(log, LogData):
            log.msg = redactor.clean(log.msg)
            _vnpy_logger.log(log.level, "%s", log.msg, extra={"source": log.gateway_name})
        else:
            event.data = redactor.clean(str(log))
            _vnpy_logger.info("%s", event.data, extra={"source": event.type})


class SilentEmailEngine(EmailEngine):
    """Sends nothing: vn.py's thread waits for its mail server for ever, and so does closing it."""

    def send_email(self, subject: str, content: str, receiver: str | None = None) -> None:
        self.main_engine.send_notification(content, subject)


class SilentWechatEngine(WechatEngine):
    """Sends nothing, and never starts its thread."""

    def load_setting(self) -> None:
        return

    def activate(self) -> None:
        self.main_engine.write_log("Messages to WeChat are not sent from here", "wechat")

    def send_wechat(self, msg: str) -> None:
        self.main_engine.send_notification(msg)


_REPLACED: dict[type[BaseEngine], type[BaseEngine]] = {
    LogEngine: CoreLogEngine,
    EmailEngine: SilentEmailEngine,
    WechatEngine: SilentWechatEngine,
}


class CoreMainEngine(MainEngine):
    """The engines and gateways of one process. Commands (send, cancel, subscribe) are for the event thread alone."""

    event_engine: CoreEventEngine

    def __init__(self, event_engine: CoreEventEngine, *, limits: ShutdownLimits | None = None) -> None:
        self._limits = limits or ShutdownLimits()
        self._close_lock = threading.Lock()
        self._closed: Sequence[StageResult] | None = None
        self._contracts: dict[tuple[str, str], ContractData] = {}
        self._offline: dict[str, str] = {}
        self._held: dict[str, str] = {}
        self._holds: dict[tuple[str, str], str] = {}
        self.sent: set[str] = set()
        self.redactor = Redactor()
        self.on_notification: Callable[[str, str], None] = lambda sender, text: None
        """Called with what an app or a strategy wants to tell a person; on its thread, and must not wait."""
        super().__init__(event_engine)
        event_engine.register(EVENT_CONTRACT, self._on_contract)

    def add_engine(self, engine_class: type[E]) -> E:
        replaced: type[Any] = _REPLACED.get(engine_class, engine_class)
        engine: E = super().add_engine(replaced)
        return engine

    def add_core_app(self, app_class: type[BaseApp], engine_class: type[E]) -> E:
        """Add an app and return its engine, which must be an ``engine_class``."""
        engine = self.add_app(app_class)
        if not isinstance(engine, engine_class):
            raise TypeError(f"{app_class.__name__} made a {type(engine).__name__}, not a {engine_class.__name__}")
        return engine

    def attach_gateway(self, gateway: BaseGateway) -> None:
        """Put a gateway that was made elsewhere in the place of the one of its name. On the event thread."""
        self.gateways[gateway.gateway_name] = gateway
        self.exchanges.extend(exchange for exchange in gateway.exchanges if exchange not in self.exchanges)

    def set_online(self, gateway_name: str, obstacle: str | None) -> None:
        """Let commands through to a gateway, or refuse them because of ``obstacle``. Callable from any thread.

        Many gateways crash, some the whole process, when they are used before they are connected.
        """
        if obstacle is None:
            self._offline.pop(gateway_name, None)
        else:
            self._offline[gateway_name] = obstacle

    def obstacle(self, gateway_name: str) -> str | None:
        """Return why the gateway takes no commands now; None for one of which nobody has said so."""
        return self._offline.get(gateway_name)

    def hold_orders(self, reason: str | None, *, by: str) -> None:
        """Refuse every order because of ``reason``, or take orders again as far as ``by`` is concerned; cancels pass.
        Callable from any thread."""
        held = self._held
        self._held = {key: value for key, value in held.items() if key != by} | ({by: reason} if reason else {})
        if reason is not None:
            self.write_log(f"New orders are refused: {reason}", level=logging.CRITICAL)
        elif held and not self._held:
            self.write_log("Orders are taken again", level=logging.WARNING)

    def hold_gateway(self, gateway_name: str, code: HoldCode, reason: str | None) -> None:
        """Refuse the orders of every app to a gateway because of ``reason``, or take them again as far as this code
        is concerned; cancels pass. Callable from any thread."""
        if reason is None:
            self._holds.pop((gateway_name, code), None)
        else:
            self._holds[gateway_name, code] = reason

    def hold_of(self, gateway_name: str) -> Hold | None:
        """Return why the gateway, connected or not, takes no orders now."""
        for code in HOLD_CODES:
            reason = self._holds.get((gateway_name, code))
            if reason is not None:
                return Hold(code, reason)
        return None

    @property
    def held(self) -> str | None:
        """Why no gateway gets orders now."""
        return next(iter(self._held.values()), None)

    def refusal(self, req: OrderRequest, gateway_name: str) -> str | None:
        """Return why the order would not be sent now, whatever it is, and log that; None if it would be."""
        obstacle, hold = self._offline.get(gateway_name), self.hold_of(gateway_name)
        reason: str | None
        if obstacle is not None:
            reason = f"Gateway {gateway_name} {obstacle}"
        elif hold is not None:
            reason = f"Gateway {gateway_name} takes no orders now: {hold.reason}"
        else:
            reason = self.held
        if reason is not None:
            self.write_log(f"{reason}; not sent: order {req}", level=logging.WARNING)
        return reason

    def send_order(self, req: OrderRequest, gateway_name: str) -> str:
        if self.refusal(req, gateway_name) is not None:
            return ""
        gateway = self.get_gateway(gateway_name)
        if gateway is None:
            return ""
        self._log_request("Send new order", gateway_name, req)
        vt_orderid: str = gateway.send_order(req)
        if vt_orderid:
            self.sent.add(vt_orderid)
        return vt_orderid

    def cancel_order(self, req: CancelRequest, gateway_name: str) -> None:
        if self._refuses(gateway_name, "cancel", req):
            return
        gateway = self.get_gateway(gateway_name)
        if gateway is not None:
            self._log_request("Cancel order", gateway_name, req)
            gateway.cancel_order(req)

    def subscribe(self, req: SubscribeRequest, gateway_name: str) -> None:
        if not self._refuses(gateway_name, "subscription", req):
            super().subscribe(req, gateway_name)

    def _refuses(self, gateway_name: str, what: str, request: object) -> bool:
        obstacle = self._offline.get(gateway_name)
        if obstacle is not None:
            self.write_log(f"Gateway {gateway_name} {obstacle}; not sent: {what} {request}", level=logging.WARNING)
        return obstacle is not None

    def _log_request(self, what: str, gateway_name: str, request: object) -> None:
        """Write what vn.py does of each order, at DEBUG: the order itself is an event, and its line took a third of the
        time of a POST."""
        if _vnpy_logger.isEnabledFor(logging.DEBUG):
            self.write_log(f"{what} -> {gateway_name}: {request}", level=logging.DEBUG)

    def contract_of(self, gateway_name: str, vt_symbol: str) -> ContractData | None:
        """Return the contract as that gateway sent it; ``get_contract`` has the one of whichever sent it last."""
        return self._contracts.get((gateway_name, vt_symbol))

    def write_log(self, msg: str, source: str = "MainEngine", level: int = logging.INFO) -> None:
        self.event_engine.put(Event(EVENT_LOG, LogData(msg=msg, gateway_name=source, level=level)))

    def send_notification(self, content: str, subject: str | None = None) -> None:
        """Write it to the log, and have it delivered as alerts are."""
        self.write_log(f"{subject}: {content}" if subject else content, "notification", logging.WARNING)
        self.on_notification(self.redactor.clean(str(subject or "")), self.redactor.clean(str(content)))

    def send_email(self, subject: str, content: str, receiver: str | None = None) -> None:
        """Do as ``send_notification``. vn.py has removed it, and its CTA engine still calls it."""
        self.send_notification(content, subject)

    def close(self) -> None:
        """Do as ``shutdown``. On the event thread it only begins, and returns."""
        if self.event_engine.in_event_thread:
            threading.Thread(target=self.shutdown, name="main-engine-close", daemon=True).start()
        else:
            self.shutdown()

    def shutdown(self) -> Sequence[StageResult]:
        """Stop strategies and algos, wait for the answers to their cancels, then end every engine and gateway.

        Blocks for at most the sum of the limits. Each part is closed whatever becomes of the others, and what became
        of it is logged and returned. A second call returns the same. Not for the event thread.
        """
        with self._close_lock:
            if self._closed is None:
                self._closed = Shutdown(self, self._limits).run()
            return self._closed

    def _on_contract(self, event: Event) -> None:
        contract: ContractData = event.data
        self._contracts[contract.gateway_name, contract.vt_symbol] = contract
