"""The process that vn.py finds itself in: its folder, locale, time zone, signals and files.

Nothing here imports vnpy before ``prepare`` has done what must come first.
"""

import contextlib
import importlib
import importlib.machinery
import importlib.resources
import importlib.util
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any
from zoneinfo import ZoneInfo

from vnpy_core.config.json_file import replace_json
from vnpy_core.config.logging import route_loguru
from vnpy_core.config.settings import VnPyCoreConfig
from vnpy_core.engine.data_lock import DataDirLock, LockHolder, read_lock_holder
from vnpy_core.errors import ConfigError

__all__ = ["DataDirLock", "LockHolder", "prepare", "read_lock_holder"]

VNPY_FOLDER = ".vntrader"
# Folders of user code that vn.py imports as top-level packages of these names.
USER_PACKAGES = ("strategies", "rules")
# Of uploaded strategy files: a part of the package ``strategies``, where the user's own folder comes first.
UPLOAD_FOLDER = "uploaded_strategies"

_prepare_lock = threading.Lock()
_durable = False


def prepare(config: VnPyCoreConfig) -> None:
    """Make the process fit for vn.py and import its core; may be called again, also for another data folder.

    Changes the process as a whole: ``LANGUAGE``, ``TZ``, the working directory. vn.py reads its settings while it is
    imported, so whatever imports vnpy must do so after this.

    Raises:
        ConfigError: the data folder cannot be written, ``vt_setting.json`` is not JSON, or the machine does not know
            the time zone.
    """
    global _durable
    with _prepare_lock:
        _durable = config.journal.synchronous == "FULL"  # vn.py writes a file at each fill, on the event thread
        data_dir = config.data_dir.expanduser().absolute()
        _make_folders(data_dir)
        config.save_vnpy_setting()
        setting = config.get_vnpy_setting()
        os.environ["LANGUAGE"] = "en"  # vn.py translates the values of its enums; this one beats LANG and LC_ALL
        _set_timezone(config.timezone)
        os.chdir(data_dir)  # vn.py takes <cwd>/.vntrader, and otherwise the home folder
        for name in USER_PACKAGES:
            _claim_package(name, data_dir / name, *([data_dir / UPLOAD_FOLDER] if name == "strategies" else []))
        _import_vnpy(data_dir, setting)


def _make_folders(data_dir: Path) -> None:
    try:
        for folder in (data_dir / name for name in (VNPY_FOLDER, UPLOAD_FOLDER, *USER_PACKAGES)):
            folder.mkdir(parents=True, exist_ok=True)
        probe = data_dir / VNPY_FOLDER / ".writable"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise ConfigError(
            f"{error.filename or data_dir} cannot be written ({error.strerror}): "
            "make the data folder writable, or set VNPY_DATA_DIR to one that is"
        ) from error


def _set_timezone(name: str) -> None:
    os.environ["TZ"] = name
    time.tzset()
    if _local_time_is(name):
        return
    # A slim image without the system's zone files: the tzdata package has them, and the C library can be told so.
    with contextlib.suppress(ModuleNotFoundError):
        os.environ["TZDIR"] = str(importlib.resources.files("tzdata") / "zoneinfo")
        for zone in ("UTC", name):  # it looks again only if the name changes
            os.environ["TZ"] = zone
            time.tzset()
    if not _local_time_is(name):
        raise ConfigError(f"this machine does not know the time zone {name}: install the system package tzdata")


def _local_time_is(name: str) -> bool:
    zone, now = ZoneInfo(name), datetime.now(ZoneInfo(name))
    moments = [now + timedelta(days=91 * quarter) for quarter in range(4)]
    return all(moment.astimezone().utcoffset() == moment.astimezone(zone).utcoffset() for moment in moments)


def _claim_package(name: str, *folders: Path) -> None:
    """Make ``import <name>.x`` find ``x.py`` in the first of ``folders`` that has it, whatever else is so called."""
    package = sys.modules.get(name)
    if package is None:
        found = importlib.util.find_spec(name)
        if found is not None and found.loader is not None and found.origin is not None:
            package = importlib.import_module(name)
        else:
            package = ModuleType(name)
            package.__spec__ = importlib.machinery.ModuleSpec(name, None, is_package=True)
            package.__path__ = []
            sys.modules[name] = package
    if not hasattr(package, "__path__"):
        raise ConfigError(f"the module {name} ({package.__file__}) hides {folders[0]}: rename the module")
    previous = getattr(package, "_vnpy_core_folders", [])
    paths = [str(folder) for folder in folders]
    package.__path__ = [*paths, *(path for path in package.__path__ if path not in (*previous, *paths))]
    package._vnpy_core_folders = paths  # type: ignore[attr-defined]
    if previous not in ([], paths):
        for module in [key for key in list(sys.modules) if key.startswith(f"{name}.")]:  # others may import meanwhile
            del sys.modules[module]
    importlib.invalidate_caches()


def _import_vnpy(data_dir: Path, setting: Mapping[str, Any]) -> None:
    utility = importlib.import_module("vnpy.trader.utility")
    # Before anything binds them by name: vn.py's own save_json empties the file first and then writes.
    _rebind("save_json", _save_json)
    _rebind("load_json", _load_json)
    if data_dir != utility.TRADER_DIR:
        with contextlib.suppress(ValueError):
            sys.path.remove(str(utility.TRADER_DIR))
        sys.path.append(str(data_dir))
        _rebind("TRADER_DIR", data_dir)
        _rebind("TEMP_DIR", data_dir / VNPY_FOLDER)
    settings = importlib.import_module("vnpy.trader.setting").SETTINGS
    settings.update(setting)
    if "vnpy.trader.logger" not in sys.modules:
        with _sinks_kept():
            importlib.import_module("vnpy.trader.logger")
    route_loguru()
    with _signal_handlers_kept():
        importlib.import_module("vnpy.rpc")  # sets SIGINT to its default when first imported
    importlib.import_module("vnpy.trader.database")
    _rebind("DB_TZ", ZoneInfo(settings["database.timezone"]))
    importlib.import_module("vnpy.trader.engine")


def _rebind(name: str, value: object) -> None:
    """Set ``name`` in vnpy.trader.utility and in every vn.py module that has taken it from there."""
    for key, module in list(sys.modules.items()):
        if key.startswith("vnpy") and not key.startswith("vnpy_core") and name in vars(module):
            setattr(module, name, value)


def _save_json(filename: str, data: dict[str, Any]) -> None:
    replace_json(_vnpy_path(filename), data, durable=_durable)


def _load_json(filename: str) -> Any:
    """Raises:
    ConfigError: the file is not a JSON object; vn.py's own message would not say which file.
    """
    path = _vnpy_path(filename)
    if not path.exists():
        _save_json(filename, {})
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, OSError) as error:
        raise ConfigError(f"{path} cannot be read as JSON ({error}): correct it, or move it away") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path} must hold a JSON object: correct it, or move it away")
    return content


def _vnpy_path(filename: str) -> Path:
    path: Path = sys.modules["vnpy.trader.utility"].TEMP_DIR / filename
    return path


@contextlib.contextmanager
def _sinks_kept() -> Iterator[None]:
    """Let vn.py's logger module neither remove the host's loguru sinks nor replace its ``extra``."""
    logger = importlib.import_module("loguru").logger
    vars(logger).update(remove=lambda *args: None, configure=lambda **kwargs: [])
    try:
        yield
    finally:
        del logger.remove, logger.configure


@contextlib.contextmanager
def _signal_handlers_kept() -> Iterator[None]:
    """Make ``signal.signal`` do nothing in this thread; other threads set their handlers as ever."""
    original, importer = signal.signal, threading.get_ident()

    def guarded(signalnum: Any, handler: Any, /) -> Any:
        return signal.getsignal(signalnum) if threading.get_ident() == importer else original(signalnum, handler)

    signal.signal = guarded  # type: ignore[assignment]
    try:
        yield
    finally:
        signal.signal = original
