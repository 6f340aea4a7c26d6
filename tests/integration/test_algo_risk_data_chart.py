"""The other apps with real engines and threads: each point of vn.py's that they absorb (A1 … H1 in brackets)."""

import json
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from vnpy.trader.app import BaseApp
from vnpy.trader.constant import Direction, Exchange, Interval, Offset, Status
from vnpy.trader.engine import BaseEngine
from vnpy_algotrading.base import EVENT_ALGO_LOG, EVENT_ALGO_UPDATE
from vnpy_algotrading.template import AlgoTemplate
from vnpy_riskmanager.base import EVENT_RISK_NOTIFY, EVENT_RISK_RULE

from tests.integration.engine_room import NOON, SYMBOL, WAIT_S, ZONE, Room, bar, engine_room, limit_order
from vnpy_core.engine import translate
from vnpy_core.engine.algo import MAX_REFUSALS, CoreAlgoApp, CoreAlgoEngine
from vnpy_core.engine.chart import CoreChartApp, CoreChartEngine
from vnpy_core.engine.data import CoreDataApp, CoreDataEngine
from vnpy_core.engine.risk import CoreRiskApp, CoreRiskEngine
from vnpy_core.errors import ConfigError, Conflict, DataError, Invalid, NotFound, Unavailable
from vnpy_core.models import RiskRejection

LONG, OPEN = Direction.LONG, Offset.OPEN


@pytest.fixture
def room(tmp_path: Path, runtime_dir: Path) -> Iterator[Room]:
    with engine_room(tmp_path, runtime_dir) as room:
        room.watch(EVENT_ALGO_UPDATE, EVENT_ALGO_LOG, EVENT_RISK_RULE, EVENT_RISK_NOTIFY)
        yield room


# -- algos


class Bomb(AlgoTemplate):
    """Buys at its first tick and raises where its setting says."""

    default_setting = {"where": "", "boom": 1.0}  # noqa: RUF012
    variables = ["vt_orderid"]  # noqa: RUF012

    def __init__(self, engine: Any, name: str, vt_symbol: str, *args: Any) -> None:
        super().__init__(engine, name, vt_symbol, *args)
        self.where: str = args[-1]["where"]
        self.boom: float = args[-1]["boom"]
        self.vt_orderid = ""
        self.put_event()
        self.raise_in("init")

    def raise_in(self, place: str) -> None:
        if self.where == place:
            raise ZeroDivisionError(f"boom in {place}")
        if self.where == f"exit {place}":
            raise SystemExit(place)

    def on_tick(self, tick: Any) -> None:
        if not self.vt_orderid:
            self.vt_orderid = self.buy(self.price, 1, offset=self.offset)
        self.raise_in("tick")

    def on_timer(self) -> None:
        self.raise_in("timer")

    def on_trade(self, trade: Any) -> None:
        self.raise_in("trade")

    def on_order(self, order: Any) -> None:
        self.raise_in("order")


@pytest.fixture
def algo(room: Room) -> CoreAlgoEngine:
    room.start()
    algo = room.add(CoreAlgoApp, CoreAlgoEngine)
    algo.init_engine()
    algo.add_algo_template(Bomb)
    for kind in algo.algo_templates.values():
        kind._count = 0
    room.connect()
    return algo


def start_algo(
    algo: CoreAlgoEngine, template: str = "Bomb", direction: Any = LONG, offset: Any = OPEN,
    price: Any = 3500, volume: Any = 3, **setting: Any,
) -> str:  # fmt: skip
    return algo.start_algo(template, SYMBOL, direction, offset, price, volume, setting)


def told(room: Room, name: str) -> Any:
    """Return the last that was told of an algo, as clients get it."""
    return translate.algo([data for data in room.events[EVENT_ALGO_UPDATE] if data["algo_name"] == name][-1])


@pytest.mark.parametrize("where", ["tick", "timer", "trade", "order", "exit tick"])
def test_algo_that_raises_is_stopped_alone(room: Room, algo: CoreAlgoEngine, where: str) -> None:  # A1
    bad, good = start_algo(algo, where=where), start_algo(algo)

    room.tick(3500)
    room.timer()
    for order in room.gateway.orders.values():
        room.gateway.fill(order)
    room.settle()

    assert list(algo.algos) == [good]
    assert where.rpartition(" ")[2] in algo.failures[bad]
    last = told(room, bad)
    assert last.status == "STOPPED"
    assert "Traceback" in (last.error or "")
    assert told(room, good).status == "RUNNING"
    assert room.event_engine.stats().errors == 0


def test_gateway_that_raises_stops_the_algo_alone(room: Room, algo: CoreAlgoEngine) -> None:  # A1
    name = start_algo(algo)
    room.gateway.raises = OSError("the line broke")

    room.tick(3500, 3501)

    assert "the line broke" in algo.failures[name]
    assert room.event_engine.stats().errors == 0


def test_failed_algo_leaves_no_order_working(room: Room, algo: CoreAlgoEngine) -> None:  # A1
    start_algo(algo, where="order")
    room.tick(3500)
    (order,) = room.gateway.orders.values()
    assert order.status is Status.CANCELLED


def test_commands_from_another_thread_while_ticks_flow(room: Room, algo: CoreAlgoEngine) -> None:  # A2
    stop = threading.Event()

    def feed() -> None:
        while not stop.is_set():
            room.gateway.tick(3600)
            assert room.event_engine.drain(WAIT_S)

    feeder = threading.Thread(target=feed)
    feeder.start()
    for _ in range(200):
        algo.stop_algo(start_algo(algo, "SniperAlgo", price=3000))
    stop.set()
    feeder.join(WAIT_S)

    assert room.event_engine.is_alive()
    assert room.event_engine.stats().errors == 0
    assert algo.algos == {}
    assert algo.symbol_algo_map[SYMBOL] == set()


@pytest.mark.parametrize(
    ("field", "given"),
    [
        ("direction", {"direction": "LONG"}),  # A3: with vn.py's, this algo would sell
        ("direction", {"direction": Direction.NET}),
        ("offset", {"offset": "OPEN"}),
        ("price", {"price": "3500"}),
        ("price", {"price": float("nan")}),
        ("volume", {"volume": 0}),
        ("volume", {"volume": 0.5}),
        ("volume", {"volume": True}),
        ("tiem", {"template": "TwapAlgo", "tiem": 600}),  # A4
        ("time", {"template": "TwapAlgo", "time": 0, "interval": 1}),
        ("time", {"template": "TwapAlgo", "time": "600"}),
        ("interval", {"template": "TwapAlgo", "interval": 0}),
        ("interval", {"template": "TwapAlgo", "interval": 61, "time": 60}),
        ("interval", {"template": "TwapAlgo", "interval": 1, "time": 600}),
        ("display_volume", {"template": "IcebergAlgo"}),
        ("interval", {"template": "IcebergAlgo", "display_volume": 1, "interval": -1}),
        ("min_volume", {"template": "BestLimitAlgo", "max_volume": 2}),
        ("max_volume", {"template": "BestLimitAlgo", "min_volume": 2, "max_volume": 1}),
        ("price_add", {"template": "StopAlgo", "price_add": None}),
    ],
)
def test_what_cannot_run_is_refused(room: Room, algo: CoreAlgoEngine, field: str, given: dict[str, Any]) -> None:
    with pytest.raises(Invalid) as caught:
        start_algo(algo, **given)

    assert [error["field"] for error in caught.value.extra["errors"]] == [field]
    room.tick(3500)
    assert algo.algos == {}
    assert room.gateway.orders == {}
    assert room.events[EVENT_ALGO_UPDATE] == []


def test_unknown_template_contract_and_algo(algo: CoreAlgoEngine) -> None:
    with pytest.raises(NotFound, match="did you mean 'TwapAlgo'"):
        start_algo(algo, "TwapAlg")
    with pytest.raises(NotFound, match="contract"):
        algo.start_algo("TwapAlgo", "cu2505.SHFE", LONG, OPEN, 1, 1, {})
    for command in (algo.pause_algo, algo.resume_algo, algo.stop_algo):
        with pytest.raises(NotFound):
            command("TwapAlgo_7")


def test_constructor_that_raises_leaves_nothing(room: Room, algo: CoreAlgoEngine) -> None:
    with pytest.raises(Conflict, match="boom in init") as caught:
        start_algo(algo, where="init")
    assert "Traceback" in caught.value.extra["traceback"]
    room.settle()
    assert algo.algos == {}
    assert room.events[EVENT_ALGO_UPDATE] == []


@pytest.mark.parametrize(
    ("template", "setting"),
    [
        ("TwapAlgo", {"time": 30, "interval": 10}),
        ("IcebergAlgo", {"display_volume": 1}),
        ("SniperAlgo", {}),
        ("StopAlgo", {}),
        ("BestLimitAlgo", {"min_volume": 1, "max_volume": 2.0}),
    ],
)
def test_valid_settings_run(room: Room, algo: CoreAlgoEngine, template: str, setting: dict[str, Any]) -> None:
    name = start_algo(algo, template, **setting)
    room.tick(3500)
    found = told(room, name)
    assert (found.status, found.template, found.direction) == ("RUNNING", template, "LONG")
    algo.stop_algo(name)
    room.settle()
    assert told(room, name).status == "STOPPED"


def test_pause_and_resume(room: Room, algo: CoreAlgoEngine) -> None:
    name = start_algo(algo)
    algo.pause_algo(name)
    room.tick(3500)
    assert room.gateway.orders == {}
    algo.resume_algo(name)
    room.tick(3500)
    assert len(room.gateway.orders) == 1


def test_order_sent_just_before_the_stop_is_cancelled(room: Room, algo: CoreAlgoEngine) -> None:
    name = start_algo(algo)

    def send_and_stop() -> None:
        algo.algos[name].on_tick(None)
        algo.stop_algo(name)  # the order's first event is still queued

    room.on_events(send_and_stop)
    room.settle()

    (order,) = room.gateway.orders.values()
    assert order.status is Status.CANCELLED


def test_fill_that_is_told_after_the_stop_counts_once(room: Room, algo: CoreAlgoEngine) -> None:
    name = start_algo(algo)
    room.tick(3500)
    (order,) = room.gateway.orders.values()
    algo.stop_algo(name)

    room.gateway.fill(order)
    room.gateway.fill(order)
    room.settle()

    assert (told(room, name).traded, told(room, name).left, told(room, name).traded_price) == (1, 2, 3500)


def test_refused_orders_pause_the_algo(room: Room, algo: CoreAlgoEngine) -> None:
    risk = room.add(CoreRiskApp, CoreRiskEngine)
    risk.update_rule_setting("OrderSizeRule", {"order_volume_limit": 0})
    name = start_algo(algo)

    room.tick(*[3500] * (MAX_REFUSALS + 5))

    assert told(room, name).status == "PAUSED"
    assert len(room.events[EVENT_RISK_NOTIFY]) == MAX_REFUSALS


def test_algo_log_reaches_the_log(
    room: Room, algo: CoreAlgoEngine, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        start_algo(algo)
        room.settle()
    assert "AlgoTrading" in {getattr(record, "source", None) for record in caplog.records}


def test_names_of_earlier_runs_are_not_given_again(algo: CoreAlgoEngine) -> None:
    algo.reserve_names(["Bomb_41", "Bomb_7", "Gone_3", "Bomb_x", "odd"])
    assert start_algo(algo) == "Bomb_42"


def test_algo_goes_on_after_a_reconnect(room: Room, algo: CoreAlgoEngine) -> None:
    start_algo(algo)
    room.gateway.subscribed.clear()
    room.connect()
    assert room.gateway.subscribed == [SYMBOL]


def test_algos_are_stopped_at_close(room: Room, algo: CoreAlgoEngine) -> None:
    start_algo(algo)
    room.tick(3500)
    room.stop()
    (order,) = room.gateway.orders.values()
    assert order.status is Status.CANCELLED


# -- risk


@pytest.fixture
def risk(room: Room) -> CoreRiskEngine:
    return start_risk(room)


def start_risk(room: Room) -> CoreRiskEngine:
    room.start()
    risk = room.add(CoreRiskApp, CoreRiskEngine)
    room.connect()
    return risk


def send(room: Room, **order: Any) -> str:
    return room.on_events(room.main_engine.send_order, limit_order(**order), "PROBE")


def shown(room: Room, class_name: str) -> Any:
    return translate.risk_rule([d for d in room.events[EVENT_RISK_RULE] if d["class_name"] == class_name][-1])


RULES = '''
from vnpy_riskmanager.template import RuleTemplate


class NightRule(RuleTemplate):
    name = "night"
    parameters = {"limit": "limit"}
    variables = {"seen": "seen"}
    reset_daily = True

    def on_init(self):
        self.limit = 5
        self.seen = 0

    def check_allowed(self, req, gateway_name):
        self.seen += 1
        return self.seen <= self.limit


class ErrorRule(RuleTemplate):
    def check_allowed(self, req, gateway_name):
        if req.reference == "raise":
            raise KeyError("boom in check_allowed")
        return True

    def on_order(self, order):
        raise KeyError("boom in on_order")


class NoConstructorRule(RuleTemplate):
    def on_init(self):
        raise OSError("boom in on_init")


class WorkRule:
    """Not one: its name only sounds so."""
'''


def test_broken_rule_file_stops_nothing(room: Room) -> None:  # R1
    rules = room.folder / "rules"
    (rules / "broken.py").write_text("raise SystemExit('gone')")
    (rules / "mine.py").write_text(RULES)

    risk = start_risk(room)

    assert "gone" in risk.broken_rules["rules.broken"]
    assert "boom in on_init" in risk.broken_rules["NoConstructorRule"]
    names = {type(rule).__name__ for rule in risk.rules.values()}
    assert {"OrderSizeRule", "DailyLimitRule", "NightRule", "ErrorRule"} <= names
    assert "WorkRule" not in names
    assert send(room)


def test_rule_that_raises_refuses_and_harms_no_other(room: Room) -> None:
    (room.folder / "rules" / "mine.py").write_text(RULES)
    risk = start_risk(room)
    order = limit_order()
    order.reference = "raise"

    assert room.on_events(room.main_engine.send_order, order, "PROBE") == ""
    assert risk.last_refusal == "ErrorRule: it raised KeyError('boom in check_allowed')"
    assert send(room)
    room.settle()
    assert risk.get_rule_data("ActiveOrderRule")["variables"] == {"active_order_count": 1}
    assert room.event_engine.stats().errors == 0


def test_refusal_says_why(room: Room, risk: CoreRiskEngine) -> None:
    assert send(room, volume=501) == ""
    assert risk.last_refusal == "OrderSizeRule: volume 501 is above the limit of 500"
    room.settle()
    rejection = room.events[EVENT_RISK_NOTIFY][-1]
    assert isinstance(rejection, RiskRejection)
    assert (rejection.vt_symbol, rejection.gateway_name) == (SYMBOL, "PROBE")
    assert rejection.reason == risk.last_refusal

    assert send(room)
    assert risk.last_refusal is None


def test_what_cannot_be_sent_anyway_does_not_count(room: Room, risk: CoreRiskEngine) -> None:
    room.main_engine.hold_orders("the disk is full", by="journal")
    for _ in range(20):
        assert send(room) == ""
        assert risk.last_refusal == "the disk is full"
    room.main_engine.hold_orders(None, by="journal")
    assert send(room) != ""


@pytest.mark.parametrize(
    ("order", "words"),
    [
        ({"price": 3500.5}, "OrderValidityRule: price 3500.5 is not a multiple of the price tick 1.0"),
        ({"volume": 0.5}, "OrderValidityRule: volume 0.5 is below the contract's minimum of 1"),
        ({"price": 1e6, "volume": 3}, "OrderSizeRule: value 30000000.0 is above the limit of 1000000.0"),
    ],
)
def test_reasons_are_english(room: Room, risk: CoreRiskEngine, order: dict[str, Any], words: str) -> None:
    assert send(room, **order) == ""
    assert risk.last_refusal == words


def test_counts_start_again_each_day(room: Room) -> None:  # R2
    (room.folder / "rules" / "mine.py").write_text(RULES)
    risk = start_risk(room)
    risk.update_rule_setting("NightRule", {"active": False})
    day = ["2026-01-05"]
    room.on_events(risk.begin_days, lambda: day[0])
    room.timer()
    risk.update_rule_setting("DuplicateOrderRule", {"duplicate_order_limit": 3})
    assert [bool(send(room)) for _ in range(4)] == [True, True, False, False]

    room.timer()
    assert not send(room)
    day[0] = "2026-01-06"
    room.timer()

    assert send(room)
    assert risk.get_rule_data("DailyLimitRule")["variables"]["total_order_count"] in (0, 1)
    assert risk.get_rule_data("DuplicateOrderRule")["parameters"]["duplicate_order_limit"] == 3
    assert risk.get_rule_data("ActiveOrderRule")["variables"] == {"active_order_count": 3}
    assert risk.get_rule_data("NightRule")["variables"] == {"seen": 0}


def test_burst_cannot_pass_the_limit(room: Room, risk: CoreRiskEngine) -> None:  # R3
    risk.update_rule_setting("ActiveOrderRule", {"active_order_limit": 20})
    risk.update_rule_setting("DuplicateOrderRule", {"active": False})

    def burst() -> list[str]:
        return [room.main_engine.send_order(limit_order(), "PROBE") for _ in range(200)]

    sent = [vt_orderid for vt_orderid in room.on_events(burst) if vt_orderid]

    assert len(sent) == 20
    room.settle()
    assert not send(room)
    room.gateway.fill(room.gateway.orders["1"])
    room.settle()
    assert send(room)
    assert not send(room)


class Patch(BaseEngine):
    """Replaces ``send_order``, as PaperAccount does."""

    def __init__(self, main_engine: Any, event_engine: Any) -> None:
        super().__init__(main_engine, event_engine, "Patch")
        main_engine.send_order = self.send_order

    def send_order(self, req: Any, gateway_name: str) -> str:
        return "past the rules"


class PatchApp(BaseApp):
    app_name = "Patch"
    engine_class = Patch


def test_engine_that_goes_past_the_rules_is_noticed(room: Room, risk: CoreRiskEngine) -> None:  # R4
    risk.require_in_path()
    room.add(PatchApp, Patch)
    with pytest.raises(ConfigError, match="send_order"):
        risk.require_in_path()


@pytest.mark.parametrize(
    ("setting", "field"),
    [
        ({"order_volume_limit": "5"}, "order_volume_limit"),
        ({"order_volume_limit": None}, "order_volume_limit"),
        ({"order_volume_limit": 5.5}, "order_volume_limit"),
        ({"order_volume_limit": 2**31}, "order_volume_limit"),
        ({"order_volume_limit": -1}, "order_volume_limit"),
        ({"active": 1}, "active"),
        ({"order_value_limit": float("inf")}, "order_value_limit"),
        ({"order_volume": 5}, "order_volume"),
    ],
)
def test_bad_setting_changes_and_saves_nothing(
    room: Room, risk: CoreRiskEngine, setting: dict[str, Any], field: str
) -> None:  # R5
    before = risk.get_rule_data("OrderSizeRule")
    with pytest.raises(Invalid) as caught:
        risk.update_rule_setting("OrderSizeRule", {"order_value_limit": 1.0, **setting})
    assert [error["field"] for error in caught.value.extra["errors"]] == [field]
    assert risk.get_rule_data("OrderSizeRule") == before
    assert room.json("risk_manager_setting.json") == {}


def test_setting_is_merged_and_survives_a_restart(room: Room, risk: CoreRiskEngine) -> None:  # R5
    risk.update_rule_setting("OrderSizeRule", {"order_volume_limit": 7.0})
    risk.update_rule_setting("委托规模检查", {"active": True})
    room.stop()

    risk = start_risk(room)

    parameters = risk.get_rule_data("OrderSizeRule")["parameters"]
    assert parameters == {"active": True, "order_volume_limit": 7, "order_value_limit": 1e6}
    assert send(room, volume=8) == ""


def test_poisoned_setting_file_does_not_keep_the_app_from_loading(room: Room) -> None:  # R5
    saved = {"委托规模检查": {"order_volume_limit": None, "order_value_limit": 5.0}, "每日上限检查": "nonsense"}
    (room.folder / ".vntrader" / "risk_manager_setting.json").write_text(json.dumps(saved))

    risk = start_risk(room)

    parameters = risk.get_rule_data("OrderSizeRule")["parameters"]
    assert parameters == {"active": True, "order_volume_limit": 500, "order_value_limit": 5.0}
    assert "OrderSizeRule, saved setting order_volume_limit" in risk.broken_rules


def test_unknown_rule(risk: CoreRiskEngine) -> None:
    with pytest.raises(NotFound, match="did you mean 'OrderSizeRule'"):
        risk.update_rule_setting("OrderSizeRul", {})


def test_rules_are_told_by_class_and_share_nothing(room: Room, risk: CoreRiskEngine) -> None:  # R6
    send(room)
    room.timer()
    first = shown(room, "DuplicateOrderRule")
    send(room)
    room.timer()

    assert list(first.variables["duplicate_order_count"].values()) == [1]
    assert list(shown(room, "DuplicateOrderRule").variables["duplicate_order_count"].values()) == [2]
    assert {data["class_name"] for data in room.events[EVENT_RISK_RULE]} == {
        "ActiveOrderRule", "DailyLimitRule", "DuplicateOrderRule", "OrderSizeRule", "OrderValidityRule",
    }  # fmt: skip
    assert len(risk.rule_states()) == len(risk.rules) == 5


def test_events_do_not_grow_with_the_orders(room: Room, risk: CoreRiskEngine) -> None:  # R6
    risk.update_rule_setting("ActiveOrderRule", {"active": False})
    room.settle()
    before = len(room.events[EVENT_RISK_RULE])
    for price in range(3000, 3150):
        send(room, price=price)
    room.timer()
    assert len(room.events[EVENT_RISK_RULE]) - before == 3
    assert len(shown(room, "DuplicateOrderRule").variables["duplicate_order_count"]) == 100


# -- data manager


@pytest.fixture
def data(room: Room) -> CoreDataEngine:
    room.start()
    return room.add(CoreDataApp, CoreDataEngine)


def import_csv(data: CoreDataEngine, path: Path, text: str) -> Any:
    path.write_text(text)
    heads = ("open", "high", "low", "close", "volume", "turnover", "open_interest")
    return data.import_data_from_csv(
        str(path), "rb2505", Exchange.SHFE, Interval.MINUTE, "Asia/Shanghai", "time", *heads, ""
    )


HEAD = "time,open,high,low,close,volume\n"
ROW = "2026-01-05 09:00:00,1,2,0,1,5\n"


@pytest.mark.parametrize(
    ("text", "words", "rows"),
    [
        ("", "no column time, open", []),
        (HEAD, "no rows", []),
        (HEAD.replace("close", "last") + ROW, "no column close", []),
        (HEAD + ROW + "2026-01-05 09:01:00,1,,0,1,5\n", "line 3", [3]),
        (HEAD + "yesterday,1,2,0,1,5\n" + ROW + "2026-01-05 09:01:00,1\n", "line 2", [2, 4]),
    ],
)
def test_bad_csv_imports_nothing_and_says_which_rows(
    room: Room, data: CoreDataEngine, tmp_path: Path, text: str, words: str, rows: list[int]
) -> None:  # D1
    with pytest.raises(DataError, match=words) as caught:
        import_csv(data, tmp_path / "bars.csv", text)
    assert [row["row"] for row in caught.value.extra.get("rows", [])] == rows
    assert room.database.bars == []


def test_good_csv_is_imported(room: Room, data: CoreDataEngine, tmp_path: Path) -> None:  # D1
    start, end, count = import_csv(data, tmp_path / "bars.csv", HEAD + ROW)
    assert start == end == datetime(2026, 1, 5, 9, tzinfo=ZONE)
    assert count == len(room.database.bars) == 1


def test_download_that_fails_says_so(room: Room, data: CoreDataEngine) -> None:  # D2
    lines: list[str] = []
    downloads: list[Callable[[], int]] = [
        lambda: data.download_bar_data("rb2505", Exchange.SHFE, "1m", NOON, lines.append),
        lambda: data.download_tick_data("rb2505", Exchange.SHFE, NOON, lines.append),
    ]
    for download in downloads:
        with pytest.raises(Unavailable):
            download()
    assert len(lines) == 2


def test_download_from_the_gateway(room: Room, data: CoreDataEngine) -> None:  # D2
    room.gateway.contract("rb2505", history_data=True)
    room.settle()
    room.gateway.history = [bar(1), bar(2)]
    assert data.download_bar_data("rb2505", Exchange.SHFE, "1m", NOON, print) == 2
    room.gateway.history = []
    assert data.download_bar_data("rb2505", Exchange.SHFE, "1m", NOON, print) == 0


# -- charts


@pytest.fixture
def chart(room: Room) -> CoreChartEngine:
    room.start()
    return room.add(CoreChartApp, CoreChartEngine)


def history(chart: CoreChartEngine, symbol: str = SYMBOL) -> list[int]:
    return [found.datetime.minute for found in chart.query_history(symbol, Interval.MINUTE, NOON, NOON)]


def test_chart_answers_its_caller_without_a_thread(room: Room, chart: CoreChartEngine) -> None:  # H1
    room.database.bars = [bar(1)]
    before = threading.active_count()
    assert history(chart) == [1]
    assert threading.active_count() == before


def test_chart_takes_the_first_source_that_has_bars(room: Room, chart: CoreChartEngine) -> None:  # H1
    room.database.bars = [bar(1)]
    room.gateway.contract("rb2505")
    room.settle()
    assert history(chart) == [1]  # the gateway has no history: vn.py would not look in the database
    room.gateway.contract("rb2505", history_data=True)
    room.settle()
    room.gateway.history = [bar(2)]
    assert history(chart) == [2]
    room.gateway.raises = OSError("the line broke")
    assert history(chart) == [1]
    assert room.event_engine.stats().errors == 0


def test_chart_says_why_there_is_nothing(room: Room, chart: CoreChartEngine) -> None:  # H1
    assert history(chart) == []
    with pytest.raises(Invalid):
        history(chart, "rb2505")
    room.gateway.contract("rb2505", history_data=True)
    room.settle()
    room.gateway.raises = OSError("the line broke")
    with pytest.raises(Unavailable, match="the line broke"):
        history(chart)
