"""GatewayService: connects gateways, keeps the subscriptions, and waits until the states have settled."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from vnpy_core.data.read_model import ReadModel
from vnpy_core.enums import Exchange, GatewayState
from vnpy_core.errors import Invalid, NotFound, OutcomeUnknown
from vnpy_core.events import Event
from vnpy_core.models import Contract, GatewayStatus, Model
from vnpy_core.trading.event_thread import EventThread, Unanswered

logger = logging.getLogger(__name__)

WATCH_INTERVAL_S = 0.5
UNSETTLED = frozenset({GatewayState.CONNECTING})


class GatewayEngine(Protocol):
    """The gateways as the engine has them. ``connect`` and ``disconnect`` return at once; the status tells the rest."""

    def statuses(self) -> list[GatewayStatus]: ...
    def connect(self, name: str, setting: Mapping[str, Any] | None = None) -> object: ...
    def disconnect(self, name: str) -> object: ...


class Subscriptions(Protocol):
    """Commands of the event thread."""

    def subscribe(self, gateway_name: str, symbol: str, exchange: Exchange) -> None: ...
    def unsubscribe(self, gateway_name: str, symbol: str, exchange: Exchange) -> bool: ...


class Published(Protocol):
    def emit(self, model: Model) -> None: ...
    def subscribe(self, callback: Callable[[Sequence[Event]], None]) -> None: ...


class GatewayService:
    """Loop only. A symbol stays subscribed: when its gateway connects again, it is asked for it again."""

    def __init__(
        self,
        engine: GatewayEngine,
        commands: Subscriptions,
        event_thread: EventThread,
        pipeline: Published,
        read_model: ReadModel,
    ) -> None:
        self._engine = engine
        self._commands = commands
        self._event_thread = event_thread
        self._pipeline = pipeline
        self._read_model = read_model
        self._wanted: dict[tuple[str, str], Contract] = {}
        self._states: dict[str, GatewayState] = {}
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        pipeline.subscribe(self._on_events)

    def statuses(self) -> list[GatewayStatus]:
        return self._engine.statuses()

    async def connect(self, name: str, setting: Mapping[str, Any] | None = None) -> GatewayStatus:
        """Begin to connect ``name``, with ``setting`` over the configured one, and return its state.

        Raises:
            NotFound: no gateway of that name.
        """
        self._require(name)
        self._engine.connect(name, setting)
        return self._require(name)

    async def disconnect(self, name: str) -> GatewayStatus:
        """Begin to disconnect ``name`` and return its state."""
        self._require(name)
        self._engine.disconnect(name)
        return self._require(name)

    async def subscribe(self, vt_symbols: Sequence[str], gateway_name: str | None = None) -> list[Contract]:
        """Ask for the ticks of ``vt_symbols`` and return their contracts.

        Raises:
            NotFound: a contract that no gateway has told of; nothing was subscribed then.
            Invalid: several gateways have it, and none is named; likewise.
        """
        contracts = [self._contract(vt_symbol, gateway_name) for vt_symbol in vt_symbols]
        for contract in contracts:
            await self._ask(contract)
            self._wanted[contract.gateway_name, contract.vt_symbol] = contract
        return contracts

    async def unsubscribe(self, vt_symbols: Sequence[str], gateway_name: str | None = None) -> list[Contract]:
        """Tell the gateways that the ticks are not wanted any more. Those that cannot be told go on sending."""
        contracts = [self._contract(vt_symbol, gateway_name) for vt_symbol in vt_symbols]
        for contract in contracts:
            self._wanted.pop((contract.gateway_name, contract.vt_symbol), None)
            forget = partial(self._commands.unsubscribe, contract.gateway_name, contract.symbol, contract.exchange)
            await self._run(forget, f"unsubscribe {contract.vt_symbol}")
        return contracts

    async def watch(self) -> None:
        """Tell what changes in the statuses without an event of its own, such as how far a replay is; never returns."""
        told: dict[str, GatewayStatus] = {}
        while True:
            for status in self._engine.statuses():
                if told.get(status.gateway_name) != status:
                    told[status.gateway_name] = status
                    self._pipeline.emit(status)
            await asyncio.sleep(WATCH_INTERVAL_S)

    async def settled(self) -> None:
        """Wait until no gateway is on its way to be connected."""
        while any(status.state in UNSETTLED for status in self._engine.statuses()):
            self._changed.clear()
            await self._changed.wait()

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _require(self, name: str) -> GatewayStatus:
        statuses = {status.gateway_name: status for status in self._engine.statuses()}
        if name not in statuses:
            raise NotFound(f"There is no gateway {name!r}. Known: {', '.join(statuses) or 'none'}.")
        return statuses[name]

    def _contract(self, vt_symbol: str, gateway_name: str | None) -> Contract:
        names = [gateway_name] if gateway_name else [status.gateway_name for status in self._engine.statuses()]
        known = [self._read_model.contracts.get(f"{name}.{vt_symbol}") for name in names]
        found = [event.data for event in known if event is not None and isinstance(event.data, Contract)]
        if len(found) == 1:
            return found[0]
        if found:
            having = ", ".join(contract.gateway_name for contract in found)
            message = f"{vt_symbol} is traded through {having}: say which"
            raise Invalid(f"gateway_name: {message}", errors=[{"field": "gateway_name", "message": message}])
        raise NotFound(
            f"No contract {vt_symbol!r}" + (f" of gateway {gateway_name!r}" if gateway_name else "") + " is known.",
            code="unknown_contract",
        )

    async def _ask(self, contract: Contract) -> None:
        ask = partial(self._commands.subscribe, contract.gateway_name, contract.symbol, contract.exchange)
        await self._run(ask, f"subscribe {contract.vt_symbol}")

    async def _run(self, command: Callable[[], object], what: str) -> None:
        try:
            await self._event_thread.run(command)
        except Unanswered as error:
            raise OutcomeUnknown(f"The event thread has begun to {what} and not answered in time.") from error

    def _on_events(self, events: Sequence[Event]) -> None:
        for event in events:
            status = event.data
            if isinstance(status, GatewayStatus):
                self._changed.set()
                before = self._states.get(status.gateway_name)
                self._states[status.gateway_name] = status.state
                if status.state is GatewayState.CONNECTED and before is not GatewayState.CONNECTED:
                    task = asyncio.get_running_loop().create_task(self._ask_again(status.gateway_name))
                    self._tasks.add(task)
                    task.add_done_callback(self._tasks.discard)

    async def _ask_again(self, gateway_name: str) -> None:
        for (name, vt_symbol), contract in list(self._wanted.items()):
            if name == gateway_name:
                try:
                    await self._ask(contract)
                except Exception:  # a symbol that cannot be had holds up no other
                    logger.exception("%s could not be subscribed again on %s", vt_symbol, gateway_name)
