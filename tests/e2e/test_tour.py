"""What a new user does in the first five minutes, and what is still there after Ctrl-C."""

import re
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.process import ADMIN_KEY, ServiceProcess, eventually
from tests.e2e.stream import Stream

Start = Callable[..., ServiceProcess]


def test_five_minutes(service: Start) -> None:
    began = time.monotonic()
    with service() as core:
        printed = eventually(lambda: (t := core.printed()) and "data folder" in t and t, 15)
        assert time.monotonic() - began < 10
        for part in (f"{core.url}/api/v1", f"{core.url}/docs", str(core.data_dir), "SIM CONNECTED", "TRADING"):
            assert part in printed

        metrics = core.http.get("/metrics").text.splitlines()
        assert 'vnpy_core_sink_healthy{sink="sql"} 1.0' in metrics
        assert 'vnpy_core_gateway_state{gateway="SIM",state="CONNECTED"} 1.0' in metrics

        gateways = core.get("/api/v1/trading/gateways")["gateways"]
        assert [(g["gateway_name"], g["state"]) for g in gateways] == [("SIM", "CONNECTED")]
        contracts = core.get("/api/v1/trading/contracts")["contracts"]
        contract = next(c for c in contracts if c["product"] == "FUTURES")
        assert core.get("/api/v1/trading/accounts")["accounts"][0]["balance"] > 0

        with Stream(core.url, f"tick.{contract['symbol']}", "order", "trade", "position", "strategy") as stream:
            core.call("POST", "/api/v1/trading/subscriptions", vt_symbols=[contract["vt_symbol"], "au2606.SHFE"])
            tick = stream.wait_for(lambda e: e["topic"].startswith("tick."))["data"]
            assert tick["vt_symbol"] == contract["vt_symbol"]
            assert tick["bid_price_5"] < tick["bid_price_1"] < tick["ask_price_1"] < tick["ask_price_5"]
            assert core.get("/api/v1/trading/ticks")["ticks"]

            far = contract["pricetick"] * round(tick["bid_price_1"] * 0.97 / contract["pricetick"])
            order = order_of(contract, price=far, volume=1)
            resting = core.call("POST", "/api/v1/trading/orders", status=201, **order)
            assert resting["order"]["status"] in ("SUBMITTING", "NOTTRADED")
            core.call("DELETE", f"/api/v1/trading/orders/{resting['vt_orderid']}")
            stream.wait_for(
                lambda e: (
                    e["topic"] == "order.updated"
                    and e["data"]["vt_orderid"] == resting["vt_orderid"]
                    and e["data"]["status"] == "CANCELLED"
                )
            )

            taking = order | {"type": "MARKET", "price": 0, "client_order_id": "my-first"}
            bought = core.call("POST", "/api/v1/trading/orders", status=201, **taking)
            trade = stream.wait_for(
                lambda e: e["topic"] == "trade.executed" and e["data"]["vt_orderid"] == bought["vt_orderid"]
            )
            assert trade["seq"] > 0
            done = stream.wait_for(
                lambda e: (
                    e["topic"] == "order.updated"
                    and e["data"]["vt_orderid"] == bought["vt_orderid"]
                    and e["data"]["status"] == "ALLTRADED"
                )
            )
            assert done["data"]["client_order_id"] == "my-first"

        strategies = core.get("/api/v1/strategies")["strategies"]
        name = strategies[0]["strategy_name"]
        core.call("POST", f"/api/v1/strategies/{name}/stop")
        parameters = core.get(f"/api/v1/strategies/{name}/parameters")["parameters"]
        number = next(key for key, value in parameters.items() if isinstance(value, int) and value > 1)
        core.call("PUT", f"/api/v1/strategies/{name}/parameters", parameters={number: parameters[number] + 1})
        core.call("POST", f"/api/v1/strategies/{name}/start")
        assert core.get(f"/api/v1/strategies/{name}")["trading"] is True
        bars = download(core, contract["vt_symbol"])

        before = snapshot(core)
        assert core.stop() == 0
        assert "leaked" not in core.printed()  # a page of it is what a binding prints of objects nobody freed

    with service() as core:
        after = eventually(lambda: (s := snapshot(core))["strategies"][name]["trading"] and s, 15)
        assert eventually(lambda: core.get("/api/v1/trading/ticks", vt_symbol="au2606.SHFE")["ticks"])
        assert after["orders"].items() >= before["orders"].items()
        assert after["trades"].items() >= before["trades"].items()
        assert after["positions"].keys() == before["positions"].keys()
        assert core.get("/api/v1/data/bars", vt_symbol=contract["vt_symbol"], end=bars[-1]["datetime"])["bars"] == bars
        assert after["strategies"][name]["parameters"] == before["strategies"][name]["parameters"]
        rows = sqlite3.connect(f"file:{core.data_dir / 'vnpy-core.db'}?mode=ro", uri=True)
        assert rows.execute("select count(*) from orders").fetchone()[0] >= len(before["orders"])
        again = core.call(
            "POST", "/api/v1/trading/orders", status=409,
            **order_of(contract, price=far, volume=1, client_order_id="my-first"),
        )  # fmt: skip
        assert again["code"] == "duplicate_client_order_id"


def download(core: ServiceProcess, vt_symbol: str) -> list[dict[str, Any]]:
    """Have the bars of the last two hours stored, and return them as they are read."""
    start = datetime.now(UTC) - timedelta(hours=2)
    stored = core.call("POST", "/api/v1/data/downloads", vt_symbol=vt_symbol, start=start.isoformat())
    assert stored["source"] == "SIM"
    assert 110 <= stored["count"] <= 121
    bars: list[dict[str, Any]] = core.get("/api/v1/data/bars", vt_symbol=vt_symbol, end=stored["end"])["bars"]
    assert len(bars) == stored["count"]
    assert (bars[0]["datetime"], bars[-1]["datetime"]) == (stored["start"], stored["end"])
    assert all(bar["low_price"] <= bar["close_price"] <= bar["high_price"] for bar in bars)
    overview = core.get("/api/v1/data/overview")["overview"]
    assert (vt_symbol, "MINUTE") in {(series["vt_symbol"], series["interval"]) for series in overview}
    nobody = core.call(
        "POST", "/api/v1/data/downloads", status=404, vt_symbol="nothing.SHFE", start=start.isoformat()
    )  # fmt: skip
    assert nobody["code"] == "unknown_contract"
    assert "datafeed.name" in nobody["detail"]
    return bars


def order_of(contract: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "gateway_name": contract["gateway_name"],
        "symbol": contract["symbol"],
        "exchange": contract["exchange"],
        "direction": "LONG",
        "offset": "NONE" if contract.get("net_position") else "OPEN",
        "type": "LIMIT",
    } | more


def snapshot(core: ServiceProcess) -> dict[str, dict[str, Any]]:
    lists = {
        "orders": ("trading/orders", "vt_orderid"),
        "trades": ("trading/trades", "vt_tradeid"),
        "positions": ("trading/positions", "vt_positionid"),
        "strategies": ("strategies", "strategy_name"),
    }
    return {name: {row[key]: row for row in core.get(f"/api/v1/{path}")[name]} for name, (path, key) in lists.items()}


@pytest.mark.parametrize("page", ["README.md", "README.zh.md"])
def test_what_the_readme_trades_can_be_traded(service: Start, page: str) -> None:
    """One lot at the price a strategy sends, and the limits of risk control as they are and as the page sets them."""
    text = (Path(__file__).resolve().parents[2] / page).read_text(encoding="utf-8")
    named = set(re.findall(r'"vt_symbol(?:s": \[|": )"([^"]+)"', text))
    assert named
    (limits,) = re.findall(r"```json\n(.+)\n```", text)
    with service() as core:
        send_one_lot(core, named)
        assert core.stop() == 0
        (core.data_dir / ".vntrader" / "risk_manager_setting.json").write_text(limits, encoding="utf-8")
        send_one_lot(core.start(), {"IF2606.CFFEX", "USDJPY.IDEALPRO"})


def send_one_lot(core: ServiceProcess, vt_symbols: set[str]) -> None:
    core.call("POST", "/api/v1/trading/subscriptions", vt_symbols=sorted(vt_symbols))
    contracts = {c["vt_symbol"]: c for c in core.get("/api/v1/trading/contracts")["contracts"]}
    for vt_symbol in vt_symbols:
        ticks = eventually(lambda: core.get("/api/v1/trading/ticks", vt_symbol=vt_symbol)["ticks"], 10)  # noqa: B023
        volume = max(1.0, contracts[vt_symbol]["min_volume"])
        order = order_of(contracts[vt_symbol], price=ticks[0]["ask_price_1"], volume=volume)
        core.call("POST", "/api/v1/trading/orders", status=201, **order)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("page", ["README.md", "README.zh.md"])
def test_what_the_readme_asks_is_answered(service: Start, page: str) -> None:
    """Each command that asks the service, by bash and curl as it stands there; but for port, day and order number."""
    text = (Path(__file__).resolve().parents[2] / page).read_text(encoding="utf-8")
    (alias,) = re.findall(r"^\$ alias ask='(.+)'$", text, re.MULTILINE)
    shown = re.findall(r"^\$ (.+ -d '\{\n(?: .*\n)*? .*\}'|.+)$", text, re.MULTILINE)
    commands = [command for command in shown if "localhost:8006" in command]
    assert len(commands) >= 10
    the_day_before = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    vt_orderid = ""
    with service() as core:
        eventually(lambda: "TRADING" in core.printed(), 15, "everything runs that is to run")
        environment = core.environment | {"KEY": ADMIN_KEY}
        for command in commands:
            line = command.replace("localhost:8006", core.url.removeprefix("http://"))
            line = re.sub(r'"start": "[^"]+"', f'"start": "{the_day_before}"', line)
            line = re.sub(r"SIM\.\d{6,}", vt_orderid, line)
            script = f'ask() {{ {alias} --fail-with-body "$@"; }}\nset -e -o pipefail\n{line}\necho "$ticket"'
            answer = subprocess.run(
                ["bash", "-c", script], env=environment, capture_output=True, text=True, timeout=60, check=False
            )
            assert answer.returncode == 0, f"{line}\n{answer.stdout}{answer.stderr}"
            assert answer.stdout.strip(), line
            assert "urn:vnpy-core:problem" not in answer.stdout, f"{line}\n{answer.stdout}"
            found = re.search(r'"vt_orderid":"([^"]+)"', answer.stdout)
            vt_orderid = found.group(1) if found else vt_orderid


def test_an_idle_service_takes_little_memory(service: Start) -> None:
    with service() as core:
        eventually(lambda: "TRADING" in core.printed(), 15, "everything runs that is to run")
        assert core.process is not None
        status = Path(f"/proc/{core.process.pid}/status").read_text(encoding="ascii")
        (kilobytes,) = re.findall(r"VmRSS:\s+(\d+) kB", status)
        assert int(kilobytes) / 1000 < 300


def test_a_second_start_on_the_same_folder_is_refused(service: Start) -> None:
    with service() as core:
        assert core.process is not None
        for port in ("0", core.url.rpartition(":")[2]):
            second = core.run("run", "--port", port)
            assert second.returncode == 1
            assert str(core.process.pid) in second.stderr
            assert core.url in second.stderr
            assert "Traceback" not in second.stderr
        assert core.get("/health/live")["alive"] is True


def test_a_taken_port_is_refused_and_a_second_instance_runs_elsewhere(service: Start, tmp_path: Path) -> None:
    with service() as first, service(folder="other") as second:
        assert first.url != second.url
        port = first.url.rpartition(":")[2]
        third = ServiceProcess(tmp_path / "third")
        refused = third.run("run", "--port", port)
        third.http.close()
        assert refused.returncode == 1
        assert port in refused.stderr
        assert "VNPY_CORE_SERVICE" in refused.stderr
        assert "Traceback" not in refused.stderr


def test_an_open_address_is_refused(tmp_path: Path) -> None:
    core = ServiceProcess(tmp_path / "data")
    refused = core.run("run", "--host", "0.0.0.0")
    core.http.close()
    assert refused.returncode == 1
    assert "0.0.0.0" in refused.stderr


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    core = ServiceProcess(tmp_path / "data")
    refused = core.run("run", "--data-dir", str(tmp_path / "file" / "below"))
    core.http.close()
    assert refused.returncode == 1
    assert "VNPY_DATA_DIR" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_what_is_wrong_is_printed_as_it_is(tmp_path: Path) -> None:
    """Neither broken into lines of 80 characters, nor with what stands in brackets left out."""
    core = ServiceProcess(tmp_path / "data", 'demo = false\n[gateways.A]\nclass = "vnpy_core.engine.sim.[a]Gateway"\n')
    core.environment["COLUMNS"] = "60"
    with core:
        (gateway,) = core.get("/api/v1/trading/gateways")["gateways"]
        assert "[a]" in gateway["detail"]
        assert len(gateway["detail"]) > 60
        eventually(lambda: gateway["detail"] in core.printed(), 15, "the reason is printed")
        core.environment["COLUMNS"] = "400"
        assert gateway["detail"] in core.run("check").stdout


def test_init_and_check(tmp_path: Path) -> None:
    core = ServiceProcess(tmp_path / "data", "# empty\n")
    try:
        core.config.unlink()
        assert core.run("init").returncode == 0
        again = core.run("init")
        assert again.returncode == 1
        assert "--force" in again.stderr
        assert "Internal" not in again.stderr
        good = core.run("check")
        assert good.returncode == 0, good.stdout + good.stderr
        core.config.write_text('[gateways.X]\nclass = "vnpy_nowhere.XGateway"\n')
        bad = core.run("check")
        assert bad.returncode == 1
        assert "vnpy_nowhere" in bad.stdout
        core.config.write_text("[service]\nprot = 1\n")
        misspelt = core.run("check")
        assert misspelt.returncode == 1
        assert "port" in misspelt.stderr
    finally:
        core.http.close()


def test_bad_rows_of_an_import_are_named(tmp_path: Path) -> None:
    core = ServiceProcess(tmp_path / "data")
    core.http.close()
    file = tmp_path / "bars.csv"
    rows = ["09:30:00,1,2,0.5,1.5,10", "09:31:00,1,[x],0.5,1.5,10", "09:32:00,,2,0.5,1.5,10"]
    rows += ["09:33:00,1,2,0.5,1.5,10"] * 2
    file.write_text("datetime,open,high,low,close,volume\n" + "".join(f"2026-01-05 {row}\n" for row in rows))
    arguments = ("data", "import", str(file), "--symbol", "rb2605.SHFE", "--interval", "1m", "--timezone", "UTC")

    refused = core.run(*arguments)
    assert refused.returncode == 1
    for words in ("2 of the 5 rows", "row 3: high_price [x] is not a number", "row 4: open_price is missing"):
        assert words in refused.stderr
    assert "Traceback" not in refused.stderr
    export = ("data", "export", str(tmp_path / "out.csv"), "--symbol", "rb2605.SHFE", "--interval", "1m")
    assert core.run(*export).returncode == 1

    skipped = core.run(*arguments, "--skip-bad-rows")
    assert skipped.returncode == 0, skipped.stderr
    for words in ("2 rows of rb2605.SHFE", "1 rows were there twice", "row 3: high_price [x] is not a number"):
        assert words in skipped.stdout
    assert core.run(*export).returncode == 0


def test_version(tmp_path: Path) -> None:
    core = ServiceProcess(tmp_path / "data")
    printed = core.run("version").stdout
    core.http.close()
    assert "vnpy 4.5.0" in printed
