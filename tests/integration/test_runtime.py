"""What vn.py does to its process, and what ``runtime.prepare`` makes of it; each in a process of its own."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from vnpy.trader import utility

from vnpy_core.config.json_file import replace_json
from vnpy_core.config.settings import VnPyCoreConfig
from vnpy_core.engine import runtime
from vnpy_core.errors import AlreadyRunning, ConfigError

PRELUDE = """
import json, sys, os
from pathlib import Path
from vnpy_core.config.settings import VnPyCoreConfig
from vnpy_core.engine import runtime
config = VnPyCoreConfig(data_dir=Path(sys.argv[1]), timezone="Asia/Shanghai")
def tell(**what): print(json.dumps(what))
"""


def run(script: str, data_dir: Path, *arguments: str, env: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Run ``script`` after the prelude in a fresh process, and return the JSON it prints last."""
    result = subprocess.run(
        [sys.executable, "-c", PRELUDE + textwrap.dedent(script), str(data_dir), *arguments],
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr
    told: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return told


@pytest.mark.parametrize("lang", ["zh_CN.UTF-8", "C", "en_US.UTF-8"])
def test_s1_enum_values_do_not_depend_on_the_locale(tmp_path: Path, lang: str) -> None:
    told = run(
        """
        runtime.prepare(config)
        from vnpy.trader.constant import Direction, Status
        from vnpy_ctastrategy.base import StopOrderStatus
        tell(values=[Direction.LONG.value, Status.ALLTRADED.value, StopOrderStatus.WAITING.value])
        """,
        tmp_path,
        env={"LANG": lang, "LC_ALL": lang, "LANGUAGE": ""},
    )
    assert told["values"][0] == "Long"
    assert all(value.isascii() for value in told["values"])


def test_s2_s3_e15_the_folder_is_ours_and_settings_are_in_force(tmp_path: Path) -> None:
    """S2, S3: folder and settings are fixed at import, in the home folder. E15: MainEngine changes the cwd."""
    config_dir = tmp_path / "config"
    config_dir.mkdir()
    (config_dir / "vt_setting.json").write_text(json.dumps({"datafeed.name": "rqdata", "database.timezone": "UTC"}))
    told = run(
        """
        config = config.model_copy(update={"config_dir": Path(sys.argv[2])})
        runtime.prepare(config)
        from vnpy.event import EventEngine
        from vnpy.trader.engine import MainEngine
        from vnpy.trader.setting import SETTINGS
        from vnpy.trader import database, utility
        main = MainEngine(); main.close()
        tell(cwd=os.getcwd(), folder=str(utility.TEMP_DIR), zone=str(database.DB_TZ),
             settings={key: SETTINGS[key] for key in
                       ("log.console", "log.file", "database.timezone", "datafeed.name")},
             mode=oct((utility.TEMP_DIR / "vt_setting.json").stat().st_mode & 0o777),
             qt=[name for name in sys.modules if name.startswith(("PySide", "shiboken", "pyqtgraph", "qdarkstyle"))])
        """,
        tmp_path / "data",
        str(config_dir),
        env={"HOME": str(tmp_path / "no-such-home")},
    )
    assert told["cwd"] == str(tmp_path / "data")
    assert told["folder"] == str(tmp_path / "data" / ".vntrader")
    assert told["zone"] == "Asia/Shanghai"
    assert told["settings"] == {
        "log.console": False,
        "log.file": False,
        "database.timezone": "Asia/Shanghai",
        "datafeed.name": "rqdata",
    }
    assert told["mode"] == "0o600"
    assert told["qt"] == []
    assert not (tmp_path / "data" / ".vntrader" / "log").exists()


@pytest.mark.parametrize("content", ["{not json", "[]", b"\xff\xfe"])
def test_s2_a_corrupt_setting_file_is_named(tmp_path: Path, content: str | bytes) -> None:
    folder = tmp_path / ".vntrader"
    folder.mkdir()
    (folder / "vt_setting.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError, match=str(folder / "vt_setting.json")):
        runtime.prepare(VnPyCoreConfig(data_dir=tmp_path))


@pytest.mark.parametrize("below", ["a-file/data", None])
def test_s2_a_folder_that_cannot_be_written_is_named(tmp_path: Path, below: str | None) -> None:
    (tmp_path / "a-file").write_text("")
    data_dir = tmp_path / below if below else Path("/proc/vnpy-core")
    with pytest.raises(ConfigError, match=f"{data_dir}.*VNPY_DATA_DIR"):
        runtime.prepare(VnPyCoreConfig(data_dir=data_dir))


def test_s4_the_hosts_sinks_stay_and_loguru_reaches_the_log(tmp_path: Path) -> None:
    told = run(
        """
        import logging
        from loguru import logger
        logger.remove(); seen = []; logger.add(seen.append, format="{extra[mine]} {message}")
        logger.configure(extra={"mine": "kept"})
        class Keep(logging.Handler):
            def emit(self, record): kept.append([record.name, record.levelname, record.getMessage()])
        kept = []; logging.getLogger().addHandler(Keep()); logging.getLogger().setLevel("INFO")
        runtime.prepare(config); runtime.prepare(config)
        from vnpy.trader.logger import logger as vnpy_logger
        vnpy_logger.bind(gateway_name="SIM").error("through vn.py")
        logger.info("by the host")
        tell(host=seen, log=kept)
        """,
        tmp_path,
    )
    assert told["host"] == ["kept through vn.py\n", "kept by the host\n"]
    assert told["log"] == [["vnpy", "ERROR", "through vn.py"], ["__main__", "INFO", "by the host"]]


def test_a_host_that_sends_its_log_to_loguru_makes_no_circle(tmp_path: Path) -> None:
    told = run(
        """
        import logging
        from loguru import logger
        class Intercept(logging.Handler):
            def emit(self, record): logger.opt(exception=record.exc_info).log(record.levelname, record.getMessage())
        seen = []; logger.remove(); logger.add(seen.append, format="{message}")
        logging.basicConfig(handlers=[Intercept()], level=0, force=True)
        runtime.prepare(config)
        seen.clear()
        logger.info("once")
        tell(count=len([line for line in seen if "once" in line]))
        """,
        tmp_path,
    )
    assert told["count"] <= 2


def test_s5_files_survive_kill_9_and_what_json_cannot_hold(tmp_path: Path) -> None:
    """S5: vn.py empties the file first: 39 of 40 were torn. The apps bind save_json by name when they are imported."""
    script = """
    runtime.prepare(config)
    from vnpy_ctastrategy import engine
    from vnpy_riskmanager import engine as risk
    assert risk.save_json is engine.save_json
    engine.save_json("state.json", {"rows": 0})
    print("ready", flush=True)
    number = 0
    while True:
        number += 1
        engine.save_json("state.json", {"rows": number, "filler": ["x" * 100] * 2000})
    """
    path = tmp_path / ".vntrader" / "state.json"
    for _ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", PRELUDE + textwrap.dedent(script), str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        first = path.stat().st_ino
        while path.stat().st_ino == first:
            assert process.poll() is None
        process.kill()
        process.wait()
        process.stdout.close()
        assert json.loads(path.read_text())["rows"] >= 0
    saved = path.read_text()
    with pytest.raises(TypeError):
        replace_json(path, {"when": object()}, durable=False)
    assert path.read_text() == saved


def test_s5_a_torn_file_of_old_is_named(runtime_dir: Path) -> None:
    path = runtime_dir / ".vntrader" / "torn.json"
    path.write_text('{"a": ')
    with pytest.raises(ConfigError, match=str(path)):
        utility.load_json("torn.json")
    path.unlink()
    assert utility.load_json("torn.json") == {}
    utility.save_json("torn.json", {"名": 1})
    assert utility.load_json("torn.json") == {"名": 1}


@pytest.mark.parametrize("env", [{"TZ": "UTC"}, {"TZ": "CST-8"}, {"TZDIR": "/no/such/folder"}])
def test_s7_local_time_is_the_trading_time(tmp_path: Path, env: dict[str, str]) -> None:
    """S7: where it is not that of database.timezone, bars come back shifted. Without the system's zones: tzdata's."""
    told = run(
        """
        runtime.prepare(config)
        import time
        from datetime import datetime
        from vnpy.trader.database import DB_TZ
        tell(offset=time.localtime().tm_gmtoff, same=datetime.fromtimestamp(0) == datetime.fromtimestamp(0, DB_TZ)
             .replace(tzinfo=None), tz=os.environ["TZ"])
        """,
        tmp_path,
        env=env,
    )
    assert told == {"offset": 8 * 3600, "same": True, "tz": "Asia/Shanghai"}


@pytest.mark.parametrize("imported", [False, True])
def test_s12_a_host_package_called_strategies_hides_nothing(tmp_path: Path, imported: bool) -> None:
    """S12: TRADER_DIR is last on sys.path; a host package of that name means ModuleNotFoundError in a log line."""
    host = tmp_path / "host"
    (host / "strategies").mkdir(parents=True)
    (host / "strategies" / "__init__.py").write_text("OWNER = 'host'\n")
    (host / "strategies" / "theirs.py").write_text("HERE = True\n")
    (tmp_path / "data" / "strategies").mkdir(parents=True)
    (tmp_path / "data" / "strategies" / "mine.py").write_text(
        "from vnpy_ctastrategy import CtaTemplate\nclass MineStrategy(CtaTemplate):\n    pass\n"
    )
    told = run(
        f"""
        sys.path.insert(0, sys.argv[2])
        if {imported}:
            import strategies
        runtime.prepare(config)
        import importlib, strategies.theirs, strategies.mine
        importlib.reload(strategies.mine)
        tell(owner=strategies.OWNER, mine=strategies.mine.MineStrategy.__module__, theirs=strategies.theirs.HERE)
        """,
        tmp_path / "data",
        str(host),
    )
    assert told == {"owner": "host", "mine": "strategies.mine", "theirs": True}


def test_s12_a_module_called_strategies_is_named(tmp_path: Path) -> None:
    (tmp_path / "strategies.py").write_text("")
    told = run(
        """
        sys.path.insert(0, sys.argv[2])
        try: runtime.prepare(config)
        except Exception as error: tell(kind=type(error).__name__, text=str(error))
        """,
        tmp_path / "data",
        str(tmp_path),
    )
    assert told["kind"] == "ConfigError"
    assert "strategies.py" in told["text"]


@pytest.mark.parametrize("thread", [False, True])
def test_e14_signal_handlers_are_kept(tmp_path: Path, thread: bool) -> None:
    """E14: importing vnpy.rpc sets SIGINT to its default; in a thread that import raises ValueError."""
    told = run(
        f"""
        import signal, threading
        handler = lambda *args: None
        signal.signal(signal.SIGINT, handler); signal.signal(signal.SIGTERM, handler)
        if {thread}:
            worker = threading.Thread(target=runtime.prepare, args=(config,)); worker.start(); worker.join()
        else:
            runtime.prepare(config)
        import vnpy.rpc, vnpy_rpcservice
        tell(kept=[signal.getsignal(each) is handler for each in (signal.SIGINT, signal.SIGTERM)],
             restored=signal.signal.__module__)
        """,
        tmp_path,
    )
    assert told == {"kept": [True, True], "restored": "signal"}


def test_prepare_moves_a_process_that_has_imported_vnpy(runtime_dir: Path, tmp_path: Path) -> None:
    """As a test session does, or a host that imported vn.py first."""
    (tmp_path / "strategies").mkdir()
    (tmp_path / "strategies" / "moved.py").write_text("HERE = 1\n")
    told = run(
        """
        os.chdir(sys.argv[2]); (Path(sys.argv[2]) / ".vntrader").mkdir()
        os.environ["LANGUAGE"] = "en"
        from vnpy.trader import database, utility
        from vnpy.trader.engine import MainEngine
        from vnpy_ctastrategy import engine as cta
        runtime.prepare(config)
        from vnpy.trader.setting import SETTINGS
        main = MainEngine(); main.close()
        import strategies.moved
        cta.save_json("moved.json", {})
        tell(cwd=os.getcwd(), zone=[str(database.DB_TZ), str(cta.DB_TZ), SETTINGS["database.timezone"]],
             saved=(config.data_dir / ".vntrader" / "moved.json").exists(), patched=cta.save_json.__module__)
        """,
        tmp_path,
        str(runtime_dir / "other") if (runtime_dir / "other").mkdir() is None else "",
        env={"TZ": "UTC"},
    )
    assert told["cwd"] == str(tmp_path)
    assert told["zone"] == ["Asia/Shanghai"] * 3
    assert told["saved"]
    assert told["patched"] == "vnpy_core.engine.runtime"


def test_e16_a_second_start_is_refused_and_names_the_first(tmp_path: Path) -> None:
    """E16: two processes on one account and one set of files."""
    first = runtime.DataDirLock(tmp_path, url="http://127.0.0.1:8006")
    assert runtime.read_lock_holder(tmp_path) is None
    first.acquire()
    first.acquire()
    with pytest.raises(AlreadyRunning) as caught:
        runtime.DataDirLock(tmp_path).acquire()
    assert str(os.getpid()) in caught.value.detail
    assert "http://127.0.0.1:8006" in caught.value.detail
    assert "VNPY_DATA_DIR" in caught.value.detail
    assert caught.value.extra == {"pid": os.getpid(), "url": "http://127.0.0.1:8006"}
    first.publish("http://127.0.0.1:9")
    holder = runtime.read_lock_holder(tmp_path)
    assert holder is not None
    assert (holder.pid, holder.url) == (os.getpid(), "http://127.0.0.1:9")
    first.release()
    first.release()
    assert runtime.read_lock_holder(tmp_path) is None
    with runtime.DataDirLock(tmp_path):
        assert runtime.read_lock_holder(tmp_path) is not None


def test_e16_the_lock_of_a_killed_process_is_no_obstacle(tmp_path: Path) -> None:
    script = """
    lock = runtime.DataDirLock(config.data_dir, url="http://x"); lock.acquire()
    print("held", flush=True); sys.stdin.read()
    """
    process = subprocess.Popen(
        [sys.executable, "-c", PRELUDE + textwrap.dedent(script), str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == "held\n"
    with pytest.raises(AlreadyRunning, match=str(process.pid)):
        runtime.DataDirLock(tmp_path).acquire()
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    process.stdin.close()
    assert (tmp_path / "vnpy-core.lock").read_text()
    assert runtime.read_lock_holder(tmp_path) is None
    with runtime.DataDirLock(tmp_path, url="http://y"):
        holder = runtime.read_lock_holder(tmp_path)
        assert holder is not None
        assert holder.url == "http://y"


def test_a_new_data_folder_is_its_owners_alone(tmp_path: Path) -> None:
    with runtime.DataDirLock(tmp_path / "above" / "data"):
        assert (tmp_path / "above" / "data").stat().st_mode & 0o777 == 0o700
