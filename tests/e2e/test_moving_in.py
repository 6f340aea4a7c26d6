"""A vn.py user moves in with one command, trades on here, and could move out again."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.e2e.process import ServiceProcess, eventually

Start = Callable[..., ServiceProcess]

BUYERS = '''
from vnpy_portfoliostrategy import StrategyTemplate


class Buyers(StrategyTemplate):
    """Keeps what it is told to keep of each symbol."""

    lots = 1
    parameters = ["lots"]
    rounds = 0
    variables = ["rounds"]

    def on_init(self):
        self.rounds += 1

    def on_bars(self, bars): ...

    def on_tick(self, tick):
        if not self.active_orderids and self.pos_data[tick.vt_symbol] < self.lots:
            self.buy(tick.vt_symbol, tick.ask_price_1 + 5, self.lots - self.pos_data[tick.vt_symbol])
'''
SYMBOLS = ["rb2605.SHFE", "hc2605.SHFE"]
SETTINGS = {
    "cta_strategy_setting.json": {
        "old": {"class_name": "DoubleMaStrategy", "vt_symbol": "rb2605.SHFE", "setting": {"fast_window": 7}}
    },
    "portfolio_strategy_setting.json": {
        "both": {"class_name": "Buyers", "vt_symbols": SYMBOLS, "setting": {"lots": 3}}
    },
}
DATA = {
    "cta_strategy_data.json": {"old": {"pos": 2, "fast_ma0": 1.5, "fast_ma1": 0.0, "slow_ma0": 0.0, "slow_ma1": 0.0}},
    "portfolio_strategy_data.json": {"both": {"pos_data": {"rb2605.SHFE": 1}, "target_data": {}, "rounds": 4}},
}


def written(folder: Path) -> dict[str, Any]:
    files = (folder / ".vntrader").glob("*_strategy_*.json")
    return {path.name: json.loads(path.read_text()) for path in files}


def test_moving_in_trading_on_and_moving_out(service: Start, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    (theirs / ".vntrader").mkdir(parents=True)
    (theirs / "strategies").mkdir()
    (theirs / "strategies" / "buyers.py").write_text(BUYERS)
    for name, content in (SETTINGS | DATA).items():
        (theirs / ".vntrader" / name).write_text(json.dumps(content))

    core = ServiceProcess(tmp_path / "data", "demo = false\n")
    core.http.close()
    assert core.run("strategies", "import", str(theirs), "--dry-run").returncode == 0
    assert not (core.data_dir / "strategies" / "buyers.py").exists()
    moved = core.run("strategies", "import", str(theirs))
    assert moved.returncode == 0, moved.stdout + moved.stderr
    back = tmp_path / "back"
    assert core.run("strategies", "export", str(back)).returncode == 0
    assert written(back) == SETTINGS | DATA == written(theirs)
    assert (back / "strategies" / "buyers.py").read_text() == BUYERS

    with service() as core:
        for command in ("import", "export"):
            refused = core.run("strategies", command, str(theirs))
            assert refused.returncode == 1
            assert "stop it" in refused.stderr
        told = {each["strategy_name"]: each for each in core.get("/api/v1/strategies")["strategies"]}
        assert told["old"]["pos"] == 2
        assert (told["both"]["engine"], told["both"]["vt_symbols"]) == ("PortfolioStrategy", SYMBOLS)
        assert told["both"]["positions"] == {"rb2605.SHFE": 1, "hc2605.SHFE": 0}
        core.call("POST", "/api/v1/strategies/both/init")
        core.call("POST", "/api/v1/strategies/both/start")
        eventually(lambda: positions(core) == {"rb2605.SHFE": 3, "hc2605.SHFE": 3}, 30, "it has bought")
        core.kill()

    with service() as core:
        both = eventually(lambda: (found := strategy(core))["trading"] and found, 30, "it trades again")
        assert both["positions"] == {"rb2605.SHFE": 3, "hc2605.SHFE": 3}
        assert both["variables"]["rounds"] >= 4
        bought: dict[str, float] = {}
        orders = {order["vt_orderid"]: order for order in core.get("/api/v1/trading/orders")["orders"]}
        for trade in core.get("/api/v1/trading/trades")["trades"]:
            assert orders[trade["vt_orderid"]]["reference"] == "PortfolioStrategy_both"
            bought[trade["vt_symbol"]] = bought.get(trade["vt_symbol"], 0) + trade["volume"]
        assert bought == {"rb2605.SHFE": 2, "hc2605.SHFE": 3}  # one was held before it moved in

    assert core.run("strategies", "export", str(tmp_path / "out")).returncode == 0
    out = written(tmp_path / "out")
    assert out["portfolio_strategy_data.json"]["both"]["pos_data"] == {"rb2605.SHFE": 3, "hc2605.SHFE": 3}
    assert {name: out[name] for name in SETTINGS} == SETTINGS
    assert core.run("strategies", "export", str(back)).returncode == 1  # the variables there are different now


def strategy(core: ServiceProcess) -> Any:
    return core.get("/api/v1/strategies/both")


def positions(core: ServiceProcess) -> Any:
    return strategy(core)["positions"]
