"""What a client is told of a strategy class, whichever engine it is for."""

import importlib.metadata
import inspect
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, NotRequired, TypedDict

from vnpy_core.engine.parameter_ranges import ranges_of
from vnpy_core.engine.plain import jsonable
from vnpy_core.engine.runtime import UPLOAD_FOLDER
from vnpy_core.engine.setting_check import type_name

# The package that the user's strategy files and the uploaded ones are modules of.
USER_PACKAGE = "strategies"

Origin = Literal["official", "user", "uploaded"]


class ParameterInfo(TypedDict):
    """A parameter; see ``RangeInfo`` for what may be there besides."""

    name: str
    type: str
    default: Any
    minimum: NotRequired[float]
    maximum: NotRequired[float]
    exclusive_minimum: NotRequired[float]
    exclusive_maximum: NotRequired[float]
    multiple_of: NotRequired[float]
    choices: NotRequired[list[Any]]
    description: NotRequired[str]


class ClassInfo(TypedDict):
    """A strategy class as a client sees it; ``file`` is absolute, ``doc`` the class's own docstring, or its file's.

    ``package`` is the installed package that it comes from, with its version.
    """

    class_name: str
    engine: str
    module: str
    origin: Origin
    package: str | None
    file: str
    doc: str
    author: str
    parameters: list[ParameterInfo]
    variables: list[str]


def describe(kind: type[Any], engine: str) -> ClassInfo:
    """Return what is told of ``kind``, a strategy class of vn.py's engine of that name."""
    module = sys.modules.get(kind.__module__)
    file = str(getattr(module, "__file__", "") or "")
    defaults = parameter_defaults(kind)
    ranges = ranges_of(kind, defaults)
    parameters: list[ParameterInfo] = []
    for name, default in defaults.items():
        info = ParameterInfo(name=name, type=type_name(default), default=jsonable(default))
        if name in ranges:
            info.update(ranges[name].info)  # type: ignore[typeddict-item]
        parameters.append(info)
    return ClassInfo(
        class_name=kind.__name__,
        engine=engine,
        module=kind.__module__,
        origin=origin_of(kind.__module__, file),
        package=_package_of(kind.__module__),
        file=file,
        doc=inspect.cleandoc(kind.__doc__ or getattr(module, "__doc__", None) or ""),
        author=str(kind.author),
        parameters=parameters,
        variables=[str(name) for name in kind.variables],
    )


def parameter_defaults(kind: type[Any]) -> dict[str, Any]:
    """Return the defaults of the parameters; ``None`` for one that only the constructor sets."""
    return {str(name): getattr(kind, name, None) for name in kind.parameters}


def defined_in(module: ModuleType, templates: tuple[type[Any], ...]) -> list[type[Any]]:
    """Return the classes that ``module`` itself defines and strategies can be made of."""
    return [kind for kind in strategy_classes(module, templates) if kind.__module__ == module.__name__]


def strategy_classes(module: ModuleType, templates: tuple[type[Any], ...]) -> list[type[Any]]:
    """Return the classes below one of ``templates`` that ``module`` has a name for, wherever they are defined."""
    return [
        value
        for value in list(vars(module).values())
        if isinstance(value, type)
        and issubclass(value, templates)
        and value not in templates
        and not inspect.isabstract(value)
    ]


def origin_of(module_name: str, file: str) -> Origin:
    if not module_name.startswith(f"{USER_PACKAGE}."):
        return "official"
    return "uploaded" if Path(file).parent.name == UPLOAD_FOLDER else "user"


def _package_of(module_name: str) -> str | None:
    name = module_name.partition(".")[0]
    try:
        return f"{name} {importlib.metadata.version(name)}"
    except importlib.metadata.PackageNotFoundError:
        return None
