"""CoreAlgoEngine: vn.py's execution algorithms, each kept from the others, started only with what they can run on."""

import logging
import traceback
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from vnpy.event import Event
from vnpy.trader.constant import Direction, Offset, OrderType
from vnpy.trader.engine import LogEngine
from vnpy.trader.event import EVENT_CONTRACT
from vnpy.trader.object import ContractData, LogData, OrderData, TickData, TradeData
from vnpy_algotrading import APP_NAME, AlgoEngine, AlgoTradingApp
from vnpy_algotrading.base import EVENT_ALGO_LOG, EVENT_ALGO_UPDATE, AlgoStatus
from vnpy_algotrading.template import AlgoTemplate

from vnpy_core.engine.algo_checks import check_order, check_setting
from vnpy_core.engine.event_engine import CoreEventEngine
from vnpy_core.engine.plain import jsonable
from vnpy_core.engine.setting_check import checked, nearest
from vnpy_core.engine.single_writer import on_event_thread
from vnpy_core.errors import Conflict, NotFound

# An algo repeats a refused order at every tick; after so many in a row it is paused.
MAX_REFUSALS = 10
_ENDED = frozenset({AlgoStatus.STOPPED, AlgoStatus.FINISHED})


class CoreAlgoEngine(AlgoEngine):
    """Takes vn.py's commands; whoever calls one, it runs on the event thread, and what cannot be done is raised.

    An algo that raises (SystemExit too) is stopped, its working orders are cancelled, and ``failures`` keeps the
    traceback. Algos do not survive a restart.
    """

    event_engine: CoreEventEngine

    def __init__(self, *args: Any) -> None:
        self.failures: dict[str, str] = {}
        self._refusals: dict[str, int] = {}
        self._fills: set[str] = set()
        self._feeds: dict[str, str] = {}  # vt_symbol: the gateway that its ticks come from
        self._making = False  # what is being made may yet not come to be: nothing is told of it
        super().__init__(*args)

    def register_event(self) -> None:
        super().register_event()
        self.event_engine.register(EVENT_CONTRACT, self._on_contract)
        log_engine = self.main_engine.get_engine("log")
        if isinstance(log_engine, LogEngine):
            log_engine.register_log(EVENT_ALGO_LOG)

    @on_event_thread
    def reserve_names(self, algo_names: Iterable[str]) -> None:
        """Give none of these names again: vn.py counts from one at each start, and they are known from earlier."""
        for algo_name in algo_names:
            template, _, number = algo_name.rpartition("_")
            kind = self.algo_templates.get(template)
            if kind is not None and number.isdecimal():
                kind._count = max(kind._count, int(number))

    # -- commands

    @on_event_thread
    def start_algo(
        self,
        template_name: str,
        vt_symbol: str,
        direction: Direction,
        offset: Offset,
        price: float,
        volume: float,
        setting: Mapping[str, Any],
    ) -> str:
        """Start an algo and return its name. What ``setting`` leaves out is the template's default.

        Raises:
            NotFound: no such template, or no such contract.
            Invalid: ``errors`` says which field, and why. Direction and offset must be vn.py's enum members: with
                anything else its algos would sell.
            Conflict: the algo raised, or ended, while it was started; the traceback is in the answer if it raised.
        """
        kind = self._template(template_name)
        contract: ContractData | None = self.main_engine.get_contract(vt_symbol)
        if contract is None:
            raise NotFound(f"There is no contract {vt_symbol!r}.", code="unknown_contract")
        check_order(direction, offset, price, volume, contract)
        whole = kind.default_setting | checked(setting, kind.default_setting, of=template_name)
        check_setting(template_name, whole, volume, contract)
        kind._count += 1
        algo_name = f"{kind.__name__}_{kind._count}"
        self._making = True
        try:
            algo = kind(self, algo_name, vt_symbol, direction, offset, float(price), float(volume), whole)
        except BaseException as error:
            raise _failed(algo_name, traceback.format_exc()) from error
        finally:
            self._making = False
        if algo.status in _ENDED:
            raise Conflict(f"{algo_name} ended while it was made; the log says why.", code="algo_ended")
        if not self.symbol_algo_map[vt_symbol]:
            self._feeds[vt_symbol] = contract.gateway_name
            self.subscribe(contract.symbol, contract.exchange, contract.gateway_name)
        self.symbol_algo_map[vt_symbol].add(algo)
        self.algos[algo_name] = algo
        self._guard(algo, algo.start)
        if algo_name in self.failures:
            raise _failed(algo_name, self.failures[algo_name])
        return algo_name

    @on_event_thread
    def pause_algo(self, algo_name: str) -> None:
        self._run(algo_name, AlgoTemplate.pause)

    @on_event_thread
    def resume_algo(self, algo_name: str) -> None:
        self._refusals.pop(algo_name, None)
        self._run(algo_name, AlgoTemplate.resume)

    @on_event_thread
    def stop_algo(self, algo_name: str) -> None:
        self._run(algo_name, AlgoTemplate.stop)

    @on_event_thread
    def stop_all(self) -> None:
        for algo in tuple(self.algos.values()):
            self._guard(algo, algo.stop)

    # -- events

    def process_tick_event(self, event: Event) -> None:
        tick: TickData = event.data
        for algo in tuple(self.symbol_algo_map.get(tick.vt_symbol, ())):
            self._guard(algo, algo.update_tick, tick)

    def process_timer_event(self, event: Event) -> None:
        for algo in tuple(self.algos.values()):
            self._guard(algo, algo.update_timer)

    def process_order_event(self, event: Event) -> None:
        order: OrderData = event.data
        algo = self.orderid_algo_map.get(order.vt_orderid)
        if algo is None:
            return
        if algo.status not in _ENDED:
            self._guard(algo, algo.update_order, order)
        elif order.is_active() and order.vt_orderid not in algo.active_orders:
            # Sent just before the end, which could not cancel it: its first event comes now.
            algo.active_orders[order.vt_orderid] = order
            self._try_cancel(algo, order.vt_orderid)

    def process_trade_event(self, event: Event) -> None:
        """A fill that is told after the end of its algo still counts, for the algo's last record."""
        trade: TradeData = event.data
        algo = self.orderid_algo_map.get(trade.vt_orderid)
        fill = f"{trade.vt_tradeid}@{trade.vt_orderid}"
        if algo is None or fill in self._fills:
            return
        self._fills.add(fill)
        if algo.status not in _ENDED:
            self._guard(algo, algo.update_trade, trade)
        else:
            cost = algo.traded_price * algo.traded + trade.price * trade.volume
            algo.traded += trade.volume
            algo.traded_price = cost / algo.traded
            self.put_algo_event(algo, _data_of(algo))

    def _on_contract(self, event: Event) -> None:
        """Subscribe again what is running, when its gateway was disconnected and is connected again."""
        contract: ContractData = event.data
        if self.symbol_algo_map.get(contract.vt_symbol) and self._feeds[contract.vt_symbol] == contract.gateway_name:
            self.subscribe(contract.symbol, contract.exchange, contract.gateway_name)

    # -- what algos call

    def send_order(
        self,
        algo: AlgoTemplate,
        direction: Direction,
        price: float,
        volume: float,
        order_type: OrderType,
        offset: Offset,
    ) -> str:
        vt_orderid: str = super().send_order(algo, direction, price, volume, order_type, offset)
        self.orderid_algo_map.pop("", None)
        if vt_orderid:
            self._refusals.pop(algo.algo_name, None)
            return vt_orderid
        count = self._refusals[algo.algo_name] = self._refusals.get(algo.algo_name, 0) + 1
        if count >= MAX_REFUSALS:
            self._refusals.pop(algo.algo_name)
            self.write_log(f"Paused: {count} orders in a row were refused", algo, logging.ERROR)
            algo.pause()
        return ""

    def put_algo_event(self, algo: AlgoTemplate, data: Mapping[str, Any]) -> None:
        if self._making:
            return
        name = algo.algo_name
        if algo.status in _ENDED and self.algos.get(name) is algo:
            del self.algos[name]
            self.symbol_algo_map[algo.vt_symbol].discard(algo)
            self._refusals.pop(name, None)
        self.event_engine.put(Event(EVENT_ALGO_UPDATE, self._told(algo, data)))

    def state_of(self, algo: AlgoTemplate) -> dict[str, Any]:
        """Return what ``translate.algo`` takes."""
        return self._told(algo, _data_of(algo))

    def _told(self, algo: AlgoTemplate, data: Mapping[str, Any]) -> dict[str, Any]:
        return {
            **data,
            "template": type(algo).__name__,
            "parameters": jsonable(data["parameters"]),
            "variables": jsonable(data["variables"]),
            "error": self.failures.get(algo.algo_name),
        }

    def write_log(self, msg: str, algo: AlgoTemplate | None = None, level: int = logging.INFO) -> None:
        shown = f"{algo.algo_name}: {msg}" if algo else msg
        self.event_engine.put(Event(EVENT_ALGO_LOG, LogData(msg=shown, gateway_name=APP_NAME, level=level)))

    # -- isolation

    def _run(self, algo_name: str, command: Callable[[AlgoTemplate], None]) -> None:
        algo = self.algos.get(algo_name)
        if algo is None:
            raise NotFound(f"No algo {algo_name!r} is running.")
        self._guard(algo, command, algo)
        if algo_name in self.failures:
            raise _failed(algo_name, self.failures[algo_name])

    def _guard(self, algo: AlgoTemplate, callback: Callable[..., Any], *args: Any) -> None:
        try:
            callback(*args)
        except BaseException:  # noqa: BLE001 - the edge to the algo's code, kept in failures
            self._fail(algo, traceback.format_exc())

    def _fail(self, algo: AlgoTemplate, shown: str) -> None:
        self.failures[algo.algo_name] = shown
        algo.status = AlgoStatus.STOPPED
        self.write_log(f"Stopped, because it raised:\n{shown}", algo, logging.ERROR)
        for vt_orderid in tuple(algo.active_orders):
            self._try_cancel(algo, vt_orderid)
        self.put_algo_event(algo, _data_of(algo))

    def _try_cancel(self, algo: AlgoTemplate, vt_orderid: str) -> None:
        try:
            self.cancel_order(algo, vt_orderid)
        except Exception:  # noqa: BLE001 - the edge to the gateway
            self.write_log(f"{vt_orderid} was not cancelled:\n{traceback.format_exc()}", algo, logging.ERROR)

    def _template(self, name: str) -> type[AlgoTemplate]:
        try:
            return self.algo_templates[name]
        except KeyError:
            raise NotFound(f"There is no algo template {name!r}{nearest(name, self.algo_templates)}") from None


class CoreAlgoApp(AlgoTradingApp):
    """vn.py's app with our engine."""

    engine_class = CoreAlgoEngine


def _data_of(algo: AlgoTemplate) -> dict[str, Any]:
    """Return what ``get_data`` does, or without parameters and variables, if the algo's code keeps it from telling."""
    try:
        data: dict[str, Any] = algo.get_data()
    except Exception:  # noqa: BLE001 - the edge to the algo's code
        names = ("algo_name", "vt_symbol", "direction", "offset", "price", "volume", "status", "traded", "traded_price")
        data = {name: getattr(algo, name) for name in names}
        data |= {"left": algo.volume - algo.traded, "parameters": {}, "variables": {}}
    return data


def _failed(algo_name: str, shown: str) -> Conflict:
    last = shown.strip().splitlines()[-1]
    return Conflict(f"{algo_name} raised {last}", code="algo_failed", traceback=shown)
