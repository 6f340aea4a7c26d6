"""The check of a strategy file in its own process."""

import asyncio
import os
from pathlib import Path

import pytest

from vnpy_core.errors import Invalid
from vnpy_core.strategies.code_check import CodeCheck

STRATEGY = '''
from typing import Annotated

from pydantic import Field
from vnpy_ctastrategy import CtaTemplate


class Checked(CtaTemplate):
    """Buys nothing."""

    lots: Annotated[int, Field(ge=1)] = 1
    parameters = ["lots"]

    def on_init(self): ...
'''


def check_of(folder: Path) -> CodeCheck:
    return CodeCheck([folder], "Asia/Shanghai", timeout_s=60, memory_mb=512)


async def test_what_it_defines_is_described(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sibling.py").write_text("LOTS = 3\n")
    monkeypatch.setenv("VNPY_CORE_SECURITY__ADMIN_KEY", "a secret of the service")
    source = STRATEGY + (
        "\nimport os\nfrom strategies.sibling import LOTS\nprint('{', LOTS)\n"
        "assert not [name for name in os.environ if name.startswith('VNPY')]\n"
    )
    report = await check_of(tmp_path)("checked.py", source)
    (found,) = report.classes
    assert (found["class_name"], found["engine"], found["doc"]) == ("Checked", "CtaStrategy", "Buys nothing.")
    assert found["parameters"] == [{"name": "lots", "type": "int", "default": 1, "minimum": 1}]
    assert report.packages.keys() == {"vnpy", "vnpy_ctastrategy"}
    assert os.listdir(tmp_path) == ["sibling.py"]  # noqa: PTH208


REFUSED = [
    ("x = = 1", "syntax_error", "line 1"),
    ("x = '\0'", "syntax_error", "null bytes"),
    ("import nowhere", "import_failed", "No module named 'nowhere'"),
    ("x = 1", "no_strategy_class", "CtaTemplate"),
    ("x = bytearray(3 << 30)", "import_failed", "MemoryError"),
    ("import os; os._exit(3)", "check_ended", "code 3"),
]


async def test_what_is_refused(tmp_path: Path) -> None:
    checks = [check_of(tmp_path)("wrong.py", source) for source, *_ in REFUSED]
    results = await asyncio.gather(*checks, return_exceptions=True)
    for (_, code, told), refused in zip(REFUSED, results, strict=True):
        assert isinstance(refused, Invalid), refused
        assert refused.error_code == code
        assert told in refused.detail
        if code == "import_failed":
            assert 'strategies/wrong.py", line 1' in refused.extra["traceback"]


async def test_it_ends_in_time_with_what_it_has_started(tmp_path: Path) -> None:
    note = tmp_path / "pids"
    program = (
        "import os, pathlib, subprocess, time\n"
        "child = subprocess.Popen(['sleep', '600'])\n"
        f"pathlib.Path({str(note)!r}).write_text(f'{{os.getpid()}} {{child.pid}}')\n"
        "time.sleep(600)\n"
    )
    check = CodeCheck([], "Asia/Shanghai", timeout_s=3, memory_mb=512, program=("-c", program))
    with pytest.raises(Invalid) as refused:
        await check("slow.py", STRATEGY)
    assert refused.value.error_code == "check_timeout"
    for pid in map(int, note.read_text().split()):
        assert _is_gone(pid)


def _is_gone(pid: int) -> bool:
    """Whether a process has ended; nobody may have asked yet how."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (ProcessLookupError, FileNotFoundError):
        return True
