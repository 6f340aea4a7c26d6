"""The strategy classes there are: loaded from vn.py's examples and the user's folder, and described."""

import importlib
import inspect
import sys
import traceback
from collections.abc import Iterator, Mapping
from logging import ERROR, INFO
from pathlib import Path
from types import MappingProxyType
from typing import Any

import vnpy_ctastrategy.strategies
from vnpy.event import Event
from vnpy.trader.object import LogData
from vnpy_ctastrategy import APP_NAME, CtaEngine, CtaTemplate, TargetPosTemplate
from vnpy_ctastrategy.base import EVENT_CTA_LOG

from vnpy_core.engine.class_info import USER_PACKAGE, ClassInfo, describe
from vnpy_core.engine.setting_check import nearest
from vnpy_core.errors import NotFound

EXAMPLES_PACKAGE = "vnpy_ctastrategy.strategies"
_SUFFIXES = (".py", ".pyd", ".so")


class ClassCatalogue(CtaEngine):
    """The part of the CTA engine that knows classes. They are loaded once, at start: a running strategy keeps the
    code it was made of, so a changed file takes effect at the next start."""

    def __init__(self, *args: Any) -> None:
        self._broken: dict[str, str] = {}
        super().__init__(*args)

    def write_log(self, msg: str, strategy: CtaTemplate | None = None, level: int = INFO) -> None:
        shown = f"[{strategy.strategy_name}]  {msg}" if strategy else msg
        self.event_engine.put(Event(EVENT_CTA_LOG, LogData(msg=shown, gateway_name=APP_NAME, level=level)))

    @property
    def broken_files(self) -> Mapping[str, str]:
        """The strategy files that could not be loaded, by path, each with its traceback."""
        return MappingProxyType(self._broken)

    def load_strategy_class(self) -> None:
        """Load every class anew: what is gone from the folder, or broken now, is no longer offered."""
        self.classes.clear()
        self._broken.clear()
        for name in [name for name in sys.modules if name.startswith(f"{USER_PACKAGE}.")]:
            del sys.modules[name]
        importlib.invalidate_caches()
        examples = Path(next(iter(vnpy_ctastrategy.strategies.__path__)))
        self.load_strategy_class_from_folder(examples, EXAMPLES_PACKAGE)
        self.load_strategy_class_from_folder(Path.cwd() / USER_PACKAGE, USER_PACKAGE)

    def load_strategy_class_from_folder(self, path: Path, module_name: str = "") -> None:
        for file in sorted(path.glob("*")):
            stem = file.name.partition(".")[0]  # of a compiled module the name goes on with the Python version
            if file.suffix in _SUFFIXES and stem != "__init__":
                self._load(f"{module_name}.{stem}" if module_name else stem, file)

    def load_strategy_class_from_module(self, module_name: str) -> None:
        self._load(module_name, None)

    def _load(self, module_name: str, file: Path | None) -> None:
        try:
            module = importlib.import_module(module_name)
            found = {kind.__name__: kind for kind in _strategy_classes(vars(module))}
        except BaseException:  # noqa: BLE001 - the edge to the user's code: SystemExit too must not stop the others
            shown = traceback.format_exc()
            self._broken[str(file or module_name)] = shown
            self.write_log(f"The strategy file {file or module_name} cannot be loaded:\n{shown}", level=ERROR)
        else:
            self.classes.update(found)

    def strategy_class(self, class_name: str) -> type[CtaTemplate]:
        """Return the class.

        Raises:
            NotFound: there is none of that name; the detail names the nearest, or the file that should define it.
        """
        try:
            found: type[CtaTemplate] = self.classes[class_name]
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
        return describe(self.strategy_class(class_name), APP_NAME)

    def describe_classes(self) -> list[ClassInfo]:
        return [self.describe_class(name) for name in sorted(self.classes)]


def _strategy_classes(names: Mapping[str, Any]) -> Iterator[type[CtaTemplate]]:
    for value in list(names.values()):
        if (
            isinstance(value, type)
            and issubclass(value, CtaTemplate)
            and value not in (CtaTemplate, TargetPosTemplate)
            and not inspect.isabstract(value)
        ):
            yield value
