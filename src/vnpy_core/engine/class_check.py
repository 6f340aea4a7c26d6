"""The check of an uploaded strategy file, in a process of its own: it is compiled, imported and looked at.

``python -m vnpy_core.engine.class_check`` reads a ``CheckRequest`` and writes a ``CheckReport``. The process has limits
of time, memory and file size, an empty folder, and nothing of the service's environment. It is no sandbox: the code may
open connections, read what the service's user may read, and start programs.
"""

import contextlib
import importlib
import importlib.metadata
import os
import platform
import resource
import sys
import time
import traceback
from pathlib import Path
from typing import Any, Literal

import msgspec

from vnpy_core.config.settings import VnPyCoreConfig
from vnpy_core.engine import runtime
from vnpy_core.engine.class_info import USER_PACKAGE, defined_in, describe

Failure = Literal["syntax_error", "import_failed", "no_strategy_class"]

_FILE_BYTES = 16 << 20
_OPEN_FILES = 256
_DETAIL_LENGTH = 500
_TRACEBACK_LENGTH = 8000
_TOLD = ("class_name", "engine", "doc", "author", "parameters", "variables")
# By vn.py's engine: the package, and the templates that strategies are made from.
TEMPLATES = {
    "CtaStrategy": ("vnpy_ctastrategy", ("CtaTemplate", "TargetPosTemplate")),
    "PortfolioStrategy": ("vnpy_portfoliostrategy", ("StrategyTemplate",)),
    "SpreadTrading": ("vnpy_spreadtrading", ("SpreadStrategyTemplate",)),
}


class CheckRequest(msgspec.Struct, frozen=True):
    """``folders`` are those of the other strategy files, which it may import."""

    file_name: str
    source: str
    folder: str
    folders: list[str]
    timezone: str
    timeout_s: int
    memory_mb: int


class CheckReport(msgspec.Struct, frozen=True, kw_only=True):
    """``classes`` are described as in the catalogue; with a ``failure``, ``detail`` says what is wrong."""

    failure: Failure | None = None
    detail: str = ""
    line: int | None = None
    traceback: str | None = None
    classes: list[dict[str, Any]] = []
    python: str = ""
    packages: dict[str, str] = {}
    seconds: float = 0.0


def main() -> None:
    """Read the request from standard input; the report goes to what standard output was: prints go nowhere."""
    answers = os.dup(1)
    os.dup2(2, 1)
    request = msgspec.json.decode(sys.stdin.buffer.read(), type=CheckRequest)
    _limit(request)
    report = msgspec.json.encode(check(request))
    with os.fdopen(answers, "wb") as out:
        out.write(report)
        out.flush()
        os._exit(0)  # whatever threads and exit handlers it has left are not waited for


def check(request: CheckRequest) -> CheckReport:
    """Compile, import and describe. Changes the process as a whole."""
    try:
        compile(request.source, request.file_name, "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        told = getattr(error, "msg", None) or str(error)
        where = f"line {line}: " if line else ""
        return CheckReport(failure="syntax_error", detail=f"{where}{told}", line=line)
    module_name = _prepare(request)
    began = time.monotonic()
    try:
        module = importlib.import_module(module_name)
        found = _classes(module)
    except BaseException as error:  # noqa: BLE001 - the edge to the user's code
        shown = "".join(traceback.format_exception(error))
        detail = f"{type(error).__name__}: {error}"[:_DETAIL_LENGTH]
        return CheckReport(failure="import_failed", detail=detail, traceback=shown[-_TRACEBACK_LENGTH:])
    if not found:
        known = ", ".join(name for _, names in TEMPLATES.values() for name in names)
        return CheckReport(failure="no_strategy_class", detail=f"It defines no class that is made from one of {known}.")
    return CheckReport(
        classes=found,
        python=platform.python_version(),
        packages=_versions(found),
        seconds=round(time.monotonic() - began, 3),
    )


def _limit(request: CheckRequest) -> None:
    memory = request.memory_mb << 20
    for kind, limit in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, request.timeout_s),
        (resource.RLIMIT_FSIZE, _FILE_BYTES),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
        (resource.RLIMIT_CORE, 0),
    ):
        with contextlib.suppress(ValueError):  # a lower limit than ours holds already
            resource.setrlimit(kind, (limit, limit))
    os.nice(10)


def _prepare(request: CheckRequest) -> str:
    """Make a data folder of ``folder`` with the file in it, and return the name to import it by."""
    folder = Path(request.folder)
    runtime.prepare(VnPyCoreConfig(data_dir=folder, timezone=request.timezone))
    (folder / USER_PACKAGE / request.file_name).write_bytes(request.source.encode())
    sys.modules[USER_PACKAGE].__path__.extend(request.folders)
    return f"{USER_PACKAGE}.{request.file_name.removesuffix('.py')}"


def _classes(module: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for engine, (package, names) in TEMPLATES.items():
        if package in sys.modules:
            templates = tuple(getattr(sys.modules[package], name) for name in names)
            described = [describe(kind, engine) for kind in defined_in(module, templates)]
            found += [{name: one[name] for name in _TOLD} for one in described]  # type: ignore[literal-required]
    return found


def _versions(found: list[dict[str, Any]]) -> dict[str, str]:
    names = {"vnpy"} | {TEMPLATES[one["engine"]][0] for one in found}
    return {name: importlib.metadata.version(name) for name in sorted(names)}


if __name__ == "__main__":
    main()
