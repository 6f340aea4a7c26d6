"""GatewayService: connects gateways, keeps the subscriptions, and waits until the states have settled."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import msgspec

from vnpy_core.config.json_file import replace_json
from vnpy_core.data.read_model import ReadModel
from vnpy_core.enums import Exchange, GatewayState, StrategyState
from vnpy_core.errors import Invalid, NotFound, OutcomeUnknown, Unavailable
from vnpy_core.events import Event
from vnpy_core.models import Contract, GatewayStatus, Model, Strategy
from vnpy_core.trading.event_thread import EventThread, Unanswered

logger = logging.getLogger(__name__)

WATCH_INTERVAL_S = 0.5
UNSETTLED = frozenset({GatewayState.CONNECTING})
_HAVE_TICKS = frozenset({StrategyState.INITING, StrategyState.INITED, StrategyState.TRADING})


class GatewayEngine(Protocol):
    """The gateways as the engine has them. ``connect`` and ``disconnect`` return at once; the status tells the rest."""

    def statuses(self) -> list[GatewayStatus]: ...
    def connect(self, name: str, setting: Mapping[str, Any] | None = None) -> object: ...
    def disconnect(self, name: str) -> object: ...
    def plan(self, name: str, detail: str | None) -> None: ...
    def forget_setting(self, name: str) -> None: ...


class Given(Protocol):
    """What was given over the API to connect gateways by; trading/gateway_settings.py."""

    def over(self, name: str, given: Mapping[str, Any] | None) -> dict[str, Any]: ...
    def trying(self, name: str, given: Mapping[str, Any] | None) -> None: ...
    async def forget(self, name: str) -> None: ...


class Subscriptions(Protocol):
    """Commands of the event thread."""

    def subscribe(self, gateway_name: str, symbol: str, exchange: Exchange) -> None: ...
    def unsubscribe(self, gateway_name: str, symbol: str, exchange: Exchange) -> bool: ...


class Published(Protocol):
    def emit(self, model: Model) -> None: ...
    def subscribe(self, callback: Callable[[Sequence[Event]], None]) -> None: ...


class GatewayService:
    """Loop only. A symbol stays subscribed: when its gateway connects again, it is asked for it again.

    ``remembered`` is the file that keeps the subscriptions for the next start of the service.
    """

    def __init__(
        self,
        engine: GatewayEngine,
        commands: Subscriptions,
        event_thread: EventThread,
        pipeline: Published,
        read_model: ReadModel,
        *,
        given: Given | None = None,
        remembered: Path | None = None,
    ) -> None:
        self._given = given
        self._engine = engine
        self._commands = commands
        self._event_thread = event_thread
        self._pipeline = pipeline
        self._read_model = read_model
        self._remembered = remembered
        self._writing = asyncio.Lock()
        # By gateway and vt_symbol; None until the gateway has told of the contract.
        self._wanted: dict[tuple[str, str], Contract | None] = dict.fromkeys(_read(remembered))
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
            Unavailable: what was given for it before cannot be decrypted, and nothing is given now.
        """
        self._require(name)
        if self._given is None:
            self._engine.connect(name, setting)
        else:
            self._engine.connect(name, self._given.over(name, setting))
            self._given.trying(name, setting)
        return self._require(name)

    async def connect_at_start(self, name: str) -> None:
        """Begin to connect ``name``, or have its state say why that cannot be."""
        try:
            await self.connect(name)
        except Unavailable as error:
            logger.error("Gateway %s is not connected: %s", name, error.detail)
            self._engine.plan(name, error.detail)

    async def forget_setting(self, name: str) -> None:
        """Connect ``name`` as it is configured, from the next time on.

        Raises:
            NotFound: nothing was given over the API.
            Unavailable: it is still in the database.
        """
        if self._given is not None:
            await self._given.forget(name)
            self._engine.forget_setting(name)

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
        await self._remember()
        return contracts

    async def unsubscribe(self, vt_symbols: Sequence[str], gateway_name: str | None = None) -> list[Contract]:
        """Tell the gateways that the ticks are not wanted any more.

        Those that cannot be told go on sending; so does any that a strategy has the symbol from.
        """
        contracts = [self._contract(vt_symbol, gateway_name) for vt_symbol in vt_symbols]
        used = self._used()
        for contract in contracts:
            self._wanted.pop((contract.gateway_name, contract.vt_symbol), None)
            if contract.vt_symbol not in used:
                forget = partial(self._commands.unsubscribe, contract.gateway_name, contract.symbol, contract.exchange)
                await self._run(forget, f"unsubscribe {contract.vt_symbol}")
        await self._remember()
        return contracts

    def ask_again(self, gateway_name: str, vt_symbol: str) -> bool:
        """Begin to ask for the ticks of a symbol once more, if somebody still wants them, and tell whether so."""
        known = self._read_model.contracts.get(f"{gateway_name}.{vt_symbol}")
        wanted = (gateway_name, vt_symbol) in self._wanted or vt_symbol in self._used()
        if not wanted or known is None or not isinstance(known.data, Contract):
            return False
        self._spawn(self._ask_again([known.data]))
        return True

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

    def _used(self) -> set[str]:
        """Return the symbols that strategies have asked for by themselves."""
        strategies = [event.data for event in self._read_model.strategies.values()]
        having = [each for each in strategies if isinstance(each, Strategy) and each.state in _HAVE_TICKS]
        return {vt_symbol for each in having for vt_symbol in each.symbols}

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
            data = event.data
            if isinstance(data, GatewayStatus):
                self._changed.set()
                before = self._states.get(data.gateway_name)
                self._states[data.gateway_name] = data.state
                if data.state is GatewayState.CONNECTED and before is not GatewayState.CONNECTED:
                    told = [contract for contract in self._wanted.values() if contract is not None]
                    self._spawn(self._ask_again([each for each in told if each.gateway_name == data.gateway_name]))
            elif isinstance(data, Contract):
                key = data.gateway_name, data.vt_symbol
                if key in self._wanted and self._wanted[key] is None:
                    self._wanted[key] = data
                    self._spawn(self._ask_again([data]))

    async def _ask_again(self, contracts: Sequence[Contract]) -> None:
        for contract in contracts:
            try:
                await self._ask(contract)
            except Exception:  # a symbol that cannot be had holds up no other
                logger.exception("%s could not be subscribed again on %s", contract.vt_symbol, contract.gateway_name)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _remember(self) -> None:
        if self._remembered is None:
            return
        async with self._writing:
            wanted: dict[str, list[str]] = {}
            for gateway_name, vt_symbol in self._wanted:
                wanted.setdefault(gateway_name, []).append(vt_symbol)
            try:
                await asyncio.to_thread(replace_json, self._remembered, wanted, durable=False)
            except OSError as error:  # they hold nevertheless, as long as the service runs
                logger.error("%s cannot be written, so the next start knows of no change: %s", self._remembered, error)


def _read(path: Path | None) -> Iterator[tuple[str, str]]:
    """Yield the subscriptions of the run before. A file that is not as it was written is left aside, and said so."""
    if path is None or not path.exists():
        return
    try:
        found = msgspec.json.decode(path.read_bytes(), type=dict[str, list[str]])
    except (OSError, msgspec.DecodeError) as error:
        logger.error("%s cannot be read, so nothing is subscribed again: %s", path, error)
        return
    for gateway_name, vt_symbols in found.items():
        yield from ((gateway_name, vt_symbol) for vt_symbol in vt_symbols)
