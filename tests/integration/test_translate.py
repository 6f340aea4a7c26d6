"""Translation of every vn.py object: the same in both of vn.py's languages, exact, and independent of the original."""

import json
import logging
import math
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from vnpy.trader import constant
from vnpy.trader.constant import Direction, Exchange, Interval, Offset, OptionType, OrderType, Product, Status
from vnpy.trader.object import (
    AccountData,
    BarData,
    ContractData,
    LogData,
    OrderData,
    OrderRequest,
    PositionData,
    TickData,
    TradeData,
)
from vnpy_algotrading.base import AlgoStatus
from vnpy_ctastrategy.base import StopOrder, StopOrderStatus

from vnpy_core import enums, models
from vnpy_core.engine import translate
from vnpy_core.enums import parse_enum
from vnpy_core.events import Event

ZONE = ZoneInfo("Asia/Shanghai")
WHEN = datetime(2026, 1, 5, 9, 30, 0, 123456, tzinfo=ZONE)
WIRE = "2026-01-05T01:30:00.123456+00:00"
LEVELS = {
    f"{side}_{what}_{level}": 3500.0 + level
    for side in ("bid", "ask") for what in ("price", "volume") for level in range(1, 6)
}  # fmt: skip


def tick(**changes: Any) -> TickData:
    fields = LEVELS | {
        "name": "螺纹钢2501", "volume": 12000, "turnover": 4.2e7, "open_interest": 1e6, "last_price": 3501.5,
        "last_volume": 2, "limit_up": 3800, "limit_down": 3200, "open_price": 3490, "high_price": 3510,
        "low_price": 3480, "pre_close": 3495, "localtime": WHEN,
    } | changes  # fmt: skip
    return TickData("CTP", "rb2501", Exchange.SHFE, WHEN, **fields)


def order(**changes: Any) -> OrderData:
    fields = {
        "type": OrderType.LIMIT, "direction": Direction.SHORT, "offset": Offset.CLOSETODAY, "price": 3500.0,
        "volume": 5, "traded": 2, "status": Status.PARTTRADED, "datetime": WHEN, "reference": "CtaStrategy_demo",
    } | changes  # fmt: skip
    return OrderData("CTP", "rb2501", Exchange.SHFE, "1_2_3", **fields)


def rejected() -> OrderData:
    made = order(status=Status.REJECTED, traded=0)
    made.extra = {"reason": "资金不足"}
    return made


def option() -> ContractData:
    return ContractData(
        "CTP", "io2501-C-4000", Exchange.CFFEX, "沪深300股指2501购4000", Product.OPTION, 100, 0.2, max_volume=20,
        history_data=True, option_strike=4000, option_underlying="io2501.CFFEX", option_type=OptionType.CALL,
        option_listed=datetime(2025, 1, 2), option_expiry=datetime(2026, 1, 16), option_portfolio="io",  # noqa: DTZ001
        option_index="4000",
    )  # fmt: skip


def strategy(**variables: Any) -> dict[str, Any]:
    return {
        "strategy_name": "demo", "vt_symbol": "rb2501.SHFE", "class_name": "DoubleMaStrategy", "author": "我",
        "parameters": {"fast_window": 10},
        "variables": {"inited": True, "trading": False, "pos": 1, **variables},
    }  # fmt: skip


def algo() -> dict[str, Any]:
    return {
        "algo_name": "SniperAlgo_12", "vt_symbol": "rb2501.SHFE", "direction": Direction.LONG, "offset": Offset.OPEN,
        "price": 3500.0, "volume": 3, "status": AlgoStatus.RUNNING, "traded": 1, "left": 2, "traded_price": 3499.0,
        "parameters": {}, "variables": {"vt_orderid": "", "side": Direction.SHORT},
    }  # fmt: skip


def risk_rule() -> dict[str, Any]:
    counts: defaultdict[str, int] = defaultdict(int, {"rb2501.SHFE": 3})
    return {
        "name": "委托规模检查", "class_name": "OrderSizeRule", "parameters": {"active": True, "limit": 500},
        "variables": {"counts": counts},
    }  # fmt: skip


def notice() -> str:
    request = OrderRequest(
        "rb2501", Exchange.SHFE, Direction.LONG, OrderType.LIMIT, 9999, 3500, Offset.OPEN, "CtaStrategy_demo"
    )
    return f"委托数量9999超过上限500：{request}"


def samples() -> dict[str, models.Model]:
    """One of every kind, translated."""
    return {
        "tick": translate.tick(tick()),
        "bar": translate.bar(BarData("DB", "rb2501", Exchange.SHFE, WHEN, Interval.HOUR, close_price=3500)),
        "order": translate.order(order(), "mine-1"),
        "rejected": translate.order(rejected()),
        "market": translate.order(order(type=OrderType.MARKET, direction=None, offset=Offset.NONE, datetime=None)),
        "trade": translate.trade(
            TradeData("CTP", "rb2501", Exchange.SHFE, "1_2_3", "T9", Direction.LONG, Offset.OPEN, 3500, 2, WHEN)
        ),
        "position": translate.position(
            PositionData("CTP", "rb2501", Exchange.SHFE, Direction.SHORT, 3, 1, 3500, -20, 2)
        ),
        "account": translate.account(AccountData("CTP", "12345", 1e6, 2e5)),
        "contract": translate.contract(
            ContractData("CTP", "rb2501", Exchange.SHFE, "螺纹钢2501", Product.FUTURES, 10, 1, 1)
        ),
        "option": translate.contract(option()),
        "stop_order": translate.stop_order(
            StopOrder(
                "rb2501.SHFE", Direction.LONG, Offset.OPEN, 3510, 1, "STOP.1", "demo", WHEN,
                vt_orderids=["CTP.1"], status=StopOrderStatus.TRIGGERED,
            )
        ),
        "strategy": translate.strategy(strategy(side=Direction.LONG, interval=Interval.MINUTE)),
        "algo": translate.algo(algo()),
        "risk_rule": translate.risk_rule(risk_rule()),
    }  # fmt: skip


def unread_values() -> list[str]:
    """Return the values of vn.py's enums, in the language of this process, that are not understood on input."""
    pairs: list[tuple[type[Any], type[Enum]]] = [
        (getattr(enums, "OrderStatus" if name == "Status" else name), getattr(constant, name))
        for name in ("Direction", "Offset", "Status", "OrderType", "Product", "OptionType", "Exchange", "Interval")
    ]
    pairs.append((enums.StopOrderStatus, StopOrderStatus))
    wrong = []
    for ours, theirs in pairs:
        missing = set(theirs.__members__) ^ (set(ours.__members__) - {"UNKNOWN"})
        wrong += [f"{theirs.__name__}.{name}" for name in missing]
        wrong += [
            f"{member}: {member.value}" for member in theirs if parse_enum(ours, member.value).name != member.name
        ]
    return wrong


def report() -> None:
    """Print what this process makes of all samples; run in a process for each language."""
    made = {name: json.loads(Event(model).payload) for name, model in samples().items()}
    print(json.dumps({"long": Direction.LONG.value, "samples": made, "unread": unread_values()}))


def report_in(language: str, folder: Path) -> dict[str, Any]:
    (folder / ".vntrader").mkdir()
    paths = str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")
    found_at = os.pathsep.join(filter(None, paths))
    environment = {**os.environ, "PYTHONPATH": found_at, "TZ": "Asia/Shanghai", "LANGUAGE": language}
    environment |= {"LANG": f"{language}.UTF-8", "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        [sys.executable, "-c", "import tests.integration.test_translate as t; t.report()"],
        cwd=folder, env=environment, stdout=subprocess.PIPE, check=True, timeout=60,
    )  # fmt: skip
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_both_languages_of_vnpy_give_the_same_and_are_understood(tmp_path: Path) -> None:
    here = {name: json.loads(Event(model).payload) for name, model in samples().items()}
    for language, word in (("zh_CN", "多"), ("en_US", "Long")):
        folder = tmp_path / language
        folder.mkdir()
        found = report_in(language, folder)
        assert found["long"] == word
        assert found["unread"] == []
        assert found["samples"] == here


def test_a_tick() -> None:
    made = translate.tick(tick())
    assert (made.vt_symbol, made.exchange, made.name) == ("rb2501.SHFE", enums.Exchange.SHFE, "螺纹钢2501")
    assert (made.datetime, made.localtime) == (WIRE, WIRE)
    assert (made.volume, made.turnover, made.last_price, made.pre_close) == (12000.0, 4.2e7, 3501.5, 3495.0)
    assert {name: getattr(made, name) for name in LEVELS} == LEVELS


def test_an_order_and_its_trade() -> None:
    made = translate.order(order(), "mine-1")
    assert made.vt_orderid == "CTP.1_2_3"
    assert (made.direction, made.offset) == (enums.Direction.SHORT, enums.Offset.CLOSETODAY)
    assert (made.type, made.status, made.datetime) == (enums.OrderType.LIMIT, enums.OrderStatus.PARTTRADED, WIRE)
    assert (made.volume, made.traded, made.client_order_id) == (5.0, 2.0, "mine-1")
    assert translate.order(rejected()).rejected_reason == "资金不足"
    trade = samples()["trade"]
    assert trade.key == "CTP.T9@CTP.1_2_3"


def test_a_position_is_named_by_its_direction() -> None:
    made = samples()["position"]
    assert made.key == "CTP.rb2501.SHFE.SHORT"
    assert b'"pnl":-20.0' in Event(made).payload


def test_an_account_and_contracts() -> None:
    account, contract, call = samples()["account"], samples()["contract"], samples()["option"]
    assert isinstance(account, models.Account)
    assert (account.available, account.key) == (800_000.0, "CTP.12345")
    assert isinstance(contract, models.Contract)
    assert (contract.size, contract.pricetick, contract.max_volume, contract.option_type) == (10.0, 1.0, None, None)
    assert isinstance(call, models.Contract)
    assert (call.option_type, call.option_expiry) == (enums.OptionType.CALL, "2026-01-15T16:00:00.000000+00:00")


def test_vt_symbols_are_vnpys_own() -> None:
    made = translate.position(PositionData("IB", "FDAX", Exchange.EUREX, Direction.NET, 1))
    assert (made.vt_symbol, made.exchange, made.key) == ("FDAX.EUX", enums.Exchange.EUREX, "IB.FDAX.EUX.NET")


def test_logs_name_their_strategy() -> None:
    line = LogData(msg="[demo]  触发止损", gateway_name="CtaStrategy", level=logging.WARNING)
    made = translate.log(line, of_strategies=True)
    assert (made.strategy_name, made.message, made.level, made.source) == ("demo", "触发止损", "WARNING", "CtaStrategy")
    assert translate.log(line).strategy_name is None
    assert translate.log(LogData(msg="x", gateway_name="CTP"), of_strategies=True).message == "x"
    assert datetime.fromisoformat(made.datetime) == line.time.astimezone(UTC)
    odd = LogData(msg=None, gateway_name="CTP", level="notice")  # type: ignore[arg-type]
    assert (translate.log(odd).message, translate.log(odd).level) == ("", "notice")


def test_a_stop_order() -> None:
    made = samples()["stop_order"]
    assert isinstance(made, models.StopOrder)
    assert (made.key, made.status, made.vt_orderids) == ("demo.STOP.1", enums.StopOrderStatus.TRIGGERED, ["CTP.1"])


@pytest.mark.parametrize(
    ("flags", "state"),
    [
        ({"inited": False}, enums.StrategyState.ADDED),
        ({}, enums.StrategyState.INITED),
        ({"trading": True}, enums.StrategyState.TRADING),
    ],
)
def test_a_strategy_tells_its_state_by_its_flags(flags: dict[str, Any], state: enums.StrategyState) -> None:
    made = translate.strategy(strategy(**flags))
    assert (made.state, made.pos, made.engine, made.auto_start) == (state, 1.0, "CtaStrategy", False)


def test_a_strategy_may_carry_what_the_engine_adds() -> None:
    added = {"state": enums.StrategyState.FAILED, "error": "Traceback …", "auto_start": True, "engine": "Portfolio"}
    made = translate.strategy(strategy() | added)
    assert (made.state, made.error, made.auto_start, made.engine) == tuple(added.values())


def test_an_algo_names_its_template() -> None:
    made = translate.algo(algo())
    assert (made.template, made.status, made.direction) == ("SniperAlgo", "RUNNING", enums.Direction.LONG)
    assert made.variables == {"vt_orderid": "", "side": "SHORT"}


def test_a_rejection_tells_which_order_it_was() -> None:
    made = translate.risk_rejection(notice())
    assert (made.vt_symbol, made.reference, made.code) == ("rb2501.SHFE", "CtaStrategy_demo", "risk_manager")
    assert made.reason.startswith("委托数量9999超过上限500")
    assert translate.risk_rejection("something else").vt_symbol == ""


def test_every_member_goes_both_ways() -> None:
    for name in ("Direction", "Offset", "OrderType", "Product", "OptionType", "Exchange", "Interval"):
        for theirs in getattr(constant, name):
            assert translate.to_vn(translate.from_vn(theirs)) is theirs
    for status in Status:
        assert translate.to_vn(translate.from_vn(status)) is status
    assert translate.to_vn(enums.Product.ETF) is Product.ETF
    assert translate.to_vn(enums.OrderType.ETF) is OrderType.ETF
    with pytest.raises(ValueError, match="UNKNOWN"):
        translate.to_vn(enums.OrderStatus.UNKNOWN)


# -- what gateways do wrong


@pytest.mark.parametrize("name", ["turnover", "bid_price_3", "ask_volume_5", "last_price"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None, "nonsense", np.float64("nan")])
def test_a_number_that_is_none_is_null_and_the_others_stay(name: str, value: Any) -> None:
    made = translate.tick(tick(**{name: value}))
    assert made == msgspec.structs.replace(translate.tick(tick()), **{name: None})


@pytest.mark.parametrize("value", [7, 7.0, "7", np.float64(7), np.float32(7), np.int64(7)])
def test_numbers_of_any_type_are_floats(value: Any) -> None:
    made = translate.tick(tick(turnover=value))
    assert type(made.turnover) is float
    assert made == translate.tick(tick(turnover=7.0))
    assert translate.order(order(volume=value)).volume == 7.0


def test_an_amount_that_is_no_number_is_zero() -> None:
    made = translate.position(PositionData("CTP", "rb2501", Exchange.SHFE, Direction.LONG, 3, math.nan, math.nan))
    assert (made.volume, made.frozen, made.price) == (3.0, 0.0, None)


def test_a_naive_time_is_in_the_configured_zone() -> None:
    naive = WHEN.replace(tzinfo=None)
    assert translate.order(order(datetime=naive)).datetime == WIRE
    assert translate.tick(tick(localtime=naive)).localtime == WIRE
    assert translate.order(order(datetime=WHEN.astimezone(ZoneInfo("America/New_York")))).datetime == WIRE


def test_a_tick_without_a_time_has_that_of_its_arrival() -> None:
    bare = tick()
    bare.datetime = None  # type: ignore[assignment]
    assert translate.tick(bare).datetime == WIRE
    bare.localtime = None
    assert datetime.fromisoformat(translate.tick(bare).datetime) > WHEN


def test_enums_given_as_text_are_understood() -> None:
    made = translate.order(order(direction="多", offset="Open", status="CANCELLED"))
    assert (made.direction, made.offset, made.status) == ("LONG", "OPEN", "CANCELLED")
    with pytest.raises(ValueError, match="sideways"):
        translate.order(order(direction="sideways"))


def test_texts_of_any_type_are_texts() -> None:
    made = translate.order(order(reference=None))
    assert made.reference == ""
    number = OrderData("CTP", "rb2501", Exchange.SHFE, 17)  # type: ignore[arg-type]
    assert (translate.order(number).orderid, translate.order(number).vt_orderid) == ("17", "CTP.17")


def test_text_that_no_encoding_takes_is_made_printable() -> None:
    broken = translate.tick(tick(name="bad \udcff name"))
    with pytest.raises(UnicodeEncodeError):
        Event(broken)
    assert json.loads(Event(translate.printable(broken)).payload)["name"] == "bad ? name"


@pytest.mark.parametrize(
    ("made", "data", "changes"),
    [
        (translate.tick, tick(), {"last_price": 1.0, "datetime": None, "name": "x"}),
        (translate.order, rejected(), {"status": Status.ALLTRADED, "traded": 5.0, "extra": None}),
        (translate.strategy, strategy(items=[1]), {}),
        (translate.risk_rule, risk_rule(), {}),
    ],
    ids=["tick", "order", "strategy", "risk rule"],
)
def test_what_is_changed_afterwards_changes_nothing(
    made: Callable[[Any], models.Model], data: Any, changes: dict[str, Any]
) -> None:
    model = made(data)
    before = Event(model).payload
    for name, value in changes.items():
        setattr(data, name, value)
    if isinstance(data, dict):
        data["variables"].get("items", []).append(2)
        data["variables"].get("counts", {})["new"] = 1
        data["variables"]["late"] = 1
    assert Event(model).payload == before


@given(
    values=st.fixed_dictionaries({name: st.floats() | st.integers(0, 10**9) for name in LEVELS}),
    moment=st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1), timezones=st.timezones()),  # noqa: DTZ001
)
def test_any_tick_reads_back_as_it_was(values: dict[str, Any], moment: datetime) -> None:
    data = tick(**values)
    data.datetime = moment
    made = translate.tick(data)
    back = msgspec.json.decode(Event(made).payload, type=models.Tick)
    assert back == made
    assert datetime.fromisoformat(back.datetime) == moment.astimezone(UTC)
    for name, value in values.items():
        assert getattr(back, name) == (value if math.isfinite(value) else None)
