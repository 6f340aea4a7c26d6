"""What the strategy manager needs of others: the engines, the table, the pipeline, the read model."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import Future
from types import ModuleType
from typing import Any, Protocol, runtime_checkable

from vnpy_core.data.repositories import StrategyRecord
from vnpy_core.enums import StrategyState
from vnpy_core.events import Event
from vnpy_core.models import Model

ENGINE_NAME = "CtaStrategy"


class StrategyHost(Protocol):
    """An engine that strategies run in. Everything but ``describe_…``, ``broken_files``, ``classes_in`` and what
    returns a future is for the event thread.

    A strategy's life: ``add_strategy`` makes it of its class, ADDED. ``init_strategy`` runs ``on_init`` on a thread of
    its own, INITING, then restores its saved variables and subscribes its symbols: INITED. It gets events from then on
    and may send orders once ``start_strategy`` has made it TRADING. ``stop_strategy`` cancels its orders and saves its
    variables. Whatever of its code raises, in whichever callback: it is FAILED, its working orders are cancelled, the
    traceback is kept, and it can be initialised again. Each change is told as a ``Strategy`` with a greater revision.

    Raises:
        NotFound, Conflict, Invalid: what was asked for is not possible.
        StrategyFailed: the strategy's own code raised.
    """

    @property
    def engine_name(self) -> str:
        """vn.py's name of the engine, as the API has it."""
        ...

    @property
    def broken_files(self) -> Mapping[str, str]: ...
    def describe_classes(self) -> Sequence[Mapping[str, Any]]: ...
    def describe_class(self, class_name: str) -> Mapping[str, Any]: ...
    def add_strategy(
        self,
        class_name: str,
        strategy_name: str,
        vt_symbols: Sequence[str],
        setting: Mapping[str, Any],
        *,
        saved: bool = False,
    ) -> None:
        """``saved``: the setting is of an earlier run; parameters that the class no longer has are left out."""
        ...

    def init_strategy(self, strategy_name: str) -> Future[None]: ...
    def classes_in(self, module: ModuleType) -> Mapping[str, type[Any]]: ...

    def replace_strategy(self, strategy_name: str, kind: type[Any]) -> Future[None]:
        """Let the strategy go on as an instance of ``kind``; if the future fails, it goes on as it is."""
        ...

    def start_strategy(self, strategy_name: str) -> None: ...
    def stop_strategy(self, strategy_name: str) -> None: ...
    def edit_strategy(self, strategy_name: str, setting: Mapping[str, Any]) -> None: ...
    def remove_strategy(self, strategy_name: str) -> bool: ...

    def forget_strategy(self, strategy_name: str) -> None:
        """Delete the setting and the variables of one that it does not have."""
        ...

    def unload_strategy(self, strategy_name: str) -> None:
        """Let go of one that holds nothing; its setting and variables are kept, and nothing is told."""
        ...

    def require_initialisable(self, strategy_name: str) -> object: ...
    def require_startable(self, strategy_name: str) -> object: ...
    def require_removable(self, strategy_name: str) -> object: ...

    def merged_setting(self, strategy_name: str, setting: Mapping[str, Any]) -> dict[str, Any]:
        """Check ``setting``, and return the strategy's whole setting with it, changing nothing."""
        ...

    def set_plan(self, strategy_name: str, auto_start: bool, desired_state: StrategyState) -> None: ...

    def get_state(self, strategy_name: str) -> Mapping[str, Any]:
        """Return a state of at least the ``revision`` in it, which has been put as an event."""
        ...

    def saved_settings(self) -> Mapping[str, Any]:
        """Return what vn.py's own setting file of this engine holds."""
        ...

    def replace_settings(self, settings: Mapping[str, Mapping[str, Any]]) -> None:
        """Make vn.py's own setting file hold these entries, which have that file's format."""
        ...

    def adopt_orders(self, owners: Mapping[str, str], working: Collection[str], fills: Iterable[str]) -> None:
        """Take up the orders of an earlier run, by vt_orderid, and the keys of the trades that were counted then.

        An owner is what follows the engine's name in an order's reference.
        """
        ...


@runtime_checkable
class Pausable(Protocol):
    """An engine that can hold back what would open a position. On the event thread."""

    def set_paused(self, strategy_name: str, paused: bool) -> None: ...


@runtime_checkable
class Resettable(Protocol):
    """An engine that can make a strategy anew. On the event thread."""

    def reset_strategy(self, strategy_name: str, *, zero_pos: bool = False) -> None: ...


class StrategyStore(Protocol):
    """The strategies table.

    Raises:
        Conflict: the record was changed by somebody else.
        Unavailable: the database cannot be reached; nothing was changed.
    """

    async def list(self) -> Sequence[StrategyRecord]: ...
    async def save(self, record: StrategyRecord) -> StrategyRecord: ...
    async def delete(self, strategy_name: str) -> None: ...


class Publisher(Protocol):
    """The pipeline."""

    def emit(self, model: Model) -> None: ...
    def subscribe(self, callback: Callable[[Sequence[Event]], None]) -> None: ...


class KnownTable(Protocol):
    def values(self) -> Iterable[Event]: ...


class Known(Protocol):
    """The read model: what was known when the service started."""

    @property
    def strategies(self) -> KnownTable: ...
    @property
    def orders(self) -> KnownTable: ...
    @property
    def trades(self) -> KnownTable: ...
