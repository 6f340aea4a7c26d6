"""The setting dict: what it accepts, and how it names what it does not."""

from typing import Any

import pytest
from tests.unit.engine.sim.market import MORNING, ZONE
from vnpy.trader.constant import Interval, Product

from vnpy_core.engine.sim.contracts import CATALOGUE, Instrument, list_contracts
from vnpy_core.engine.sim.session import parse_session, trading_day, trading_day_bounds
from vnpy_core.engine.sim.settings import DEFAULT_SETTING, MEMORY, parse_setting
from vnpy_core.errors import ConfigError


def test_nothing_need_be_set() -> None:
    settings = parse_setting({})
    assert (settings.feed, settings.persist, settings.symbols) == ("random", "", ())


def test_the_defaults_are_plain_values_as_vn_py_wants_them() -> None:
    assert all(type(value) in (str, int, float, bool) for value in DEFAULT_SETTING.values())
    assert parse_setting(DEFAULT_SETTING) == parse_setting({})


def test_text_from_a_form_is_accepted() -> None:
    settings = parse_setting(
        {
            "seed": "7", "speed": "0", "symbols": "rb2605.SHFE, i2605.DCE", "persist": "false", "margin_rate": "0.2",
            "contracts": '[{"vt_symbol": "rb2605.SHFE", "size": 5}]', "faults": '{"reject": 2}',
        }
    )  # fmt: skip
    assert (settings.seed, settings.speed, settings.persist, settings.margin_rate) == (7, 0, MEMORY, 0.2)
    assert settings.symbols == ("rb2605.SHFE", "i2605.DCE")
    assert settings.instruments()["rb2605.SHFE"].spec.size == 5
    assert settings.parsed_faults().reject == 2


@pytest.mark.parametrize(
    ("value", "path"),
    [(True, ""), ("true", ""), ("", ""), (False, MEMORY), (":memory:", MEMORY), ("/tmp/sim.db", "/tmp/sim.db")],
)
def test_persist_is_a_switch_or_a_path(value: Any, path: str) -> None:
    assert parse_setting({"persist": value}).persist == path


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ({"tick_intervall_ms": 5}, "tick_interval_ms"),
        ({"zzz": 5}, "valid are feed"),
        ({"seed": "many"}, "seed"),
        ({"feed": "live"}, "feed"),
        ({"speed": -1}, "speed"),
        ({"tick_interval_ms": 0}, "tick_interval_ms"),
        ({"session": "nine to five"}, "session"),
        ({"feed": "replay"}, "replay_symbols"),
        ({"faults": {"rejects": 1}}, "reject"),
        ({"faults": {"duplicate": 2}}, "duplicate"),
        ({"faults": "{"}, "faults"),
        ({"contracts": "[1"}, "contracts"),
        ({"replay_in_flight": 100_000}, "replay_in_flight"),
    ],
)
def test_a_wrong_setting_is_named(setting: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        parse_setting(setting)


def test_replay_times_without_an_offset_are_the_trading_zones() -> None:
    settings = parse_setting({"replay_start": "2026-01-06T09:30", "replay_end": "2026-01-06T01:30+00:00"})
    assert settings.moment("replay_start", ZONE) == MORNING
    assert settings.moment("replay_end", ZONE) == MORNING
    assert parse_setting({}).moment("replay_start", ZONE) is None
    with pytest.raises(ConfigError, match="replay_start"):
        parse_setting({"replay_start": "yesterday"}).moment("replay_start", ZONE)


def test_replay_interval_is_vn_pys() -> None:
    assert parse_setting({"replay_interval": "TICK"}).interval() is Interval.TICK


def test_the_catalogue_is_sound() -> None:
    instruments = list_contracts()
    assert len(instruments) == len(CATALOGUE)
    assert {spec.product.name for spec in CATALOGUE} == {"FUTURES", "EQUITY", "SPOT", "FOREX"}
    for instrument in instruments.values():
        spec = instrument.spec
        assert instrument.is_on_tick(spec.price)
        assert instrument.price_at(instrument.index_of(spec.price)) == spec.price
        contract = instrument.contract_data("SIM")
        assert contract.history_data
        assert contract.vt_symbol == instrument.vt_symbol
    assert instruments["rb2605.SHFE"].contract_data("SIM").product is Product.FUTURES


def test_contracts_are_changed_and_added() -> None:
    added = {"symbol": "6EH4", "exchange": "CME", "pricetick": 0.00005, "size": 125_000, "price": 1.1}
    instruments = list_contracts([{"vt_symbol": "rb2605.SHFE", "margin_rate": 0.2}, added], {"commission_rate": 0.5})
    assert instruments["rb2605.SHFE"].spec.margin_rate == 0.2
    assert instruments["rb2605.SHFE"].spec.size == 10
    assert instruments["6EH4.CME"].spec.size == 125_000
    assert {each.spec.commission_rate for each in instruments.values()} == {0.5}


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ({"vt_symbol": "rb2605.SHFE", "price_tick": 1}, "pricetick"),
        ({"vt_symbol": "rb2605.MOON"}, "rb2605.MOON"),
        ({"symbol": "x"}, "exchange"),
        ({"vt_symbol": "rb2605.SHFE", "size": 0}, "size"),
    ],
)
def test_a_wrong_contract_is_named(override: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        list_contracts([override])


@pytest.mark.parametrize("tick", ["1", "0.5", "0.2", "0.02", "0.1", "0.01", "0.001", "0.00001", "0.00005", "2.5", "10"])
def test_prices_are_the_floats_nearest_to_their_decimals(tick: str) -> None:
    instrument = Instrument(list_contracts([{"vt_symbol": "x.LOCAL", "pricetick": float(tick)}])["x.LOCAL"].spec)
    digits = len(tick.partition(".")[2])
    for index in (*range(1, 3000), 7_654_321):
        price = instrument.price_at(index)
        assert price == round(price, digits)
        assert instrument.index_of(price) == index
        assert instrument.is_on_tick(price)
    assert not instrument.is_on_tick(instrument.price_at(100) + float(tick) / 3)


@pytest.mark.parametrize(
    ("clock", "is_open"),
    [("08:59:59", False), ("09:00", True), ("11:30", False), ("21:00", True), ("02:29:59", True), ("02:30", False)],
)
def test_trading_hours(clock: str, is_open: bool) -> None:
    session = parse_session("09:00-11:30, 21:00-02:30")
    hour, minute, second = (int(part) for part in (clock + ":00").split(":")[:3])
    assert session.is_open(MORNING.replace(hour=hour, minute=minute, second=second)) is is_open


@pytest.mark.parametrize(
    ("moment", "day"),
    [
        ((6, 17, 59), 6),  # Tuesday afternoon
        ((6, 18, 0), 7),
        ((7, 2, 0), 7),
        ((9, 21, 0), 12),  # Friday night is Monday's
        ((10, 12, 0), 12),
        ((11, 23, 0), 12),
        ((12, 17, 0), 12),
        ((12, 18, 0), 13),
    ],
)
def test_trading_day_changes_in_the_evening_and_rests_at_the_week_end(moment: tuple[int, int, int], day: int) -> None:
    number, hour, minute = moment
    when = MORNING.replace(day=number, hour=hour, minute=minute)
    assert trading_day(when).day == day
    start, end = trading_day_bounds(when)
    assert start <= when < end
    assert trading_day(start) == trading_day(when) != trading_day(end)
