"""The books: which day a fill is of, what its symbol is worth, and that what is kept ready is never out of date."""

from datetime import UTC, date, timedelta
from zoneinfo import ZoneInfo

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.routers.memory_service import contract

from vnpy_core.config.performance_settings import CostSettings, PerformanceSettings
from vnpy_core.data.strategy_fills import RecordedFill, StoredTerms
from vnpy_core.enums import Direction, Exchange, Offset
from vnpy_core.routers import examples
from vnpy_core.strategies.books import Books, SymbolBook, SymbolCloses, TradingDays, strategy_of_reference
from vnpy_core.strategies.ledger import Fill, Terms, day_results
from vnpy_core.trading.calendar import TradingCalendar, Weekdays

CALENDAR = TradingCalendar(Weekdays())
DAYS = [(date(2026, 1, 5) + timedelta(days=number)).isoformat() for number in range(5)]


def fill(**changes: object) -> RecordedFill:
    made = RecordedFill(
        vt_tradeid="SIM.T1", vt_orderid="SIM.1", vt_symbol="rb2501.SHFE", symbol="rb2501", exchange=Exchange.SHFE,
        direction=Direction.LONG, offset=Offset.OPEN, price=3500.0, volume=1.0,
        moment="2026-01-05T01:30:00.250000+00:00", seq=7, reference="CtaStrategy_demo",
        ordered="2026-01-05T01:30:00.000000+00:00",
    )  # fmt: skip
    return msgspec.structs.replace(made, **changes)


def books(**settings: object) -> Books:
    return Books(PerformanceSettings.model_validate(settings), TradingDays(CALENDAR, UTC))


def test_a_night_counts_for_the_next_trading_day_and_others_by_their_own_midnight() -> None:
    days = TradingDays(CALENDAR, ZoneInfo("America/New_York"))
    friday_night = "2026-01-09T13:30:00.000000+00:00"  # 21:30 in Shanghai
    assert days.of(Exchange.SHFE, friday_night) == "2026-01-12"
    assert days.of(Exchange.SHFE, "2026-01-09T09:59:59.999999+00:00") == "2026-01-09"
    assert days.of(Exchange.SHFE, "2026-01-09T10:00:00.000000+00:00") == "2026-01-12"
    assert days.of(Exchange.GLOBAL, friday_night) == "2026-01-09"
    assert days.of(Exchange.NASDAQ, "2026-01-10T04:59:00.000000+00:00") == "2026-01-09"
    assert days.between(Exchange.SHFE, "2026-01-09", "2026-01-12") == ("2026-01-09", "2026-01-12")
    assert len(days.between(Exchange.GLOBAL, "2026-01-09", "2026-01-12")) == 4


def test_costs_are_the_symbols_own_or_its_products_or_the_general() -> None:
    settings = PerformanceSettings(
        commission_rate=0.001, slippage=1,
        products={"rb": CostSettings(commission_rate=0.0001, size=10)},
        symbols={"rb2501.SHFE": CostSettings(slippage=0)},
    )  # fmt: skip
    own = settings.costs_of("rb2501", "rb2501.SHFE")
    assert (own.commission_rate, own.slippage, own.size) == (0.0001, 0, 10)
    product = settings.costs_of("rb2505", "rb2505.SHFE")
    assert (product.commission_rate, product.slippage, product.commission_per_lot) == (0.0001, 1, None)
    assert settings.costs_of("BTCUSDT", "BTCUSDT.GLOBAL").commission_rate == 0.001


def test_whose_fill_it_is_stands_in_the_reference() -> None:
    assert strategy_of_reference("CtaStrategy_my_own_name") == "my_own_name"
    assert strategy_of_reference("PortfolioStrategy_pair") == "pair"
    for other in ("", "desk_demo", "AlgoTrading_TwapAlgo_1", "CtaStrategy_"):
        assert strategy_of_reference(other) is None


def test_a_fill_is_counted_with_its_contracts_size_and_latency() -> None:
    made = books()
    made.load({}, {"rb2501.SHFE": StoredTerms(10.0, False)})
    made.take_fill(fill())
    made.take_fill(fill(price=None))
    made.take_fill(fill(direction=None))
    made.take_tick(msgspec.structs.replace(examples.TICK, last_price=3507.0))
    (row,) = made.rows("demo")
    assert (row.date, row.trade_count, row.total_pnl, row.exposure) == ("2026-01-05", 1, 70, 35_070)
    latency = made.books["demo"]["rb2501.SHFE"].ledger.days["2026-01-05"].latency
    assert latency is not None
    assert abs(latency.quantile_s(0.5) - 0.25) < 0.0025


def test_another_size_than_was_counted_with_is_noticed() -> None:
    made = books()
    made.take_fill(fill())
    assert not made.is_outdated()
    assert not made.sized("rb2501.SHFE")
    assert made.take_contract(contract("rb2501.SHFE"))
    assert made.is_outdated()
    assert not made.take_contract(contract("rb2501.SHFE"))
    assert not made.take_contract(contract("IF2501.CFFEX"))


def test_what_was_seen_since_is_newer_than_what_was_stored() -> None:
    made = books()
    made.take_fill(fill())
    made.take_tick(msgspec.structs.replace(examples.TICK, last_price=3507.0))
    made.load({"rb2501.SHFE": {"2026-01-02": 3400.0, "2026-01-05": 3450.0}}, {})
    assert made.closes["rb2501.SHFE"].days == {"2026-01-02": 3400.0, "2026-01-05": 3507.0}


def test_a_price_waits_to_be_stored_until_it_is_as_it_is() -> None:
    made = books()
    made.take_fill(fill())
    made.take_tick(msgspec.structs.replace(examples.TICK, last_price=3507.0))
    waiting = list(made.unsaved_closes())
    made.take_tick(msgspec.structs.replace(examples.TICK, last_price=3508.0))
    made.mark_saved(waiting, ())
    assert list(made.unsaved_closes()) == [("rb2501.SHFE", "2026-01-05", 3508.0)]
    made.mark_saved(list(made.unsaved_closes()), ())
    assert not list(made.unsaved_closes())


happenings = st.lists(
    st.one_of(
        st.tuples(st.just("fill"), st.sampled_from(DAYS), st.booleans(), st.integers(90, 110)),
        st.tuples(st.just("tick"), st.sampled_from(DAYS), st.booleans(), st.integers(90, 110)),
        st.tuples(st.just("read"), st.just(""), st.booleans(), st.just(0)),
    ),
    max_size=40,
)


@settings(max_examples=400)
@given(happenings)
def test_what_is_kept_ready_is_what_a_computation_from_scratch_says(happened: list[tuple[str, str, bool, int]]) -> None:
    days = TradingDays(CALENDAR, UTC)
    book, closes = SymbolBook("x.GLOBAL", Exchange.GLOBAL, Terms(size=3, commission_rate=0.001)), SymbolCloses()

    def between(first: str, last: str) -> tuple[str, ...]:
        return days.between(Exchange.GLOBAL, first, last)

    def check() -> None:
        if book.ledger.days:
            whole = day_results(book.ledger, closes.days, between)
            assert book.rows(closes, days) == whole

    for what, day, is_buy, price in happened:
        if what == "fill":
            book.ledger.add(Fill(day=day, is_buy=is_buy, offset=Offset.NONE, price=float(price), volume=1.0))
        elif what == "tick":
            closes.put(day, float(price))
        else:
            check()
    check()
