"""How a strategy comes to be initialised: on a pool, holding up no other, and subscribed once that is possible."""

import copy
import traceback
from concurrent.futures import Future
from logging import WARNING
from typing import Any

from vnpy.event import Event
from vnpy.trader.event import EVENT_CONTRACT
from vnpy.trader.object import ContractData, SubscribeRequest

from vnpy_core.config.settings import EngineSettings
from vnpy_core.engine.init_pool import InitPool
from vnpy_core.engine.single_writer import on_event_thread
from vnpy_core.engine.strategy_base import AnyStrategy
from vnpy_core.engine.strategy_orders import OrderOwners
from vnpy_core.errors import Conflict, StrategyFailed


class Initialisation(OrderOwners):
    """The part of a strategy engine that initialises.

    ``on_init`` runs on the pool, because it may load bars for minutes. What it touches is its own: the strategy is
    not inited, so it gets no tick, and not trading, so it can send no order. All else (the saved variables, the
    subscription, the flags) is done on the event thread.
    """

    def __init__(self, *args: Any) -> None:
        self._init_pool = InitPool(EngineSettings().init_workers)
        self._feeds: dict[str, str] = {}  # vt_symbol: the gateway that its ticks come from
        super().__init__(*args)
        self.init_executor.shutdown()  # vn.py's pool of one: it has no thread as long as nobody uses it

    def set_init_workers(self, workers: int) -> None:
        """Say how many strategies may be initialised side by side, before the first one is."""
        self._init_pool = InitPool(workers)

    def stop_initialising(self) -> None:
        """Refuse what has not begun; what has is not waited for."""
        self._init_pool.shutdown()

    def register_event(self) -> None:
        super().register_event()
        self.event_engine.register(EVENT_CONTRACT, self._on_contract)

    def init_strategy(self, strategy_name: str) -> Future[None]:
        """Initialise a strategy. Callable from any thread, and does not wait.

        The future holds ``NotFound``, ``Conflict`` or ``StrategyFailed`` if it did not succeed.
        """
        outcome: Future[None] = Future()
        outcome.set_running_or_notify_cancel()  # what has begun is not taken back
        forward_error(self.event_engine.call(self._begin_init, strategy_name, outcome), outcome)
        return outcome

    @on_event_thread
    def require_initialisable(self, strategy_name: str) -> AnyStrategy:
        """Raises:
        Conflict: it is initialised, or is being initialised.
        """
        strategy = self.strategy_of(strategy_name)
        if strategy_name in self._initing:
            raise Conflict(f"Strategy {strategy_name!r} is being initialised already.", code="initialising")
        if strategy.inited:
            raise Conflict(f"Strategy {strategy_name!r} is initialised already.", code="already_initialised")
        return strategy

    # -- on the event thread

    def _begin_init(self, name: str, outcome: Future[None]) -> None:
        strategy = self.require_initialisable(name)
        submitted = self._init_pool.submit(self._call_on_init, strategy, outcome)
        if submitted.cancelled():
            raise closing()
        forward_error(submitted, outcome)
        self.failures.pop(name, None)
        self._restored.discard(name)
        self._initing.add(name)
        self._announce(strategy)

    def _call_on_init(self, strategy: AnyStrategy, outcome: Future[None]) -> None:
        """Runs on the pool; everything else in this class, on the event thread."""
        shown = None
        try:
            strategy.on_init()
        except BaseException:  # noqa: BLE001 - the edge to the user's code, kept in failures
            shown = traceback.format_exc()
        forward_error(self.event_engine.call(self._end_init, strategy, shown, outcome), outcome)

    def _end_init(self, strategy: AnyStrategy, shown: str | None, outcome: Future[None]) -> None:
        name = strategy.strategy_name
        self._initing.discard(name)
        if shown is None:
            self.call_strategy_func(strategy, self._restore_variables, strategy)
        else:
            self._fail(strategy, shown)
        if name in self.failures:
            raise failed(name, "on_init", self.failures[name])
        self._subscribe(strategy)
        self._restored.add(name)
        strategy.inited = True
        self._announce(strategy)
        outcome.set_result(None)

    def _restore_variables(self, strategy: AnyStrategy) -> None:
        saved = self.strategy_data.get(strategy.strategy_name, {})
        for name in strategy.variables:
            if saved.get(name) is not None:
                self._restore_variable(strategy, name, copy.deepcopy(saved[name]))

    def _restore_variable(self, strategy: AnyStrategy, name: str, value: Any) -> None:
        setattr(strategy, name, value)

    def _subscribe(self, strategy: AnyStrategy) -> None:
        for vt_symbol in self._symbols_of(strategy):
            contract = self.main_engine.get_contract(vt_symbol)
            if contract is None:
                self.write_log(f"{vt_symbol} will be subscribed when its contract is known", strategy, WARNING)
                self._without_contract.add(strategy.strategy_name)
            else:
                self._feeds.setdefault(contract.vt_symbol, contract.gateway_name)
                self._subscribe_contract(contract)

    def _subscribe_contract(self, contract: ContractData) -> None:
        request = SubscribeRequest(symbol=contract.symbol, exchange=contract.exchange)
        self._try(self.main_engine.subscribe, request, self._feeds[contract.vt_symbol])

    def _on_contract(self, event: Event) -> None:
        """Subscribe what was initialised before its gateway was connected, or before it was connected again.

        Once a symbol has ticks from one gateway, another that has it too gives no second ones.
        """
        contract: ContractData = event.data
        strategies = self.symbol_strategy_map.get(contract.vt_symbol, ())
        for strategy in strategies:
            if strategy.strategy_name in self._without_contract:
                if not self._missing_contracts(strategy):
                    self._without_contract.discard(strategy.strategy_name)
                self._announce(strategy)
        wanted = any(strategy.inited for strategy in strategies)
        if wanted and self._feeds.setdefault(contract.vt_symbol, contract.gateway_name) == contract.gateway_name:
            self._subscribe_contract(contract)


def failed(name: str, what: str, shown: str) -> StrategyFailed:
    last = shown.strip().splitlines()[-1]
    return StrategyFailed(f"Strategy {name!r}: {what} raised {last}", traceback=shown)


def closing() -> Conflict:
    return Conflict("The engine is being closed.", code="closing")


def forward_error(done: Future[None], outcome: Future[None]) -> None:
    """Let ``outcome`` fail as ``done`` does."""

    def forward(finished: Future[None]) -> None:
        if finished.cancelled():
            outcome.set_exception(closing())
        elif (error := finished.exception()) is not None:
            outcome.set_exception(error)

    done.add_done_callback(forward)
