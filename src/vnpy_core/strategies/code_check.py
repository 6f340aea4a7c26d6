"""The check of a strategy file: what can be seen of its text here, and a process of its own for the rest."""

import asyncio
import contextlib
import io
import keyword
import os
import re
import signal
import sys
import tempfile
import tokenize
from collections.abc import Sequence
from pathlib import Path

import msgspec

from vnpy_core.engine.class_check import CheckReport, CheckRequest
from vnpy_core.errors import Invalid

MAX_SOURCE_BYTES = 256 << 10
FILE_NAME = r"^[A-Za-z_][A-Za-z0-9_]{0,59}\.py$"
_FILE_NAME = re.compile(FILE_NAME)
_REPORT_BYTES = 4 << 20
_TOLD_BYTES = 4000
_PASSED_ON = ("PATH", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "SYSTEMROOT")
# Each numerical library would map memory for a thread of each core.
_THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
_QUIET = {**_THREADS, "PYTHONDONTWRITEBYTECODE": "1"}


def require_file_name(file_name: str) -> None:
    """Raises: Invalid for what is no name of a Python module: so it is no path either."""
    stem = file_name.removesuffix(".py")
    if not _FILE_NAME.fullmatch(file_name) or keyword.iskeyword(stem) or stem.startswith("__"):
        message = "must be the name of a Python module, such as breakout.py: at most 60 ASCII letters, digits and _"
        raise Invalid(
            f"{file_name!r} cannot be a strategy file: it {message}.", code="bad_file_name",
            errors=[{"field": "file_name", "message": message}],
        )  # fmt: skip


def encoded_source(source: str) -> bytes:
    """Return the file's bytes, in UTF-8, without a byte order mark.

    Raises:
        Invalid: it is empty, too large, no Unicode, or says that it is in another encoding.
    """
    try:
        found = source.removeprefix("\ufeff").encode()
    except UnicodeEncodeError as error:
        raise _bad("source_encoding", "is not valid Unicode") from error
    if not found.strip():
        raise _bad("source_empty", "is empty")
    if len(found) > MAX_SOURCE_BYTES:
        raise _bad("source_too_large", f"has {len(found):,} bytes; {MAX_SOURCE_BYTES:,} are the most")
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(found).readline)
    except SyntaxError as error:
        raise _bad("source_encoding", str(error)) from error
    if encoding != "utf-8":
        raise _bad("source_encoding", f"is stored in UTF-8, and says of itself that it is in {encoding}")
    return found


class CodeCheck:
    """Loop only. One check at a time; each leaves nothing behind. ``program`` is what Python runs for it."""

    def __init__(
        self, folders: Sequence[Path], timezone: str, *, timeout_s: float, memory_mb: int,
        program: Sequence[str] = ("-m", "vnpy_core.engine.class_check"),
    ) -> None:  # fmt: skip
        self._folders = [str(folder) for folder in folders]
        self._timezone = timezone
        self._timeout_s = timeout_s
        self._memory_mb = memory_mb
        self._program = program
        self._turn = asyncio.Lock()

    async def __call__(self, file_name: str, source: str) -> CheckReport:
        """Compile and import ``source`` elsewhere, and return what it defines.

        Raises:
            Invalid: it does not compile or import, defines no strategy, or takes too much time or memory.
        """
        async with self._turn:
            with tempfile.TemporaryDirectory(prefix="vnpy-core-check-", ignore_cleanup_errors=True) as folder:
                report = await self._run(file_name, source, folder)
        if report.failure is not None:
            raise _bad(report.failure, report.detail, traceback=report.traceback)
        return report

    async def _run(self, file_name: str, source: str, folder: str) -> CheckReport:
        request = CheckRequest(
            file_name, source, folder, self._folders, self._timezone, max(1, round(self._timeout_s)), self._memory_mb
        )
        environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        printed = Path(folder) / "printed.txt"
        with printed.open("wb") as errors:
            process = await asyncio.create_subprocess_exec(
                sys.executable, *self._program,
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=errors, cwd=folder,
                env={**environment, **_QUIET, "PYTHONPATH": _python_path(), "HOME": folder, "TMPDIR": folder},
                start_new_session=True, limit=_REPORT_BYTES,
            )  # fmt: skip
        assert process.stdin is not None  # noqa: S101 - both are pipes
        assert process.stdout is not None  # noqa: S101
        try:
            async with asyncio.timeout(self._timeout_s):
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    process.stdin.write(msgspec.json.encode(request))
                    await process.stdin.drain()
                    process.stdin.close()
                answer = await process.stdout.read(_REPORT_BYTES)
                while more := await process.stdout.read(_REPORT_BYTES - len(answer)):
                    answer += more
                code = await process.wait()
        except TimeoutError:
            raise _bad("check_timeout", f"was not imported within {self._timeout_s:g} s") from None
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)  # with what it has started
                await process.wait()
        try:
            return msgspec.json.decode(answer, type=CheckReport)
        except msgspec.MsgspecError:
            told = f"by signal {-code}" if code < 0 else f"with code {code}"
            raise _bad(
                "check_ended", f"ended the process that imported it {told}; it may take {self._memory_mb} MB",
                traceback=printed.read_bytes()[-_TOLD_BYTES:].decode(errors="replace"),
            ) from None  # fmt: skip


def _python_path() -> str:
    """Return where this process finds modules, as paths that hold in any folder."""
    return os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path if Path(entry).is_dir())


def _bad(code: str, message: str, traceback: str | None = None) -> Invalid:
    extra = {} if traceback is None else {"traceback": traceback}
    return Invalid(
        f"The source {message}" if code.startswith(("source", "check")) else message, code=code,
        errors=[{"field": "source", "message": message}], **extra,
    )  # fmt: skip
