"""GatewaySession: one gateway under one name, and its way from disconnected to connected and back."""

import copy
import logging
import threading
import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any, ClassVar, Literal

from vnpy.trader.gateway import BaseGateway

from vnpy_core.config.gateways import GatewaySettings
from vnpy_core.engine.connection_lines import Connections, News, Recovery, Side, read_line, recovery_of
from vnpy_core.engine.event_engine import CoreEventEngine
from vnpy_core.engine.gateway_loading import GatewayNotLoaded, completed_setting, explain, load_class
from vnpy_core.engine.gateway_port import GatewayPort
from vnpy_core.engine.main_engine import CoreMainEngine
from vnpy_core.engine.redaction import plain_setting
from vnpy_core.engine.vn_enums import from_vn
from vnpy_core.engine.worker import Worker
from vnpy_core.enums import GatewayState
from vnpy_core.errors import ConfigError, Conflict, CoreError
from vnpy_core.models import GatewayStatus, now_timestamp

logger = logging.getLogger(__name__)

_ATTACH_TIMEOUT_S = 10.0
_DRAIN_TIMEOUT_S = 2.0


class GatewaySession:
    """The states of one gateway. Its methods may be called from any thread; ``on_…`` are for the event thread.

    A vn.py gateway says nowhere that it is connected: it is taken to be with the first contract or account that
    arrives after ``connect``, and no longer when its log says that it has lost the connection. After ``disconnect``,
    and after a failed attempt, the next ``connect`` is done by a new instance of the class: most gateways cannot use a
    closed session again. A class that can, and has a state worth keeping, says so by the attribute
    ``reconnects_in_place = True``.
    """

    _ONLINE: ClassVar = frozenset({GatewayState.CONNECTED, GatewayState.STALE})

    def __init__(
        self,
        name: str,
        settings: GatewaySettings,
        main_engine: CoreMainEngine,
        event_engine: CoreEventEngine,
        notify: Callable[[GatewayStatus], None],
        begin_connection: Callable[[str], None] = lambda name: None,
    ) -> None:
        self.name = name
        self._settings = settings
        self._main = main_engine
        self._events = event_engine
        self._notify = notify
        self._begin_connection = begin_connection
        self._proven: dict[str, Any] = dict(settings.setting)
        self._tried: dict[str, Any] = {}
        self._worker = Worker(f"gateway-{name}")
        self._lock = threading.RLock()
        self._state = GatewayState.DISCONNECTED
        self._detail: str | None = None
        self._since: str | None = None
        self._class: type[BaseGateway] | None = None
        self._gateway: BaseGateway | None = None
        self._port: GatewayPort | None = None
        self._used = False
        self._attempt = 0
        self._listening = False
        self._last_line: str | None = None
        self._settled: Future[GatewayStatus] | None = None
        self._timer: threading.Timer | None = None
        self._connections = Connections()
        self._recovery: Literal["GATEWAY", "SERVICE"] | None = None
        self._mute: str | None = None
        self._plan: str | None = None
        self._connected_count = self._lost_count = 0
        main_engine.redactor.add(settings.setting)
        main_engine.set_online(name, f"is {self._state}")

    def status(self) -> GatewayStatus:
        with self._lock:
            return GatewayStatus(
                gateway_name=self.name,
                class_path=self._settings.class_path,
                state=self._state,
                detail=self._detail or self._note(),
                exchanges=[from_vn(exchange) for exchange in self._class.exchanges] if self._class else [],
                since=self._since,
                recovery=self._recovery,
                connections=self._connected_count,
                losses=self._lost_count,
            )

    def _note(self) -> str | None:
        """Return what a connected gateway of ours has to say beside that, as how far a replay is; of one that is
        disconnected as planned, until when."""
        if self._state is GatewayState.DISCONNECTED and self._recovery is None:
            return self._plan
        note = getattr(self._gateway, "status_note", None) if self._state is GatewayState.CONNECTED else None
        return note if isinstance(note, str) else None

    def replays(self) -> bool:
        """Tell whether it shows a market of the past, made of the history store's data."""
        return getattr(self._gateway, "replay_progress", None) is not None

    def market_is_open(self) -> bool | None:
        is_open = getattr(self._gateway, "market_is_open", None)
        return is_open if isinstance(is_open, bool) else None

    def plan(self, detail: str | None) -> None:
        """Have the status say this while it is disconnected on purpose. From any thread."""
        with self._lock:
            self._plan = detail
            self._notify(self.status())

    def default_setting(self) -> dict[str, Any]:
        """Return what ``connect`` asks for, with vn.py's defaults; a list is the choices, the first the default."""
        return copy.deepcopy(dict(self._gateway.get_default_setting())) if self._gateway is not None else {}

    def load(self) -> None:
        """Import the class and make the gateway; what goes wrong becomes the status."""
        try:
            self._load()
        except GatewayNotLoaded as error:
            logger.error("Gateway %s: %s", self.name, error)
            with self._lock:
                self._enter(GatewayState.FAILED, str(error))

    def connect(self, setting: Mapping[str, Any] | None) -> "Future[GatewayStatus]":
        """Begin an attempt; the future holds the status in which it ends, CONNECTED or not.

        ``setting`` goes over the configured one. Once it has led to a connection it is kept, in memory alone, for the
        next ``connect``; a mistake in it is forgotten.

        Raises:
            Conflict: it is connected, or an attempt is going on.
        """
        with self._lock:
            if self._state not in (GatewayState.DISCONNECTED, GatewayState.FAILED):
                raise Conflict(f"gateway {self.name} is {self._state}", code=f"gateway_{self._state.lower()}")
            self._tried = self._proven | dict(setting or {})
            self._main.redactor.add(self._tried)
            self._settle()
            self._attempt += 1
            self._settled = Future()
            self._settled.set_running_or_notify_cancel()
            self._listening, self._last_line, self._mute = False, None, None
            self._connections.clear()
            self._begin_connection(self.name)
            self._enter(GatewayState.CONNECTING, None)
            attempt, wanted, settled = self._attempt, dict(self._tried), self._settled
            self._timer = threading.Timer(self._settings.connect_timeout_s, self._time_out, args=(attempt,))
            self._timer.daemon = True
            self._timer.start()
        self._worker.submit(lambda: self._connect(attempt, wanted))
        return settled

    def forget_setting(self) -> None:
        """Forget what went over the configured setting. From any thread."""
        with self._lock:
            self._proven = dict(self._settings.setting)

    def disconnect(self) -> "Future[GatewayStatus]":
        """Close the gateway; the future holds the status after it. An attempt that goes on is given up."""
        closed: Future[GatewayStatus] = Future()
        closed.set_running_or_notify_cancel()
        with self._lock:
            self._attempt += 1
            self._listening = False
            self._recovery = None
            if self._gateway is not None or self._state is GatewayState.CONNECTING:
                self._enter(GatewayState.DISCONNECTED, "it is being closed")
            self._settle()
            attempt = self._attempt
        self._worker.submit(lambda: self._close(attempt, closed))
        return closed

    def abandon(self) -> None:
        """Give up an attempt that goes on, without closing the gateway."""
        with self._lock:
            self._attempt += 1
            self._listening = False
            self._recovery = None
            if self._state is GatewayState.CONNECTING:
                self._enter(GatewayState.DISCONNECTED, None)
            self._settle()

    def on_sign_of_life(self) -> None:
        """Take note that a contract or an account of this gateway has arrived."""
        if self._listening and self._state not in self._ONLINE:
            with self._lock:
                if self._listening:
                    self._come_online()

    def on_log_line(self, line: str) -> None:
        """Take note of what the gateway has written to the log: that it has lost a connection, or has it back; and
        while it is not connected, this may be why."""
        sign = read_line(line)
        with self._lock:
            self._last_line = line
            if sign is not None and self._listening:
                self._connections.note(sign)
                if sign.news is News.REFUSED:
                    self._refused(line)
                elif self._connections.lost(Side.TRADING):
                    self._lose(line)
                elif sign.side is Side.TRADING and sign.news is News.BACK and self._recovery is not None:
                    self._come_online()
                elif self._state in self._ONLINE:
                    self._show_market(line if sign.news is News.LOST else None)
            if self._state is GatewayState.CONNECTING:
                self._enter(self._state, line)

    def on_connection_lost(self, reason: str) -> None:
        with self._lock:
            self._lose(reason)

    def on_mute(self, detail: str | None) -> None:
        """Take note that nothing comes of what is subscribed, or (None) that it comes again. From any thread."""
        with self._lock:
            self._mute = detail
            if self._state in self._ONLINE:
                self._show_market(None)

    def _come_online(self) -> None:
        self._proven = self._tried
        self._recovery = None
        self._connected_count += 1
        self._connections.regain(Side.TRADING)
        self._enter(GatewayState.CONNECTED, None)
        self._show_market(None)
        self._settle()

    def _show_market(self, line: str | None) -> None:
        """Be STALE while no market data comes, as far as is known, else CONNECTED."""
        if self._connections.lost(Side.MARKET):
            self._enter(GatewayState.STALE, line or self._detail or "the market data is cut off")
        elif self._mute is not None:
            self._enter(GatewayState.STALE, self._mute)
        elif self._state is GatewayState.STALE:
            self._enter(GatewayState.CONNECTED, None)

    def _lose(self, reason: str) -> None:
        """Be without connection, and say who is to bring it back. What comes of this gateway still counts."""
        if self._state not in self._ONLINE:
            return
        self._lost_count += 1
        self._begin_connection(self.name)
        self._mute = None
        own = self._class is not None and recovery_of(self._class) is not Recovery.NEVER
        self._recovery = "GATEWAY" if own else "SERVICE" if self._settings.reconnect else None
        self._enter(GatewayState.DISCONNECTED, reason)

    def _refused(self, line: str) -> None:
        """The venue does not let us in: to try again with the same password may lock the account."""
        if self._state is GatewayState.CONNECTING:
            self._failed(line, again=False)

    def _failed(self, reason: str, *, again: bool) -> None:
        """End the attempt. It is repeated if it is wanted at the start, or has led to a connection before."""
        planned = self._settings.auto_connect or self._settings.schedule is not None
        wanted = self._settings.reconnect and (planned or self._connected_count > 0)
        self._recovery = "SERVICE" if again and wanted else None
        self._enter(GatewayState.FAILED, reason)
        self._settle()

    def _load(self) -> None:
        if "." in self.name:
            raise GatewayNotLoaded("its name must not have a dot: vn.py takes its order numbers apart there")
        self._class = load_class(self._settings.class_path)
        self._make()

    def _make(self) -> None:
        kind = self._class
        if kind is None:
            return
        port = GatewayPort(self._events)
        try:
            gateway = kind(port, self.name)
        except BaseException as error:
            port.release()
            raise GatewayNotLoaded(self._clean(explain(error, kind.__module__))) from error
        self._gateway, self._port, self._used = gateway, port, False
        if self._events.is_alive():
            self._events.call(self._main.attach_gateway, gateway).result(_ATTACH_TIMEOUT_S)
        else:
            self._main.attach_gateway(gateway)

    def _connect(self, attempt: int, setting: Mapping[str, Any]) -> None:
        if self._attempt != attempt:
            return
        try:
            logger.info("Gateway %s: connecting", self.name)
            gateway = self._ready_gateway()
            wanted = completed_setting(plain_setting(setting), gateway.get_default_setting())
            with self._lock:
                if self._attempt != attempt:
                    return
                self._listening = self._used = True
            gateway.connect(wanted)
        except BaseException as error:  # noqa: BLE001 - the edge to the gateway's code
            self._fail(attempt, error, setting)

    def _ready_gateway(self) -> BaseGateway:
        if self._used and not self._in_place:
            self._end_gateway()
        if self._gateway is None:
            self._load()
        if self._gateway is None:
            raise GatewayNotLoaded("it could not be made")
        return self._gateway

    @property
    def _in_place(self) -> bool:
        return bool(getattr(self._class, "reconnects_in_place", False))

    def _end_gateway(self) -> str | None:
        """Close the gateway if it was used, cut it off from events, and return what it raised."""
        if self._gateway is None or not self._used:
            return None
        problem = None
        try:
            self._gateway.close()
        except BaseException as error:  # noqa: BLE001 - the edge to the gateway's code
            problem = self._clean(f"close raised {error!r}")
            logger.error("Gateway %s: %s", self.name, problem)
        self._used = False
        if self._port is not None and not self._in_place:
            self._port.release()
            self._gateway = None
        # What it has put must not be taken for a sign of the next connection.
        self._events.drain(_DRAIN_TIMEOUT_S)
        return problem

    def _close(self, attempt: int, closed: "Future[GatewayStatus]") -> None:
        problem = self._end_gateway()
        if self._gateway is None and self._class is not None:
            try:
                self._make()  # at once: the main engine would close the old one a second time, when it ends
            except Exception as error:  # noqa: BLE001 - the edge to the gateway's code
                problem = problem or self._clean(f"it cannot be made again: {error}")
                logger.error("Gateway %s: %s", self.name, problem)
        with self._lock:
            if self._attempt == attempt and self._state is GatewayState.DISCONNECTED:
                self._enter(GatewayState.DISCONNECTED, problem)
            status = self.status()
        closed.set_result(status)

    def _fail(self, attempt: int, error: BaseException, setting: Mapping[str, Any]) -> None:
        if isinstance(error, GatewayNotLoaded):
            reason = str(error)
        elif isinstance(error, KeyError) and error.args and error.args[0] not in setting:
            reason = f"the setting {error.args[0]!r} is missing"
        elif isinstance(error, CoreError):  # one of ours: it says what to do
            reason = error.detail
            logger.error("Gateway %s: %s", self.name, self._clean(reason))
        else:
            reason = f"connect raised {error!r}"
            shown = "".join(traceback.format_exception(error))
            logger.error("Gateway %s: connect raised\n%s", self.name, self._clean(shown))
        with self._lock:
            if self._attempt == attempt:
                self._listening = False
                again = not isinstance(error, GatewayNotLoaded | ConfigError | KeyError)
                self._failed(self._clean(reason), again=again)

    def _time_out(self, attempt: int) -> None:
        with self._lock:
            if self._attempt != attempt or self._state is not GatewayState.CONNECTING:
                return
            said = f"; it said last: {self._last_line}" if self._last_line else ""
            # It may connect all the same: _listening stays as it is.
            by_itself = self._class is not None and recovery_of(self._class) is Recovery.ALWAYS
            self._failed(
                f"no contract and no account has arrived in {self._settings.connect_timeout_s:g} s{said}",
                again=not by_itself,
            )
            if by_itself:
                self._recovery = "GATEWAY"

    def _settle(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._settled is not None:
            settled, self._settled = self._settled, None
            settled.set_result(self.status())

    def _enter(self, state: GatewayState, detail: str | None) -> None:
        if state is not self._state or self._since is None:
            self._since = now_timestamp()
        self._state, self._detail = state, detail
        self._main.set_online(self.name, None if state in self._ONLINE else f"is {state}")
        self._notify(self.status())

    def _clean(self, text: str) -> str:
        return self._main.redactor.clean(text)
