"""How a gateway class is found by its dotted path, what to say when it is not, and what its setting lacks."""

import difflib
import importlib
import inspect
from collections.abc import Mapping
from typing import Any

from vnpy.trader.gateway import BaseGateway

# Of modules whose package has another name, or where the obvious package is too old (tried with each gateway).
_PACKAGE_OF = {"ibapi": "nautilus-ibapi", "importlib_metadata": "importlib-metadata"}


class GatewayNotLoaded(Exception):
    """The text is one line: what is wrong, and what to do."""


def load_class(path: str) -> type[BaseGateway]:
    """Return the gateway class that ``package.module.Class`` names.

    Raises:
        GatewayNotLoaded: there is none, or its module raises when it is imported.
    """
    module_path, _, class_name = path.replace(":", ".").rpartition(".")
    if not module_path:
        raise GatewayNotLoaded(f"{path!r} is not a path such as vnpy_ctp.CtpGateway")
    importlib.invalidate_caches()
    try:
        module = importlib.import_module(module_path)
    except BaseException as error:  # an import runs any code; SystemExit is no reason to stop the service either
        if isinstance(error, KeyboardInterrupt):
            raise
        raise GatewayNotLoaded(explain(error, module_path)) from error
    found = getattr(module, class_name, None)
    if inspect.isclass(found) and issubclass(found, BaseGateway):
        return found
    gateways = [
        name
        for name, value in vars(module).items()
        if inspect.isclass(value) and issubclass(value, BaseGateway) and not inspect.isabstract(value)
    ]
    nearest = difflib.get_close_matches(class_name, gateways, n=1, cutoff=0.0)
    advice = f"; did you mean {module_path}.{nearest[0]}?" if nearest else ""
    what = f"has no class {class_name}" if found is None else f"{class_name} is not a vn.py gateway"
    raise GatewayNotLoaded(f"{module_path} {what}{advice}")


def explain(error: BaseException, module_path: str) -> str:
    """Return in one line why a gateway's module or constructor failed, and what helps."""
    package = module_path.partition(".")[0]
    text = " ".join(str(error).split()) or "no reason given"
    if isinstance(error, ModuleNotFoundError) and error.name:
        missing = error.name.partition(".")[0]
        if missing == package and not error.name.startswith(f"{package}."):
            # With its dependencies comes vnpy's desktop, which the service has no use for.
            return f"{package} is not installed: pip install --no-deps {package}"
        if missing == package:
            return f"{package} has no module {error.name}: correct the path of the class"
        return f"{package} needs {missing}: pip install {_PACKAGE_OF.get(missing, missing)}"
    if "locale" in text:
        return f"{package} needs the locale zh_CN.GB18030 ({text}): locale-gen zh_CN.GB18030"
    if isinstance(error, ImportError) and ".so" in text:
        return f"{package} does not find its native library ({text}): add {package}/api to LD_LIBRARY_PATH"
    return f"{package} cannot be loaded: {type(error).__name__}: {text}"


def completed_setting(setting: dict[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``setting`` with the defaults that say something; what is empty there, the user must give."""
    known = {
        name: value[0] if isinstance(value, list | tuple) else value
        for name, value in defaults.items()
        if not isinstance(value, str) or value
        if not isinstance(value, list | tuple) or value
    }
    return known | setting
