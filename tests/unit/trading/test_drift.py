"""DriftWatch with a made-up clock: which change of strategies or accounts is a drift, and what ends one."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.facts import gateway, order, position, strategy, trade

from vnpy_core.config.gateways import GatewaySettings
from vnpy_core.data.read_model import ReadModel
from vnpy_core.enums import Direction, Exchange, GatewayState, Offset, Product, StrategyState
from vnpy_core.errors import Conflict, NotFound
from vnpy_core.events import Event
from vnpy_core.models import Alert, Contract, Model, Position, Strategy
from vnpy_core.trading.drift import DriftWatch
from vnpy_core.trading.drift_sides import Drift, Sides, parts_of
from vnpy_core.trading.reconciliation import Reconciliation

SYMBOL = "rb2501.SHFE"
SETTLE_S = 15.0


def contract(gateway_name: str = "SIM") -> Contract:
    return Contract(
        vt_symbol=SYMBOL, symbol="rb2501", exchange=Exchange.SHFE, gateway_name=gateway_name, name="",
        product=Product.FUTURES, size=10.0, pricetick=1.0, min_volume=1.0, max_volume=None, stop_supported=False,
        net_position=False, history_data=False,
    )  # fmt: skip


def held(volume: float, direction: Direction = Direction.LONG) -> Position:
    return msgspec.structs.replace(
        position(volume=volume), direction=direction, vt_positionid=f"SIM.{SYMBOL}.{direction}"
    )


def believes(pos: float | None, name: str = "demo", **changes: Any) -> Strategy:
    return msgspec.structs.replace(strategy(name), pos=pos, **changes)


class Site:
    """A service that is started on ``folder``, with what was journaled before in ``tables``."""

    def __init__(self, folder: Path | None = None, tables: ReadModel | None = None, **settings: Any) -> None:
        self.clock = 1000.0
        self.tables = tables or ReadModel()
        self.seq = max((event.seq or 0 for event in self.tables.trades.values()), default=0) + 100
        self.state: Any = "PASSED"
        self.callback: Callable[[Sequence[Event]], None] = lambda events: None
        self.alerts: list[Alert] = []
        made = {
            name: GatewaySettings.model_validate({"class": "x.Y", "drift_settle_s": SETTLE_S, **settings})
            for name in ("SIM", "TWO")
        }
        kept = folder / "drift.json" if folder is not None else None
        self.watch = DriftWatch(made, self.results, self, self.tables, clock=lambda: self.clock, kept=kept)

    def results(self) -> list[Reconciliation]:
        return [Reconciliation(gateway_name=name, state=self.state, holds=False) for name in ("SIM", "TWO")]

    def subscribe(self, callback: Callable[[Sequence[Event]], None]) -> None:
        self.callback = callback

    def emit(self, model: Model) -> None:
        assert isinstance(model, Alert)
        self.alerts.append(model)
        self.tables.apply([Event(model)])

    def tell(self, *models: Model) -> None:
        events = [Event(model) for model in models]
        for event in events:
            self.seq += 1
            event.seq = self.seq
        self.tables.apply(events)
        self.callback(events)

    def after(self, seconds: float) -> None:
        for _ in range(int(seconds)):
            self.clock += 1
            self.watch.look()

    def begin(self, account: float = 5.0, pos: float = 2.0) -> None:
        self.tell(gateway(), contract(), believes(pos), held(account))
        self.after(SETTLE_S + 1)

    @property
    def drift(self) -> Drift:
        (found,) = self.watch.results()
        return found

    @property
    def raised(self) -> list[bool]:
        return [not alert.resolved for alert in self.alerts]


@pytest.fixture
def site() -> Site:
    made = Site()
    made.begin()
    return made


def test_what_the_account_held_before_is_the_owners(site: Site) -> None:
    assert (site.drift.strategies, site.drift.others, site.drift.account) == (2.0, 3.0, 5.0)
    assert (site.drift.state, site.drift.drift) == ("AGREES", 0.0)
    site.after(100)
    assert site.raised == []


@pytest.mark.parametrize("order_of_news", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_a_fill_of_a_strategy_is_none_however_its_news_come(site: Site, order_of_news: tuple[int, ...]) -> None:
    news = [trade(1, volume=4.0), believes(6.0), held(9.0)]
    site.tell(order(1))
    for place in order_of_news:
        site.tell(news[place])
        site.after(SETTLE_S - 5)
    site.after(60)
    assert site.raised == []
    assert (site.drift.others, site.drift.drift) == (3.0, 0.0)


@pytest.mark.parametrize("reference", ["", "desk", "AlgoTrading_TwapAlgo_1"])
def test_a_trade_of_no_strategy_is_the_others(site: Site, reference: str) -> None:
    site.tell(order(1, reference=reference), trade(1, volume=4.0, direction=Direction.SHORT, offset=Offset.OPEN))
    site.tell(held(4.0, Direction.SHORT))
    site.after(60)
    assert site.raised == []
    assert (site.drift.others, site.drift.account) == (-1.0, 1.0)


@pytest.mark.parametrize(("reference", "others"), [("CtaStrategy_demo", 3.0), ("", 4.0)])
def test_the_order_of_a_trade_may_be_told_after_it(site: Site, reference: str, others: float) -> None:
    site.tell(trade(1, volume=1.0))
    site.after(2)
    site.tell(order(1, reference=reference))
    site.after(2)
    assert site.drift.others == others


def test_a_trade_whose_order_is_never_told_is_the_others(site: Site) -> None:
    site.tell(trade(1, volume=1.0), held(6.0))
    site.after(60)
    assert (site.drift.others, site.raised) == (4.0, [])


def test_the_account_changed_without_a_trade(site: Site) -> None:
    site.tell(held(4.0))
    site.after(SETTLE_S - 1)
    assert (site.drift.state, site.raised) == ("SETTLING", [])
    site.after(2)
    assert (site.drift.state, site.drift.drift) == ("DRIFTED", -1.0)
    (alert,) = site.alerts
    assert (alert.alert_id, alert.severity) == (f"drift.SIM.{SYMBOL}", "critical")
    for number in ("holds 4", "strategies 2", "demo 2", "others 3", "drift of -1"):
        assert number in alert.summary
    site.after(100)
    assert site.raised == [True]
    site.tell(held(5.0))
    site.after(SETTLE_S + 1)
    assert (site.raised, site.drift.state) == ([True, False], "AGREES")


def test_a_strategy_changed_without_a_fill(site: Site) -> None:
    site.tell(believes(0.0))
    site.after(SETTLE_S + 1)
    assert (site.raised, site.drift.drift) == ([True], 2.0)


def test_a_strategy_that_misses_its_fills_is_found_in_busy_trade(site: Site) -> None:
    for number in range(1, 40):
        site.tell(order(number), trade(number, vt_orderid=f"SIM.{number}"), held(5.0 + number))
        site.after(5)
    assert site.raised == [True]


def test_an_account_that_is_always_a_little_late_is_none(site: Site) -> None:
    for number in range(1, 60):
        site.tell(order(number), trade(number, vt_orderid=f"SIM.{number}"), believes(2.0 + number))
        site.after(3)
        site.tell(held(5.0 + number))
    assert site.raised == []


def test_a_strategy_that_is_removed_with_a_position_leaves_it_behind(site: Site) -> None:
    site.tell(believes(2.0, state=StrategyState.REMOVED))
    site.after(SETTLE_S + 1)
    assert (site.raised, site.drift.drift, site.drift.positions) == ([True], 2.0, {})


def test_with_the_last_strategy_gone_and_nothing_left_behind_nothing_is_compared(site: Site) -> None:
    site.tell(believes(0.0), held(3.0), believes(0.0, state=StrategyState.REMOVED))
    site.after(SETTLE_S + 1)
    assert (site.watch.results(), site.raised) == ([], [])


def test_two_strategies_are_taken_together(site: Site) -> None:
    site.tell(believes(0.0, "second"), believes(-1.0, "second"), believes(3.0))
    site.after(60)
    assert (site.raised, site.drift.positions) == ([], {"demo": 3.0, "second": -1.0})


def test_a_position_that_is_not_known_is_not_compared(site: Site) -> None:
    site.tell(believes(None))
    site.after(60)
    assert (site.drift.state, site.drift.strategies, site.raised) == ("WAITING", None, [])


@pytest.mark.parametrize("reason", ["lost", "reconciling"])
def test_nothing_is_compared_until_the_venue_has_told(site: Site, reason: str) -> None:
    if reason == "lost":
        site.tell(gateway(state=GatewayState.DISCONNECTED))
    else:
        site.state = "RUNNING"
    site.tell(held(9.0))
    site.after(60)
    assert (site.drift.state, site.raised) == ("WAITING", [])
    site.tell(gateway())
    site.state = "PASSED"
    site.after(SETTLE_S + 1)
    assert site.raised == [True]


def test_a_tolerance_lets_a_small_difference_pass_but_not_its_sum() -> None:
    site = Site(drift_tolerance=1.0)
    site.begin()
    site.tell(held(6.0))
    site.after(60)
    assert (site.raised, site.drift.state, site.drift.drift) == ([], "AGREES", 1.0)
    site.tell(held(7.0))
    site.after(60)
    assert site.raised == [True]


def test_it_can_be_switched_off() -> None:
    site = Site(drift="off")
    site.begin()
    site.tell(held(9.0))
    site.after(60)
    assert (site.watch.results(), site.alerts) == ([], [])


async def test_a_drift_is_accepted_and_is_the_others_then(site: Site) -> None:
    with pytest.raises(NotFound):
        await site.watch.accept("SIM", "hc2501.SHFE")
    with pytest.raises(Conflict):
        await site.watch.accept("SIM", SYMBOL)
    site.tell(held(9.0))
    site.after(60)
    accepted = await site.watch.accept("SIM", SYMBOL)
    assert (accepted.others, accepted.drift, accepted.state) == (7.0, 0.0, "AGREES")
    site.after(60)
    assert site.raised == [True, False]


async def test_trades_and_changes_while_the_service_was_down(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.begin()
    site.tell(order(1, reference=""), trade(1, volume=1.0), held(6.0))
    await site.watch.close()
    site.tell(order(2, reference=""), trade(2, vt_orderid="SIM.2", volume=2.0))  # journaled, and the process killed

    again = Site(tmp_path, site.tables)
    again.tell(gateway(), contract())
    assert again.drift.others == 6.0
    again.tell(held(8.0))
    again.after(60)
    assert again.raised == []
    again.tell(held(7.0))
    again.after(60)
    assert again.raised == [True]
    await again.watch.close()

    last = Site(tmp_path, again.tables)
    last.tell(gateway(), contract(), held(8.0))
    last.after(60)
    assert last.raised == [False]


async def test_a_file_that_is_not_one_begins_anew(tmp_path: Path) -> None:
    (tmp_path / "drift.json").write_text("{")
    site = Site(tmp_path)
    site.begin()
    assert site.drift.others == 3.0
    await site.watch.close()
    assert Site(tmp_path, site.tables).drift.others == 3.0


def test_a_symbol_that_goes_to_another_gateway_begins_anew(site: Site) -> None:
    site.tell(held(9.0))
    site.after(60)
    site.tell(gateway("TWO"), contract("TWO"))
    site.after(60)
    assert site.raised == [True, False]
    assert (site.drift.gateway_name, site.drift.account, site.drift.others) == ("TWO", 0.0, -2.0)


def test_a_strategy_of_several_symbols_counts_for_each() -> None:
    base = believes(0)
    both = msgspec.structs.replace(
        base, pos=None, vt_symbols=[base.vt_symbol, "hc2505.SHFE"], positions={base.vt_symbol: 2.0, "hc2505.SHFE": -3.0}
    )
    sides = Sides()
    for model in (contract(), *parts_of(both)):
        sides.take(model)
    name = contract().gateway_name
    assert sides.total((name, base.vt_symbol)) == 2.0
    assert sides.total((name, "hc2505.SHFE")) == -3.0
    for part in parts_of(msgspec.structs.replace(both, state=StrategyState.REMOVED)):
        sides.take(part)
    assert not sides.has_strategies("hc2505.SHFE")
