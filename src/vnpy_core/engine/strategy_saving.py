"""What is kept of the strategies' variables: told as facts, which are the truth, and copied to vn.py's data file."""

import json
import time
from collections.abc import Callable
from logging import ERROR
from typing import Any

import numpy as np
from vnpy.event import Event
from vnpy.trader import utility

from vnpy_core.data.strategy_variables import FILLS_KEY
from vnpy_core.engine.strategy_base import AnyStrategy
from vnpy_core.engine.strategy_states import FLAGS, StrategyStates
from vnpy_core.models import Model, StrategyVariables, now_timestamp

SAVE_INTERVAL_S = 5.0


class VariableSaving(StrategyStates):
    """The part of a strategy engine that saves. On the event thread.

    Each state is told by ``tell`` at once, and so ahead of the event that it came with: whoever knows a fill from the
    journal finds it counted in the variables there. Saved is at each fill and stop, as vn.py does, and what a strategy
    shows by ``put_event`` besides, every ``save_interval_s``.
    """

    def __init__(self, *args: Any) -> None:
        self.tell: Callable[[Model], None] = lambda fact: None
        """Makes a fact known, in the order of the calls and of the events that are dispatched."""
        self.save_interval_s = SAVE_INTERVAL_S
        self._unsaveable: set[tuple[str, str]] = set()
        self._saved_at: dict[str, float] = {}
        self._save_due: set[str] = set()
        self._is_unwritten = False
        self._saved_revision = int(time.time() * 1000)  # above that of any earlier run
        super().__init__(*args)

    def sync_strategy_data(self, strategy: AnyStrategy) -> None:
        """Save the variables. One that JSON cannot carry is left out, and the log says so once."""
        if not self._is_registered(strategy):
            return
        saved, refused = saveable_variables(strategy)
        for name, reason in refused.items():
            if (strategy.strategy_name, name) not in self._unsaveable:
                self._unsaveable.add((strategy.strategy_name, name))
                self.write_log(f"The variable {name} cannot be saved: {reason}", strategy, ERROR)
        self._save_variables(strategy.strategy_name, saved)

    def put_strategy_event(self, strategy: AnyStrategy) -> None:
        self._save_due.add(strategy.strategy_name)
        super().put_strategy_event(strategy)

    def _save_variables(self, name: str, saved: dict[str, Any]) -> None:
        """Save ``saved``, which has ``FILLS_KEY`` too."""
        self._keep_variables(name, saved)
        self._write_variables()

    def _keep_variables(self, name: str, saved: dict[str, Any]) -> None:
        self._save_due.discard(name)
        self._saved_at[name] = time.monotonic()
        if self.strategy_data.get(name) != saved:
            self.strategy_data[name] = saved
            self._tell_variables(name, saved)

    def _tell_variables(self, name: str, saved: dict[str, Any], *, removed: bool = False) -> None:
        self._saved_revision += 1
        self.tell(
            StrategyVariables(
                strategy_name=name,
                engine=self.engine_name,
                revision=self._saved_revision,
                datetime=now_timestamp(),
                variables={key: value for key, value in saved.items() if key != FILLS_KEY},
                fills=list(saved.get(FILLS_KEY, ())),
                removed=removed,
            )
        )

    def _write_variables(self) -> None:
        """Copy all to vn.py's file, or do so as soon as that is possible."""
        try:
            utility.save_json(self.data_filename, self.strategy_data)
        except Exception as error:  # noqa: BLE001 - the edge to the disk
            if not self._is_unwritten:
                self.write_log(f"{self.data_filename} cannot be written, and will be later: {error}", level=ERROR)
            self._is_unwritten = True
        else:
            if self._is_unwritten:
                self.write_log(f"{self.data_filename} is written again")
            self._is_unwritten = False

    def _forget(self, name: str) -> None:
        super()._forget(name)
        self._save_due.discard(name)
        self._saved_at.pop(name, None)

    def _on_timer(self, event: Event) -> None:
        super()._on_timer(event)
        before = time.monotonic() - self.save_interval_s
        due = [name for name in self._save_due if self._saved_at.get(name, 0.0) <= before]
        for name in due:
            self._save_due.discard(name)
            strategy = self.strategies.get(name)
            if strategy is not None and strategy.trading:  # as vn.py's own sync_data: a replay of history is no news
                self._keep_variables(name, self._with_fills(name, saveable_variables(strategy)[0]))
        if due or self._is_unwritten:
            self._write_variables()

    def _with_fills(self, name: str, saved: dict[str, Any]) -> dict[str, Any]:
        raise NotImplementedError


def saveable_variables(strategy: AnyStrategy) -> tuple[dict[str, Any], dict[str, str]]:
    """Return a copy of the variables as JSON gives them back, and of those that it cannot carry the reason."""
    saved: dict[str, Any] = {}
    refused: dict[str, str] = {}
    for name in strategy.variables:
        if name not in FLAGS:
            try:
                saved[name] = json.loads(json.dumps(getattr(strategy, name), default=_numpy_value))
            except Exception as error:  # noqa: BLE001 - a property is the user's code, and so is what it returns
                refused[name] = f"{type(error).__name__}: {error}"
    return saved, refused


def _numpy_value(value: Any) -> Any:
    if isinstance(value, np.generic) and isinstance(plain := value.item(), bool | int | float | str):
        return plain
    raise TypeError(f"JSON cannot carry a {type(value).__name__}")
