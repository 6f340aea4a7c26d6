"""The performance routes: of one strategy, of a portfolio, by days, with another capital, and page by page."""

import msgspec
import pytest
from tests.unit.routers.memory_service import Api, contract
from tests.unit.strategies.test_books import fill

from vnpy_core.enums import Direction
from vnpy_core.routers import examples

DAYS = ("2026-01-05", "2026-01-06", "2026-01-07")


@pytest.fixture
async def traded(api: Api) -> Api:
    """``demo`` has bought one, which rose by 10 a day; ``other`` has won and lost one round trip each."""
    await api.service.strategies.add("DoubleMaStrategy", "demo", "rb2501.SHFE", {}, False)
    await api.service.strategies.add("DoubleMaStrategy", "idle", "rb2501.SHFE", {}, False)
    books = api.service.reports.performance.books
    books.take_contract(contract("rb2501.SHFE"))
    books.take_fill(fill())
    for number, (is_buy, price) in enumerate([(True, 3500), (False, 3520), (True, 3520), (False, 3510)]):
        direction = Direction.LONG if is_buy else Direction.SHORT
        offset = "OPEN" if is_buy else "CLOSE"
        books.take_fill(
            fill(reference="CtaStrategy_other", direction=direction, offset=offset, price=float(price), seq=number)
        )
    for number, day in enumerate(DAYS):
        moment = f"{day}T01:30:00.000000+00:00"
        books.take_tick(msgspec.structs.replace(examples.TICK, datetime=moment, last_price=3500.0 + 10 * number))
    return api


async def test_a_strategy_is_told_of(traded: Api) -> None:
    told = await traded.get("/strategies/demo/performance")
    assert (told["start"], told["end"], told["days"], told["trade_count"]) == (DAYS[0], DAYS[2], 3, 1)
    assert (told["realised_pnl"], told["unrealised_pnl"], told["commission"]) == (0, 200, 3.5)
    assert (told["net_pnl"], told["balance"], told["exposure"]) == (196.5, 1_000_196.5, 35_200)
    (held,) = told["positions"]
    assert (held["long_volume"], held["long_price"], held["last_price"], held["size"]) == (1, 3500, 3520, 10)
    assert told["vnpy"]["total_net_pnl"] == 196.5
    assert told["latency"]["fills"] == 1
    assert told["notes"] == []


async def test_round_trips_are_counted_after_costs(traded: Api) -> None:
    told = await traded.get("/strategies/other/performance")  # it is gone, and has traded
    trips = told["trips"]
    assert (trips["closed"], trips["winners"], trips["win_rate"]) == (2, 1, 0.5)
    assert trips["profit_factor"] == pytest.approx((200 - 7.02) / (100 + 7.03))
    assert (told["realised_pnl"], told["unrealised_pnl"], told["positions"]) == (100, 0, [])


async def test_a_range_has_its_own_balance_and_what_was_open_before_it(traded: Api) -> None:
    told = await traded.get("/strategies/demo/performance", **{"from": DAYS[1], "to": DAYS[1], "capital": 1000})
    assert (told["days"], told["net_pnl"], told["balance"], told["unrealised_pnl"]) == (1, 100, 1100, 100)
    assert told["summary"]["total_return"] == pytest.approx(0.1)
    empty = await traded.get("/strategies/demo/performance", **{"from": "2030-01-01"})
    assert (empty["days"], empty["start"], empty["vnpy"], empty["summary"]["sharpe_ratio"]) == (0, None, None, None)


async def test_a_portfolio_is_the_sum_of_its_strategies(traded: Api) -> None:
    whole = await traded.get("/strategies/performance")
    parts = [await traded.get(f"/strategies/{name}/performance") for name in ("demo", "other", "idle")]
    assert whole["strategies"] == ["demo", "idle", "other"]
    assert whole["capital"] == 3_000_000
    for name in ("net_pnl", "turnover", "trade_count", "realised_pnl", "unrealised_pnl"):
        assert whole[name] == pytest.approx(sum(part[name] for part in parts)), name
        assert whole[name] == pytest.approx(sum(part[name] for part in whole["contributions"])), name
    few = await traded.get("/strategies/performance", strategy=["demo", "demo"])
    assert (few["strategies"], few["net_pnl"]) == (["demo"], parts[0]["net_pnl"])


async def test_days_and_the_curve_come_in_pages(traded: Api) -> None:
    page = await traded.get("/strategies/demo/performance/daily", limit=2)
    assert [row["date"] for row in page["daily"]] == list(DAYS[:2])
    assert [row["holding_pnl"] for row in page["daily"]] == [0, 100]
    assert page["daily"][0]["drawdown"] == -3.5
    rest = await traded.get("/strategies/demo/performance/daily", limit=2, cursor=page["next_cursor"])
    assert [row["date"] for row in rest["daily"]] == [DAYS[2]]
    assert rest["next_cursor"] is None
    curve = await traded.get("/strategies/performance/equity", strategy="demo", limit=1, cursor=DAYS[1])
    assert [point["balance"] for point in curve["equity"]] == [1_000_196.5]
    whole = await traded.get("/strategies/performance/daily")
    assert [row["date"] for row in whole["daily"]] == list(DAYS)


async def test_what_is_not_there_or_makes_no_sense_is_refused(traded: Api) -> None:
    assert (await traded.get("/strategies/nobody/performance", 404))["code"] == "not_found"
    await traded.get("/strategies/performance", 404, strategy="nobody")
    await traded.get("/strategies/demo/performance", 422, **{"from": DAYS[1], "to": DAYS[0]})
    for wrong in ({"from": "2026-13-01"}, {"capital": 0}, {"start": DAYS[0]}, {"capital": "nan"}):
        await traded.get("/strategies/demo/performance", 422, **wrong)
    body = {"class_name": "DoubleMaStrategy", "strategy_name": "performance", "vt_symbol": "rb2501.SHFE"}
    await traded.send("POST", "/strategies", body, 422)


async def test_while_fills_are_being_read_nothing_is_said(traded: Api) -> None:
    traded.service.reports.performance.unready = "The recorded fills are being read."
    for path in ("/strategies/demo/performance", "/strategies/performance", "/strategies/demo/performance/equity"):
        assert (await traded.get(path, 503))["code"] == "performance_restoring"


async def test_what_the_numbers_lack_is_said(api: Api) -> None:
    books = api.service.reports.performance.books
    books.take_fill(fill(direction=Direction.SHORT, offset="CLOSE"))
    notes = " ".join((await api.get("/strategies/demo/performance"))["notes"])
    assert "size of the contract of rb2501.SHFE is not known" in notes
    assert "demo has closed 1 of rb2501.SHFE that no recorded fill had opened" in notes
