"""The strategy classes there are: loaded from vn.py's examples and the user's folder, and described."""

import importlib
import sys
import traceback
from collections.abc import Mapping
from logging import ERROR, INFO
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any, ClassVar

from vnpy.event import Event
from vnpy.trader.object import LogData

from vnpy_core.engine.class_info import USER_PACKAGE, ClassInfo, describe, strategy_classes
from vnpy_core.engine.runtime import UPLOAD_FOLDER
from vnpy_core.engine.setting_check import nearest
from vnpy_core.engine.strategy_base import AnyStrategy, StrategyAppEngine
from vnpy_core.errors import NotFound

_SUFFIXES = (".py", ".pyd", ".so")


class ClassCatalogue(StrategyAppEngine):
    """The part of a strategy engine that knows classes. A running strategy keeps the code it was made of until it is
    reloaded. What is read from any thread is replaced whole, never changed.

    Of classes with one name the user's own folder wins over uploaded files, and these over vn.py's examples.
    ``templates`` are the classes that strategies derive from and are none themselves, the first of them vn.py's own;
    ``examples_package`` is where vn.py's own strategies are. The engine that ``reads_anew`` is loaded first; the
    others, which share the folders with it, take the modules that it has imported.
    """

    templates: ClassVar[tuple[type[Any], ...]]
    examples_package: ClassVar[str]
    log_event: ClassVar[str]
    reads_anew: ClassVar[bool] = True

    def __init__(self, *args: Any) -> None:
        self._broken: dict[str, str] = {}
        super().__init__(*args)

    def write_log(self, msg: str, strategy: AnyStrategy | None = None, level: int = INFO) -> None:
        shown = f"[{strategy.strategy_name}]  {msg}" if strategy else msg
        self.event_engine.put(Event(self.log_event, LogData(msg=shown, gateway_name=self.engine_name, level=level)))

    @property
    def broken_files(self) -> Mapping[str, str]:
        """The strategy files that could not be loaded, by path, each with its traceback."""
        return MappingProxyType(self._broken)

    def load_strategy_class(self) -> None:
        """Load every class anew: what is gone from the folder, or broken now, is no longer offered."""
        self.classes: dict[str, type[AnyStrategy]] = {}
        self._broken = {}
        if self.reads_anew:
            for name in [name for name in sys.modules if name.startswith(f"{USER_PACKAGE}.")]:
                del sys.modules[name]
        importlib.invalidate_caches()
        examples = importlib.import_module(self.examples_package)
        self.load_strategy_class_from_folder(Path(next(iter(examples.__path__))), self.examples_package)
        for folder in (UPLOAD_FOLDER, USER_PACKAGE):
            self.load_strategy_class_from_folder(Path.cwd() / folder, USER_PACKAGE)

    def load_strategy_class_from_folder(self, path: Path, module_name: str = "") -> None:
        for file in sorted(path.glob("*")):
            stem = file.name.partition(".")[0]  # of a compiled module the name goes on with the Python version
            if path.name == UPLOAD_FOLDER and (own := path.with_name(USER_PACKAGE) / file.name).exists():
                self._broken = {**self._broken, str(file): f"Not loaded: {own} has its name, and comes first."}
            elif file.suffix in _SUFFIXES and stem != "__init__":
                self._load(f"{module_name}.{stem}" if module_name else stem, file)

    def load_strategy_class_from_module(self, module_name: str) -> None:
        self._load(module_name, None)

    def _load(self, module_name: str, file: Path | None) -> None:
        try:
            module = importlib.import_module(module_name)
            found = self.classes_in(module)
        except BaseException:  # noqa: BLE001 - the edge to the user's code: SystemExit too must not stop the others
            shown = traceback.format_exc()
            self._broken = {**self._broken, str(file or module_name): shown}
            self.write_log(f"The strategy file {file or module_name} cannot be loaded:\n{shown}", level=ERROR)
        else:
            self.classes = {**self.classes, **found}

    def classes_in(self, module: ModuleType) -> dict[str, type[AnyStrategy]]:
        """Return the classes by name that ``module`` has for this engine."""
        return {kind.__name__: kind for kind in strategy_classes(module, self.templates)}

    def take_module(self, module: ModuleType) -> None:
        """Offer the classes of ``module`` from now on, instead of those of an earlier version of it."""
        found = self.classes_in(module)
        kept = {name: kind for name, kind in self.classes.items() if kind.__module__ != module.__name__}
        self.classes = {**kept, **found}
        own = Path(module.__file__ or "").resolve()  # the data folder may be reached by a link
        self._broken = {file: shown for file, shown in self._broken.items() if Path(file).resolve() != own}

    def forget_module(self, module_name: str) -> None:
        """Offer the classes of a module no longer."""
        self.classes = {name: kind for name, kind in self.classes.items() if kind.__module__ != module_name}

    def strategy_class(self, class_name: str) -> type[AnyStrategy]:
        """Return the class.

        Raises:
            NotFound: there is none of that name; the detail names the nearest, or the file that should define it.
        """
        try:
            found: type[AnyStrategy] = self.classes[class_name]
        except KeyError:
            hint = nearest(class_name, self.classes)
            broken = ", ".join(Path(file).name for file in self._broken)
            raise NotFound(
                f"There is no strategy class {class_name!r}{hint}"
                + (f" These files could not be loaded: {broken}." if broken else "")
            ) from None
        return found

    def describe_class(self, class_name: str) -> ClassInfo:
        """Raises:
        NotFound: there is no class of that name.
        """
        return describe(self.strategy_class(class_name), self.engine_name)

    def describe_classes(self) -> list[ClassInfo]:
        return [self.describe_class(name) for name in sorted(self.classes)]
