"""What the exchange remembers: everything, in one file, as of the last thing it told."""

import sqlite3
import time
from collections.abc import Iterator
from copy import copy
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.unit.engine.sim.market import CLOSE, LIMIT, LONG, MORNING, OPEN, SHORT, STOP, ZONE
from tests.unit.engine.sim.recording import Recording, bar
from vnpy.trader import database
from vnpy.trader.constant import Exchange, Interval, Offset, Status
from vnpy.trader.object import HistoryRequest, OrderData, OrderRequest, TickData

from vnpy_core.engine.sim.feed import RandomFeed
from vnpy_core.engine.sim.settings import parse_setting
from vnpy_core.engine.sim.store import FileStore
from vnpy_core.engine.sim.venue import Venue
from vnpy_core.errors import ConfigError, Unavailable

REBAR, ORE, BITCOIN = "rb2605.SHFE", "i2605.DCE", "BTCUSDT.GLOBAL"


class Venues:
    """Opens venues on one file; ``kill`` is what a killed process leaves: nothing is closed or said goodbye to."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "sim_SIM.db"
        self.venue: Venue | None = None

    def open(self, **setting: Any) -> Venue:
        self.venue = Venue("SIM", parse_setting({"symbols": f"{REBAR},{ORE},{BITCOIN}"} | setting), self.path, ZONE)
        return self.venue

    def kill(self) -> None:
        """Go on with a copy of the file as the operating system has it now."""
        assert isinstance(self.venue, Venue)
        assert isinstance(self.venue.store, FileStore)
        parts = {part.name: part.read_bytes() for part in self.path.parent.iterdir()}
        self.close()
        for name, content in parts.items():
            (self.path.parent / name).write_bytes(content)

    def close(self) -> None:
        if self.venue is not None:
            self.venue.store.close()
            self.venue = None


@pytest.fixture
def venues(tmp_path: Path) -> Iterator[Venues]:
    made = Venues(tmp_path)
    yield made
    made.close()


def quote(venue: Venue, bid: float, ask: float, volume: float = 10, vt_symbol: str = REBAR) -> None:
    symbol, exchange = vt_symbol.split(".")
    venue.on_tick(
        TickData(
            "SIM", symbol, Exchange(exchange), venue.now(), last_price=bid, bid_price_1=bid, bid_volume_1=volume,
            ask_price_1=ask, ask_volume_1=volume,
        )
    )  # fmt: skip
    venue.save()


def send(venue: Venue, volume: float, price: float, vt_symbol: str = REBAR, **fields: Any) -> OrderData:
    symbol, exchange = vt_symbol.split(".")
    fields = {"direction": LONG, "offset": OPEN, "type": LIMIT} | fields
    request = OrderRequest(symbol, Exchange(exchange), volume=volume, price=price, reference="test", **fields)
    vt_orderid = venue.exchange.submit(request, venue.now())
    venue.save()
    return copy(venue.exchange.orders[vt_orderid.removeprefix("SIM.")])


def state(venue: Venue) -> dict[str, Any]:
    exchange, ledger = venue.exchange, venue.exchange.ledger
    return {
        "orders": list(exchange.orders.values()),
        "trades": list(exchange.trades.values()),
        "working": list(exchange.working),
        "positions": {position.vt_positionid: vars(position) | {"pnl": 0} for position in exchange.positions()},
        "money": (ledger.deposit, ledger.realised, ledger.commission, ledger.margin, ledger.reserved),
        "counts": (exchange.order_count, exchange.trade_count, exchange.day),
    }


def busy(venue: Venue) -> None:
    """Leave every kind of order, position and money behind."""
    quote(venue, 3499, 3500)
    quote(venue, 779.5, 780, vt_symbol=ORE)
    quote(venue, 60_000, 60_000.1, vt_symbol=BITCOIN)
    send(venue, 15, 3500)  # partly filled, rests
    send(venue, 2, 3499, direction=SHORT, offset=Offset.CLOSETODAY)
    send(venue, 3, 3600, direction=SHORT, offset=Offset.CLOSETODAY)  # rests, freezes the position
    send(venue, 1, 3500.5)  # refused
    send(venue, 1, 3500, vt_symbol="nothing.SHFE")
    send(venue, 5, 790, vt_symbol=ORE, type=STOP)  # waits
    waiting = send(venue, 15, 781, vt_symbol=ORE, type=STOP)
    quote(venue, 781, 781.5, vt_symbol=ORE)  # triggers it, fills ten
    assert venue.exchange.orders[waiting.orderid].status is Status.PARTTRADED
    send(venue, 0.5, 60_000, vt_symbol=BITCOIN, direction=SHORT, offset=CLOSE)
    venue.exchange.cancel(send(venue, 1, 3400).orderid, venue.now())
    venue.save()
    venue.exchange.take_effects()


def test_everything_is_there_again_after_a_kill(venues: Venues) -> None:
    venue = venues.open()
    busy(venue)
    before = state(venue)
    venues.kill()
    after = venues.open()
    assert state(after) == before
    assert len(before["working"]) == 4
    assert len(before["positions"]) == 3


def test_orders_that_were_working_go_on_working(venues: Venues) -> None:
    venue = venues.open()
    busy(venue)
    resting, _, waiting, triggered = venue.exchange.working
    venues.kill()
    venue = venues.open()
    quote(venue, 3499, 3500)
    assert venue.exchange.orders[resting].status is Status.ALLTRADED
    quote(venue, 779, 779.5, vt_symbol=ORE)  # the triggered one takes any price, the other still waits
    assert venue.exchange.orders[triggered].status is Status.ALLTRADED
    assert venue.exchange.orders[waiting].status is Status.NOTTRADED
    quote(venue, 790, 790.5, vt_symbol=ORE)
    assert venue.exchange.orders[waiting].status is Status.ALLTRADED


def test_ids_go_on_where_they_were(venues: Venues) -> None:
    venue = venues.open()
    busy(venue)
    ids, trades = set(venue.exchange.orders), set(venue.exchange.trades)
    venues.kill()
    venue = venues.open()
    quote(venue, 3499, 3500, 100)
    assert send(venue, 1, 3500).orderid not in ids
    assert len(venue.exchange.trades) > len(trades)


def test_a_day_that_began_meanwhile_is_settled_on_the_way_in(venues: Venues) -> None:
    venue = venues.open()
    busy(venue)
    venues.kill()
    file = sqlite3.connect(venues.path)
    (account,) = file.execute("SELECT value FROM meta WHERE key = 'account'").fetchone()
    day = venue.exchange.day
    assert day is not None
    file.execute(
        "UPDATE meta SET value = ? WHERE key = 'account'",
        (account.replace(day.isoformat().encode(), (day - timedelta(days=1)).isoformat().encode()),),
    )
    file.commit()
    file.close()
    venue = venues.open()
    assert {order.data.vt_symbol for order in venue.exchange.working.values()} <= {BITCOIN}
    positions = {position.vt_symbol: position for position in venue.exchange.positions()}
    assert positions[REBAR].yd_volume == positions[REBAR].volume == 8
    assert positions[REBAR].frozen == 0


def test_the_walk_goes_on_from_its_last_saved_price(venues: Venues) -> None:
    venue = venues.open()
    assert isinstance(venue.feed, RandomFeed)
    for _ in range(500):
        tick = venue.feed.walks[REBAR].next(venue.now())
        venue.on_tick(tick)
    venue.save_feed()
    venues.kill()
    again = venues.open()
    assert isinstance(again.feed, RandomFeed)
    assert abs(again.feed.walks[REBAR].next(again.now()).last_price - tick.last_price) <= 1


def test_a_walk_of_other_prices_begins_anew(venues: Venues) -> None:
    venue = venues.open()
    assert isinstance(venue.feed, RandomFeed)
    venue.on_tick(venue.feed.walks[REBAR].next(venue.now()))
    venue.save_feed()
    venues.kill()
    again = venues.open(contracts=[{"vt_symbol": REBAR, "price": 500, "pricetick": 0.5}])
    assert isinstance(again.feed, RandomFeed)
    assert abs(again.feed.walks[REBAR].next(again.now()).last_price - 500) <= 0.5


def test_minute_bars_are_remembered(venues: Venues) -> None:
    venue = venues.open()
    assert isinstance(venue.feed, RandomFeed)
    start = venue.now().replace(second=0, microsecond=0) - timedelta(minutes=10)
    for number in range(20 * 5):
        venue.on_tick(venue.feed.walks[REBAR].next(start + timedelta(seconds=3 * number)))
    venue.save_feed()
    request = HistoryRequest("rb2605", Exchange.SHFE, start, venue.now(), Interval.MINUTE)
    bars = venue.history(request, venue.recorded_minutes(request))
    assert [bar.datetime for bar in bars] == [start + timedelta(minutes=number) for number in range(5)]
    venues.kill()
    again = venues.open()
    assert again.history(request, again.recorded_minutes(request)) == bars


def test_a_replay_goes_on_from_the_last_fill_that_was_told(venues: Venues) -> None:
    database.database = Recording([bar(MORNING + timedelta(minutes=n), 3500, 3505, 3495, 3502) for n in range(60)])
    try:
        setting = {"feed": "replay", "replay_symbols": REBAR, "speed": 0.0, "replay_begin": "connect"}
        venue = venues.open(**setting)
        for _ in range(100):
            venue.feed.fetch()
            tick = venue.feed.pop(0)
            assert tick is not None
            venue.on_tick(tick)
        order = send(venue, 1, 3600)
        assert (order.status, order.datetime) == (Status.ALLTRADED, tick.datetime)
        venues.kill()
        venue = venues.open(**setting)
        venue.feed.fetch()
        following = venue.feed.pop(0)
        assert following is not None
        assert following.datetime == tick.datetime + timedelta(seconds=1)
        venues.kill()
        assert venues.open(**setting | {"replay_end": "2030-01-01"}).now() == MORNING  # another replay begins
    finally:
        database.database = None


def test_balance_is_for_a_new_account(venues: Venues) -> None:
    venues.open(balance=5000)
    venues.kill()
    venue = venues.open(balance=6000)
    assert venue.exchange.ledger.deposit == 5_000_000_000
    assert any("5000.00" in note for note in venue.notes)


def test_a_contract_that_is_no_longer_listed_takes_its_orders_with_it(venues: Venues) -> None:
    extra = {"vt_symbol": "new.LOCAL", "price": 10}
    venue = venues.open(contracts=[extra], symbols=f"new.LOCAL,{REBAR}")
    quote(venue, 10, 11, vt_symbol="new.LOCAL")
    filled, resting = (send(venue, 1, price, vt_symbol="new.LOCAL") for price in (11, 5))
    venues.kill()
    venue = venues.open()
    assert venue.exchange.orders[filled.orderid].status is Status.ALLTRADED
    assert venue.exchange.orders[resting.orderid].status is Status.CANCELLED
    assert venue.exchange.working == {}
    assert any("new.LOCAL" in note for note in venue.notes)


def test_one_process_has_the_file(venues: Venues) -> None:
    venues.open()
    other = Venues(venues.path.parent)
    with pytest.raises(Unavailable, match="end the process that has it"):
        other.open()


def test_a_file_of_a_newer_version_is_left_alone(venues: Venues) -> None:
    venues.open()
    venues.close()
    file = sqlite3.connect(venues.path)
    file.execute("UPDATE meta SET value = '99' WHERE key = 'version'")
    file.commit()
    file.close()
    with pytest.raises(Unavailable, match="newer version"):
        venues.open()


def test_a_file_that_is_no_database_is_named(venues: Venues) -> None:
    venues.path.write_text("not a database, and long enough to be looked at as one" * 100)
    with pytest.raises(Unavailable, match=r"sim_SIM\.db"):
        venues.open()


def test_a_write_that_fails_is_made_up_for_by_the_next(venues: Venues) -> None:
    venue = venues.open()
    quote(venue, 3499, 3500)
    assert isinstance(venue.store, FileStore)
    venue.store._db.execute("PRAGMA query_only=ON")
    unwritten = send(venue, 1, 3500)
    venue.save_feed()
    venue.store._db.execute("PRAGMA query_only=OFF")
    written = send(venue, 1, 3500)
    before = state(venue)
    venues.kill()
    after = venues.open()
    assert state(after) == before
    assert {unwritten.orderid, written.orderid} <= set(after.exchange.orders)


def test_an_unknown_symbol_is_named_with_the_nearest(venues: Venues) -> None:
    with pytest.raises(ConfigError, match=r"rb2605\.SHFE"):
        venues.open(symbols="rb2606.SHFE")


def test_without_a_file_ids_begin_where_an_earlier_process_has_none(tmp_path: Path) -> None:
    began = time.strftime("%H%M%S")
    venue = Venue("SIM", parse_setting({"persist": False}), tmp_path / "none.db", ZONE)
    order = send(venue, 1, 3500)
    assert int(began) <= int(order.orderid[6:]) // 10_000 <= int(time.strftime("%H%M%S"))
    assert list(tmp_path.iterdir()) == []
