"""StrategyCode: the strategy files as the engines have them loaded, whichever engine their classes are for."""

import contextlib
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from vnpy_core.engine.class_info import USER_PACKAGE
from vnpy_core.engine.reimport import Reimport, forget
from vnpy_core.engine.runtime import UPLOAD_FOLDER
from vnpy_core.errors import StrategyFailed


class ClassTable(Protocol):
    """The part of an engine that knows classes; ``take_module`` and ``forget_module`` are for the event thread."""

    @property
    def classes(self) -> Mapping[str, type[Any]]: ...
    @property
    def broken_files(self) -> Mapping[str, str]: ...
    def classes_in(self, module: ModuleType) -> Mapping[str, type[Any]]: ...
    def take_module(self, module: ModuleType) -> None: ...
    def forget_module(self, module_name: str) -> None: ...


class StrategyCode:
    """``call`` runs something on the event thread."""

    def __init__(self, engines: Sequence[ClassTable], call: Callable[[Callable[[], None]], Future[None]]) -> None:
        self._engines = engines
        self._call = call

    def modules_by_class(self) -> Mapping[str, str]:
        """Return the names of all classes, each with that of the module that defines it. For any thread."""
        return {name: kind.__module__ for engine in self._engines for name, kind in engine.classes.items()}

    def broken_uploads(self) -> Mapping[str, str]:
        """Return the uploaded files that were not loaded, by name, each with the reason. For any thread."""
        return {
            Path(file).name: shown
            for engine in self._engines
            for file, shown in engine.broken_files.items()
            if Path(file).parent.name == UPLOAD_FOLDER
        }

    def load(self, file_name: str) -> None:
        """Import a file, anew if it was loaded, and offer its classes; strategies that run go on with theirs. Blocks.

        Raises:
            StrategyFailed: it cannot be imported; everything is as it was.
        """
        made = Reimport(module_of(file_name))
        self._call(lambda: self._take(made.module)).result()
        made.keep()

    def module_defining(self, class_name: str) -> str | None:
        """Return the name of the module that defines a class, ``None`` if there is no such class. For any thread."""
        return self.modules_by_class().get(class_name)

    def load_new(self) -> None:
        """Import the files of the user's folders that are not loaded: new ones, and those that were broken. Blocks.

        One that cannot be imported is passed over.
        """
        for folder in sys.modules[USER_PACKAGE].__path__:
            for file in sorted(Path(folder).glob("*.py")):
                if module_of(file.name) not in sys.modules and file.stem != "__init__":
                    with contextlib.suppress(StrategyFailed):
                        self.load(file.name)

    def import_anew(self, module_name: str) -> Reimport:
        """Import a module again and offer nothing of it yet. Blocks; see ``Reimport``."""
        return Reimport(module_name)

    def take(self, made: Reimport) -> None:
        """Offer the classes of a module that was imported anew, unless it was so again since. Event thread."""
        if sys.modules.get(made.module.__name__) is made.module:
            self._take(made.module)

    def forget(self, file_name: str) -> None:
        """Offer the classes of a file no longer. Blocks."""
        name = module_of(file_name)
        self._call(lambda: self._forget(name)).result()
        forget(name)

    def _take(self, module: ModuleType) -> None:
        for engine in self._engines:
            engine.take_module(module)

    def _forget(self, module_name: str) -> None:
        for engine in self._engines:
            engine.forget_module(module_name)


def module_of(file_name: str) -> str:
    return f"{USER_PACKAGE}.{Path(file_name).stem}"
