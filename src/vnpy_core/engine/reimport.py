"""A strategy file imported anew while strategies of its earlier version run."""

import contextlib
import importlib
import importlib.util
import sys
import threading
import traceback
from pathlib import Path
from types import ModuleType

from vnpy_core.engine.class_info import USER_PACKAGE
from vnpy_core.errors import StrategyFailed

# Whoever imports takes modules off ``sys.modules`` for a while.
_lock = threading.Lock()


class Reimport:
    """A module that has just been imported, in place of an earlier version of it.

    The files of the user's folders that it imports are imported anew with it; other modules keep those they have.
    Blocks; for any thread but the loop's and the event thread.

    Raises:
        StrategyFailed: it cannot be imported; everything is as it was.
    """

    def __init__(self, module_name: str) -> None:
        with _lock:
            self._before = _user_modules()
            for name in self._before:
                del sys.modules[name]
            _forget_bytecode()
            importlib.invalidate_caches()
            try:
                self.module: ModuleType = importlib.import_module(module_name)
            except BaseException as error:
                for name in _user_modules().keys() - self._before.keys():
                    _remove(name)
                for name, module in self._before.items():
                    _put(name, module)
                shown = traceback.format_exc()
                last = shown.strip().splitlines()[-1]
                raise StrategyFailed(f"The import of {module_name} raised {last}", traceback=shown) from error
            self._made = _user_modules()
            for name in self._before.keys() - self._made.keys():
                _put(name, self._before[name])

    def undo(self) -> None:
        """Let the earlier version be what others import again."""
        with _lock:
            for name, module in self._made.items():
                if sys.modules.get(name) is module:
                    if name in self._before:
                        _put(name, self._before[name])
                    else:
                        _remove(name)
        self.keep()

    def keep(self) -> None:
        """Let go of the earlier version."""
        self._before = {}
        self._made = {}


def forget(module_name: str) -> None:
    """Let nobody import what is loaded of a module that is gone."""
    with _lock:
        _remove(module_name)


def _user_modules() -> dict[str, ModuleType]:
    return {name: module for name, module in sys.modules.items() if name.startswith(f"{USER_PACKAGE}.")}


def _put(name: str, module: ModuleType) -> None:
    sys.modules[name] = module
    package, _, last = name.rpartition(".")
    setattr(sys.modules[package], last, module)


def _remove(name: str) -> None:
    sys.modules.pop(name, None)
    package, _, last = name.rpartition(".")
    with contextlib.suppress(AttributeError, KeyError):
        delattr(sys.modules[package], last)


def _forget_bytecode() -> None:
    """Python takes a file for unchanged that has its size and was written in the same second."""
    for folder in sys.modules[USER_PACKAGE].__path__:
        for file in Path(folder).glob("*.py"):
            with contextlib.suppress(OSError, NotImplementedError):
                Path(importlib.util.cache_from_source(str(file))).unlink(missing_ok=True)
