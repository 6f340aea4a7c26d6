"""The log: one format for every library, UTC, rotated files, and no caller that waits for a disk."""

import io
import json
import logging
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from loguru import logger as loguru_logger

from vnpy_core.config import logging as core_logging
from vnpy_core.config.settings import LogSettings
from vnpy_core.errors import ConfigError


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    level, handlers = logging.getLogger().level, list(logging.getLogger().handlers)
    yield
    core_logging.shutdown()
    assert logging.getLogger().level == level
    assert logging.getLogger().handlers == handlers


def lines(log_dir: Path) -> list[dict[str, Any]]:
    core_logging.shutdown()
    return [json.loads(line) for line in (log_dir / core_logging.LOG_FILE).read_text(encoding="utf-8").splitlines()]


def test_every_library_writes_the_same_lines(tmp_path: Path) -> None:
    core_logging.configure(LogSettings(format="json"), tmp_path / "logs")
    logging.getLogger("ours.module").info("sent %s", "rb2505")
    structlog.get_logger("structured").warning("order", volume=2)
    logging.getLogger("vnpy").info("合约", extra={"source": "CTP"})
    logging.getLogger("uvicorn.error").error("from uvicorn")
    loguru_logger.bind(gateway_name="SIM").error("from vn.py")
    logging.getLogger("ours.module").debug("below the level")
    written = lines(tmp_path / "logs")
    assert [(line["logger"], line["level"], line["message"]) for line in written] == [
        ("ours.module", "info", "sent rb2505"),
        ("structured", "warning", "order"),
        ("vnpy", "info", "合约"),
        ("uvicorn.error", "error", "from uvicorn"),
        ("vnpy", "error", "from vn.py"),
    ]
    assert written[1]["volume"] == 2
    assert [written[index]["source"] for index in (2, 4)] == ["CTP", "SIM"]
    assert all(line["timestamp"].endswith("+00:00") for line in written)


def test_what_libraries_say_of_each_request_is_left_out(tmp_path: Path) -> None:
    """With an InfluxDB there are two requests a second, all day long."""
    core_logging.configure(LogSettings(format="json"), tmp_path)
    answer = httpx.MockTransport(lambda request: httpx.Response(204))
    with httpx.Client(transport=answer) as client:
        client.post("http://influx/write")
    logging.getLogger("httpx").warning("what is wrong")
    assert [line["message"] for line in lines(tmp_path)] == ["what is wrong"]


def test_tracebacks_of_handlers_and_of_threads_are_written(tmp_path: Path) -> None:
    core_logging.configure(LogSettings(format="json"), tmp_path)
    try:
        raise KeyError("caught")
    except KeyError:
        logging.getLogger("ours").exception("oops")

    def die() -> None:
        raise ValueError("in a thread")

    thread = threading.Thread(target=die, name="gateway-thread")
    thread.start()
    thread.join()
    caught, died = lines(tmp_path)
    assert "KeyError: 'caught'" in caught["exception"]
    assert "gateway-thread" in died["message"]
    assert "ValueError: in a thread" in died["exception"]


def test_what_a_line_says_is_fixed_when_it_is_logged(tmp_path: Path) -> None:
    core_logging.configure(LogSettings(format="json"), tmp_path)
    changing = ["before"]
    logging.getLogger("ours").info("%s", changing)
    changing[0] = "after"
    assert lines(tmp_path)[0]["message"] == "['before']"


def test_console_lines_have_no_colours_in_the_file(tmp_path: Path) -> None:
    core_logging.configure(LogSettings(), tmp_path)
    logging.getLogger("ours").info("plain")
    core_logging.shutdown()
    text = (tmp_path / core_logging.LOG_FILE).read_text()
    assert "\x1b" not in text
    assert "plain" in text


def test_files_are_rotated_by_size_and_counted(tmp_path: Path) -> None:
    core_logging.configure(LogSettings(format="json", file_size_mb=1, file_count=2), tmp_path)
    for _ in range(45):
        logging.getLogger("ours").info("x" * 100_000)
    core_logging.shutdown()
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ["vnpy-core.log", "vnpy-core.log.1", "vnpy-core.log.2"]
    assert all(path.stat().st_size <= 1 << 20 for path in tmp_path.iterdir())


def test_without_a_file_there_is_no_folder(tmp_path: Path) -> None:
    core_logging.configure(LogSettings(file=False), tmp_path / "logs")
    assert not (tmp_path / "logs").exists()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="VNPY_LOG_DIR"):
        core_logging.configure(LogSettings(), tmp_path / "file" / "logs")


def test_nobody_waits_for_a_writer_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Hanging(io.StringIO):
        go_on = threading.Event()

        def write(self, text: str) -> int:
            assert self.go_on.wait(10)
            return super().write(text)

    stream = Hanging()
    monkeypatch.setattr(sys, "stderr", stream)
    core_logging.configure(LogSettings(file=False), tmp_path)
    for _ in range(21_000):
        logging.getLogger("ours").info("line")
    stream.go_on.set()
    core_logging.shutdown()
    text = stream.getvalue()
    assert "log lines were dropped" in text
    assert 20_000 <= text.count("line [ours]") < 21_000
