"""A strategy's instance replaced by one of a newer version of its class, while it trades."""

import copy
import traceback
from collections.abc import Iterator
from concurrent.futures import Future
from logging import ERROR, WARNING
from typing import Any, ClassVar

from vnpy_core.engine.class_info import parameter_defaults
from vnpy_core.engine.parameter_ranges import ranges_of
from vnpy_core.engine.setting_check import checked
from vnpy_core.engine.strategy_base import AnyStrategy
from vnpy_core.engine.strategy_init import Initialisation, closing, failed, forward_error
from vnpy_core.engine.strategy_saving import saveable_variables
from vnpy_core.errors import Conflict

_ID_CONTAINERS = (list, tuple, set, dict)


class Reloading(Initialisation):
    """The part of a strategy engine that replaces instances, if it ``reloads``.

    The new one is made and initialised on the pool while the old one trades on. Then, on the event thread and between
    two events, it gets the old one's variables and takes its place: the orders and stop orders are the strategy's, by
    its name, and so are the fills to come. Until that moment any failure leaves the old one as it is.
    """

    reloads: ClassVar[bool] = False
    strategy_setting: dict[str, Any]

    def __init__(self, *args: Any) -> None:
        self._reloading: set[str] = set()
        super().__init__(*args)

    def replace_strategy(self, strategy_name: str, kind: type[AnyStrategy]) -> Future[None]:
        """Replace its instance by one of ``kind``. Callable from any thread, and does not wait.

        The future holds, if nothing was replaced: ``NotFound``; ``Conflict`` if it is being initialised or reloaded, or
        was changed meanwhile; ``Invalid`` if its setting does not fit the new version; ``StrategyFailed`` if the new
        version raised.
        """
        outcome: Future[None] = Future()
        outcome.set_running_or_notify_cancel()  # what has begun is not taken back
        forward_error(self.event_engine.call(self._begin_reload, strategy_name, kind, outcome), outcome)
        return outcome

    def _begin_reload(self, name: str, kind: type[AnyStrategy], outcome: Future[None]) -> None:
        old = self.strategy_of(name)
        if not self.reloads:
            raise Conflict(
                f"Strategies of {self.engine_name} take new code at a restart alone.", code="reload_unsupported"
            )
        if name in self._initing or name in self._reloading:
            raise Conflict(f"Strategy {name!r} is being initialised or reloaded: wait for it.", code="initialising")
        setting, defaults = copy.deepcopy(self.strategy_setting[name]["setting"]), parameter_defaults(kind)
        if unknown := setting.keys() - defaults.keys():
            self.write_log(f"The new version has no parameter {sorted(unknown)} any more", old, WARNING)
        own = {key: value for key, value in setting.items() if key in defaults}
        own = checked(own, defaults, of=f"strategy {name!r}", ranges=ranges_of(kind, own))
        submitted = self._init_pool.submit(self._make, old, kind, setting, own, old.inited, outcome)
        if submitted.cancelled():
            raise closing()
        self._reloading.add(name)
        forward_error(submitted, outcome)

    def _make(
        self, old: AnyStrategy, kind: type[AnyStrategy], setting: dict[str, Any], own: dict[str, Any], was_inited: bool,
        outcome: Future[None],
    ) -> None:  # fmt: skip
        """Runs on the pool; everything else in this class, on the event thread."""
        made: AnyStrategy | None = None
        shown = None
        try:
            made = self._construct(kind, old.strategy_name, self._symbols_of(old), copy.deepcopy(own))
            if refused := saveable_variables(made)[1]:
                raise TypeError(f"variables that cannot be saved: {refused}")
            if was_inited:
                made.on_init()
        except BaseException:  # noqa: BLE001 - the edge to the user's code, told to who asked
            shown = traceback.format_exc()
        done = self.event_engine.call(self._end_reload, old, made, shown, setting, own, was_inited)
        _forward(done, outcome)

    def _end_reload(
        self, old: AnyStrategy, made: AnyStrategy | None, shown: str | None, setting: dict[str, Any],
        own: dict[str, Any], was_inited: bool,
    ) -> None:  # fmt: skip
        name = old.strategy_name
        self._reloading.discard(name)
        try:
            if made is None or shown is not None:
                raise failed(name, "nothing was replaced: the new version", shown or "")
            self._require_unchanged(old, setting, was_inited)
            if name in self._restored:
                self.sync_strategy_data(old)
            if was_inited:
                self._hand_over(old, made)
        except BaseException:
            if made is not None:
                self.event_engine.unregister_owner(made)
            raise
        self._swap(old, made, own)

    def _require_unchanged(self, old: AnyStrategy, setting: dict[str, Any], was_inited: bool) -> None:
        name = old.strategy_name
        if (
            not self._is_registered(old)
            or name in self._initing
            or old.inited != was_inited
            or self.strategy_setting[name]["setting"] != setting
        ):
            raise Conflict(
                f"Strategy {name!r} was changed while its new version was made: nothing was replaced. Reload it again.",
                code="changed_meanwhile",
            )

    def _hand_over(self, old: AnyStrategy, made: AnyStrategy) -> None:
        """Give the new one what the old one has, and start it if that one trades."""
        try:
            self._restore_variables(made)
            _copy_order_ids(old, made, set(self._working_of(old)))
            self._hand_over_orders(old, made)
            made.inited = True
            if old.trading:
                made.on_start()
                made.trading = True
        except BaseException as error:
            made.trading = made.inited = False
            what = "nothing was replaced: the new version's taking over"
            raise failed(old.strategy_name, what, traceback.format_exc()) from error

    def _swap(self, old: AnyStrategy, made: AnyStrategy, own: dict[str, Any]) -> None:
        name = old.strategy_name
        was_trading = old.trading
        old.trading = old.inited = False  # whatever still calls it: it can send nothing any more
        self.strategies[name] = made
        for vt_symbol in self._symbols_of(old):
            of_symbol = self.symbol_strategy_map[vt_symbol]
            of_symbol[of_symbol.index(old)] = made
        for vt_orderid, owner in self.orderid_strategy_map.items():
            if owner is old:
                self.orderid_strategy_map[vt_orderid] = made
        if not made.inited:
            self._restored.discard(name)
            self.failures.pop(name, None)
        self._keep_setting(made, own)
        self._put_state(self.state_of(made))
        if was_trading:
            try:
                old.on_stop()
            except BaseException:  # noqa: BLE001 - the edge to the user's code: it is gone already
                self.write_log(f"on_stop of the version before raised:\n{traceback.format_exc()}", made, ERROR)
        self.event_engine.unregister_owner(old)

    def _hand_over_orders(self, old: AnyStrategy, made: AnyStrategy) -> None:
        """Give the new one what its template keeps of orders in the instance."""

    def _keep_setting(self, strategy: AnyStrategy, setting: dict[str, Any]) -> None:
        raise NotImplementedError

    def _construct(
        self, kind: type[AnyStrategy], strategy_name: str, symbols: list[str], setting: dict[str, Any]
    ) -> AnyStrategy:
        raise NotImplementedError


def _copy_order_ids(old: AnyStrategy, made: AnyStrategy, working: set[str]) -> None:
    """Copy the attributes in which it has noted its working orders: official strategies cancel by them."""
    own = {*old.variables, *old.parameters}
    for name, value in vars(old).items():
        if name in own or not hasattr(made, name):
            continue
        ids = {value} if isinstance(value, str) else set(_texts(value)) if isinstance(value, _ID_CONTAINERS) else set()
        if not ids.isdisjoint(working):
            setattr(made, name, copy.deepcopy(value))


def _texts(value: Any) -> Iterator[str]:
    """Yield the texts in nested plain containers; nothing if there is anything else in them than numbers."""
    found: list[str] = []
    rest = [value]
    while rest:
        one = rest.pop()
        if isinstance(one, str):
            found.append(one)
        elif isinstance(one, _ID_CONTAINERS):
            rest += [*one.keys(), *one.values()] if isinstance(one, dict) else one
        elif not isinstance(one, int | float | None):
            return
    yield from found


def _forward(done: Future[None], outcome: Future[None]) -> None:
    """Let ``outcome`` end as ``done`` does."""

    def succeed(finished: Future[None]) -> None:
        if not finished.cancelled() and finished.exception() is None:
            outcome.set_result(None)

    forward_error(done, outcome)
    done.add_done_callback(succeed)
