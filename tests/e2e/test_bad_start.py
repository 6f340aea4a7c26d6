"""A start that cannot be: it ends with one sentence that names what is wrong and says what to do about it."""

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.process import ServiceProcess, eventually

DEMO = ""
GARBAGE = bytes(range(256)) * 64


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder in which the demo strategy has run, and was stopped."""
    folder = tmp_path_factory.mktemp("stopped") / "data"
    with ServiceProcess(folder, DEMO) as core:
        eventually(lambda: [s for s in core.get("/api/v1/strategies")["strategies"] if s["trading"]], 20, "it trades")
        assert core.stop() == 0
    return folder


def garbage(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(GARBAGE)


def text(name: str, content: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(content)


def sql(name: str, statement: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        with sqlite3.connect(folder / name) as database:
            database.execute(statement)

    return change


CTA_DATA = ".vntrader/cta_strategy_data.json"
NOT_UNDERSTOOD = "update facts set payload = '{}' where kind in ('order.updated', 'account.updated')"


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        pytest.param(garbage("journal.db"), ("journal.db", "damaged", "move the file"), id="journal damaged"),
        pytest.param(sql("journal.db", "pragma user_version = 9"), ("journal.db", "newer version"), id="journal newer"),
        pytest.param(
            sql("journal.db", NOT_UNDERSTOOD),
            ("Fact", "cannot be read by this version", "move journal.db"),
            id="fact not understood",
        ),
        pytest.param(garbage("vnpy-core.db"), ("vnpy-core.db", "not a database", "moved away"), id="SQL damaged"),
        pytest.param(
            sql("vnpy-core.db", "update alembic_version set version_num = '9999'"),
            ("9999", "newer version"),
            id="SQL newer",
        ),
        pytest.param(garbage("history.duckdb"), ("history.duckdb", "move it away"), id="history damaged"),
        pytest.param(text(".vntrader/vt_setting.json", "{"), ("vt_setting.json", "Mend the file"), id="vt_setting"),
        pytest.param(text(CTA_DATA, "{"), ("cta_strategy_data.json", "correct it", "pos 0"), id="variables not JSON"),
        pytest.param(text(CTA_DATA, "[]"), ("cta_strategy_data.json", "JSON object"), id="variables no object"),
        pytest.param(text(CTA_DATA, '{"a": 1}'), ("cta_strategy_data.json", "'a'", "remove it"), id="variables entry"),
        pytest.param(
            text(".vntrader/risk_manager_setting.json", "[1]"), ("risk_manager_setting.json", "JSON object"), id="risk"
        ),
    ],
)
def test_one_sentence_says_what_to_do(
    stopped: Path, tmp_path: Path, harm: Callable[[Path], object], words: tuple[str, ...]
) -> None:
    folder = tmp_path / "data"
    shutil.copytree(stopped, folder)
    harm(folder)
    core = ServiceProcess(folder)
    core.http.close()

    ended = core.run("run")

    assert ended.returncode == 1
    message = ended.stderr.strip().splitlines()[-1]
    assert [word for word in words if word not in message] == []
    assert "Traceback" not in ended.stderr
    assert "leaked" not in ended.stderr + ended.stdout
