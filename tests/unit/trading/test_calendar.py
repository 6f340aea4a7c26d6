"""TradingCalendar on known days, with the holidays of the library; and what holds for any moment and contract."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.facts import order

from vnpy_core.enums import Exchange
from vnpy_core.trading.calendar import TradingCalendar
from vnpy_core.trading.closed_days import ClosedDays
from vnpy_core.trading.trading_day import CHINA

CLOSED = ClosedDays()
CLOSED.load()
CALENDAR = TradingCalendar(CLOSED)
GOLD, REBAR = ("au2606", Exchange.SHFE), ("rb2605", Exchange.SHFE)
INDEX, SHARE = ("IF2606", Exchange.CFFEX), ("600000", Exchange.SSE)
BITCOIN, FOREIGN = ("BTCUSDT", Exchange.GLOBAL), ("ES", Exchange.CME)


def china(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=CHINA)


def days(year: int) -> list[date]:
    first = date(year, 1, 1)
    return [first + timedelta(number) for number in range((date(year + 1, 1, 1) - first).days)]


@pytest.mark.parametrize(
    ("moment", "day"),
    [
        ("2026-01-05T09:00", "2026-01-05"),  # a Monday
        ("2026-01-05T15:00", "2026-01-05"),
        ("2026-01-05T21:00", "2026-01-06"),
        ("2026-01-06T02:29", "2026-01-06"),
        ("2026-01-09T14:59", "2026-01-09"),
        ("2026-01-09T21:00", "2026-01-12"),  # Friday's night is Monday's
        ("2026-01-10T02:29", "2026-01-12"),
        ("2026-01-11T12:00", "2026-01-12"),
    ],
)
def test_the_night_counts_for_the_next_day(moment: str, day: str) -> None:
    assert CALENDAR.trading_day(datetime.fromisoformat(moment).replace(tzinfo=CHINA)) == date.fromisoformat(day)


def test_an_order_of_an_earlier_day_is_reported_no_more() -> None:
    placed = order(1, datetime="2026-01-05T07:00:00.000000+00:00")
    assert CALENDAR.is_of_today(placed, datetime(2026, 1, 5, 17, tzinfo=CHINA))
    assert not CALENDAR.is_of_today(placed, datetime(2026, 1, 5, 18, tzinfo=CHINA))
    elsewhere = order(1, datetime="2026-01-05T07:00:00.000000+00:00", exchange=Exchange.GLOBAL)
    assert CALENDAR.is_of_today(elsewhere, datetime(2026, 2, 5, tzinfo=CHINA))
    assert CALENDAR.is_of_today(order(1, datetime=None), datetime(2026, 2, 5, tzinfo=CHINA))


@pytest.mark.parametrize(
    ("symbol", "exchange", "moment", "open_"),
    [
        ("rb2605", Exchange.SHFE, "2026-01-05T08:59:59", False),  # a Monday
        ("rb2605", Exchange.SHFE, "2026-01-05T09:00", True),
        ("rb2605", Exchange.SHFE, "2026-01-05T10:15", False),
        ("rb2605", Exchange.SHFE, "2026-01-05T10:30", True),
        ("rb2605", Exchange.SHFE, "2026-01-05T12:00", False),
        ("rb2605", Exchange.SHFE, "2026-01-05T14:59:59", True),
        ("rb2605", Exchange.SHFE, "2026-01-05T21:00", True),
        ("rb2605", Exchange.SHFE, "2026-01-05T23:00", False),
        ("au2606", Exchange.SHFE, "2026-01-05T01:00", False),  # Sunday's night is not traded
        ("au2606", Exchange.SHFE, "2026-01-06T02:29", True),
        ("au2606", Exchange.SHFE, "2026-01-06T02:30", False),
        ("au2606", Exchange.SHFE, "2026-01-09T21:00", True),  # Friday's is, and ends on Saturday
        ("au2606", Exchange.SHFE, "2026-01-10T02:29", True),
        ("au2606", Exchange.SHFE, "2026-01-10T10:00", False),
        ("au2606", Exchange.SHFE, "2026-01-11T21:30", False),
        ("IF2606", Exchange.CFFEX, "2026-01-05T09:15", False),
        ("IF2606", Exchange.CFFEX, "2026-01-05T15:05", False),
        ("T2606", Exchange.CFFEX, "2026-01-05T15:05", True),
        ("600000", Exchange.SSE, "2026-01-05T11:30", False),
        ("BTCUSDT", Exchange.GLOBAL, "2026-01-11T12:00", True),
        ("Au99.99", Exchange.SGE, "2026-01-05T10:00", None),
    ],
)
def test_whether_it_trades(symbol: str, exchange: Exchange, moment: str, open_: bool | None) -> None:
    assert CALENDAR.is_open(symbol, exchange, datetime.fromisoformat(moment).replace(tzinfo=CHINA)) is open_


@pytest.mark.parametrize(
    ("year", "closed"),
    [
        (2024, "0101 0209 0212-0216 0404 0405 0501-0503 0610 0916 0917 1001-1004 1007"),
        (2025, "0101 0128-0131 0203 0204 0404 0501 0502 0505 0602 1001-1003 1006-1008"),
        (2026, "0101 0102 0216-0220 0223 0406 0501 0504 0505 0619 0925 1001 1002 1005-1007"),
    ],
)
def test_the_weekdays_on_which_nothing_is_traded(year: int, closed: str) -> None:
    expected = set()
    for part in closed.split():
        begin, _, end = part.partition("-")
        expected |= {f"{day:%m%d}" for day in days(year) if begin <= f"{day:%m%d}" <= (end or begin)}
    assert {f"{day:%m%d}" for day in days(year) if day.weekday() < 5 and not CALENDAR.is_trading_day(day)} == expected
    assert not any(CALENDAR.is_trading_day(day) for day in days(year) if day.weekday() >= 5)


@pytest.mark.parametrize(
    ("evening", "has_night"),
    [
        ("2025-01-24", True), ("2025-01-27", False), ("2025-02-04", False), ("2025-02-05", True),  # Spring Festival
        ("2025-05-30", False),  # a Friday before a holiday on Monday
        ("2025-09-30", False), ("2025-10-08", False), ("2025-10-09", True), ("2025-10-10", True),  # National Day
        ("2025-10-11", False),  # a Saturday that makes up for a holiday elsewhere
        ("2025-12-31", False), ("2026-02-12", True), ("2026-02-13", False), ("2026-02-23", False),
        ("2026-02-24", True), ("2026-09-24", False), ("2026-09-30", False), ("2026-10-07", False),
    ],
)  # fmt: skip
def test_there_is_no_night_before_a_holiday_nor_in_it(evening: str, has_night: bool) -> None:
    assert CALENDAR.has_night(date.fromisoformat(evening)) is has_night
    assert CALENDAR.is_open(*GOLD, china(f"{evening}T21:30")) is has_night
    after_midnight = china(f"{evening}T02:29") + timedelta(days=1)
    assert CALENDAR.is_open(*GOLD, after_midnight) is has_night


@pytest.mark.parametrize(
    ("moment", "day"),
    [
        ("2026-02-13T14:59", "2026-02-13"), ("2026-02-13T21:00", "2026-02-24"), ("2026-02-18T10:00", "2026-02-24"),
        ("2026-02-23T21:30", "2026-02-24"), ("2026-02-24T21:00", "2026-02-25"), ("2025-09-30T18:00", "2025-10-09"),
        ("2026-04-03T21:30", "2026-04-07"), ("2026-04-10T21:30", "2026-04-13"), ("2026-04-11T02:00", "2026-04-13"),
    ],
)  # fmt: skip
def test_what_counts_for_which_day_around_holidays(moment: str, day: str) -> None:
    assert CALENDAR.trading_day(china(moment)) == date.fromisoformat(day)


def hours_of(contract: tuple[str, Exchange], day: str) -> str | None:
    sessions = CALENDAR.sessions(*contract, date.fromisoformat(day))
    return None if sessions is None else " ".join(f"{each.begin:%d:%H%M}-{each.end:%d:%H%M}" for each in sessions)


def test_the_sessions_of_a_day_begin_with_the_night_before_it() -> None:
    by_day = "12:0900-12:1015 12:1030-12:1130 12:1330-12:1500"
    assert hours_of(GOLD, "2026-01-12") == f"09:2100-10:0230 {by_day}"  # from Friday's evening to Monday
    assert hours_of(REBAR, "2026-01-12") == f"09:2100-09:2300 {by_day}"
    assert hours_of(INDEX, "2026-01-12") == "12:0930-12:1130 12:1300-12:1500"
    assert hours_of(SHARE, "2026-01-12") == "12:0915-12:1130 12:1300-12:1500"
    assert hours_of(GOLD, "2026-02-24") == "24:0900-24:1015 24:1030-24:1130 24:1330-24:1500"
    assert hours_of(GOLD, "2026-02-18") == ""
    assert hours_of(BITCOIN, "2026-01-10") == "10:0000-11:0000"
    assert hours_of(FOREIGN, "2026-01-12") is None


@pytest.mark.parametrize(
    ("contract", "moment", "opens", "closes"),
    [
        (GOLD, "2026-02-13T14:00", "2026-02-24T09:00", "2026-02-13T15:00"),
        (GOLD, "2026-02-18T12:00", "2026-02-24T09:00", "2026-02-24T10:15"),
        (GOLD, "2026-01-09T23:00", "2026-01-12T09:00", "2026-01-10T02:30"),
        (SHARE, "2026-01-12T11:30", "2026-01-12T13:00", "2026-01-12T15:00"),
        (SHARE, "2025-09-30T15:00", "2025-10-09T09:15", "2025-10-09T11:30"),
    ],
)
def test_when_it_opens_and_closes_next(
    contract: tuple[str, Exchange], moment: str, opens: str, closes: str
) -> None:
    assert CALENDAR.next_open(*contract, china(moment)) == china(opens)
    assert CALENDAR.next_close(*contract, china(moment)) == china(closes)


def test_what_is_always_open_or_not_known_has_no_next() -> None:
    now = china("2026-02-18T12:00")
    for contract in (BITCOIN, FOREIGN):
        assert CALENDAR.next_open(*contract, now) is CALENDAR.next_close(*contract, now) is None
    assert CALENDAR.is_open(*FOREIGN, now) is CALENDAR.takes_orders(*FOREIGN, now) is None
    assert CALENDAR.day_of(Exchange.CME, now) is None
    assert CALENDAR.day_of(Exchange.GLOBAL, datetime(2026, 2, 18, 20, tzinfo=UTC)) == date(2026, 2, 18)


def test_an_order_before_a_holiday_is_of_the_first_day_after_it() -> None:
    placed = order(1, datetime="2026-02-13T13:30:00.000000+00:00")  # in the evening
    assert CALENDAR.is_of_today(placed, china("2026-02-24T14:00"))
    assert not CALENDAR.is_of_today(placed, china("2026-02-24T18:00"))


def test_orders_are_taken_in_the_call_auction() -> None:
    taken = {
        clock: CALENDAR.takes_orders(*GOLD, china(f"2026-01-12T{clock}"))
        for clock in ("08:54", "08:56", "10:20", "12:00", "20:54", "20:55", "21:00")
    }
    assert [clock for clock, takes in taken.items() if takes] == ["20:55", "21:00"]  # its day began in the night
    assert CALENDAR.takes_orders(*GOLD, china("2026-02-24T08:56")) is True  # there was none
    assert CALENDAR.takes_orders(*INDEX, china("2026-01-12T09:25")) is True
    assert CALENDAR.takes_orders(*INDEX, china("2026-01-12T09:24")) is False


class Guessed:
    """Every Tuesday is a holiday, perhaps."""

    def __contains__(self, day: object) -> bool:
        return isinstance(day, date) and day.weekday() == 1

    def is_estimated(self, year: int) -> bool:
        return True


def test_what_only_an_estimated_holiday_closes_is_not_surely_closed() -> None:
    calendar = TradingCalendar(Guessed())
    assert calendar.is_open(*GOLD, china("2026-01-13T10:00")) is False
    assert calendar.takes_orders(*GOLD, china("2026-01-13T10:00")) is None
    assert calendar.takes_orders(*GOLD, china("2026-01-12T21:30")) is None
    assert calendar.takes_orders(*GOLD, china("2026-01-13T12:00")) is False
    assert calendar.takes_orders(*GOLD, china("2026-01-11T10:00")) is False


def test_the_years_that_the_library_has_are_no_estimates() -> None:
    assert not CLOSED.is_estimated(2007)
    assert not CLOSED.is_estimated(2026)
    assert CLOSED.is_estimated(2006)
    assert CLOSED.is_estimated(2100)


def test_nothing_is_closed_before_the_library_is_loaded() -> None:
    closed = ClosedDays()
    assert not closed.is_loaded
    assert date(2026, 1, 1) not in closed
    closed.load()
    assert closed.is_loaded
    assert date(2026, 1, 1) in closed


FROM = datetime(2007, 1, 1, tzinfo=UTC)
moments = st.integers(0, 23 * 365 * 24 * 60).map(lambda minutes: FROM + timedelta(minutes=minutes))
contracts = st.sampled_from([GOLD, REBAR, INDEX, SHARE, ("T2606", Exchange.CFFEX), ("cu2605", Exchange.SHFE)])


@given(moments, moments)
def test_the_trading_day_never_goes_back(one: datetime, another: datetime) -> None:
    first, second = sorted((one, another))
    assert CALENDAR.trading_day(first) <= CALENDAR.trading_day(second)
    assert CALENDAR.is_trading_day(CALENDAR.trading_day(first))


@given(contracts, st.dates(date(2007, 1, 1), date(2030, 1, 1)))
def test_sessions_do_not_overlap_and_count_for_their_day(contract: tuple[str, Exchange], day: date) -> None:
    sessions = [
        (each, of)
        for of in (day, day + timedelta(1), day + timedelta(2))
        for each in CALENDAR.sessions(*contract, of) or []
    ]
    for (before, _), (after, _) in pairwise(sessions):
        assert before.end <= after.begin
    for session, of in sessions:
        assert session.begin < session.end
        last = session.end - timedelta(microseconds=1)
        assert CALENDAR.trading_day(session.begin) == CALENDAR.trading_day(last) == of
        assert CALENDAR.is_open(*contract, session.begin)
        assert CALENDAR.is_open(*contract, last)


@given(contracts, moments)
def test_it_is_open_exactly_if_it_closes_before_it_opens(contract: tuple[str, Exchange], moment: datetime) -> None:
    opens, closes = CALENDAR.next_open(*contract, moment), CALENDAR.next_close(*contract, moment)
    assert opens is not None
    assert closes is not None
    assert CALENDAR.is_open(*contract, moment) is (closes <= opens)
