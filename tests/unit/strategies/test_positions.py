"""PositionCheck: a pos that recorded trades do not explain keeps its strategy from starting, until it is accepted."""

from collections.abc import Mapping

import pytest

from vnpy_core.data.strategy_positions import Baseline, Recorded
from vnpy_core.errors import Conflict, Unavailable
from vnpy_core.events import Event
from vnpy_core.models import Alert, Model
from vnpy_core.strategies.alerts import StrategyAlerts
from vnpy_core.strategies.positions import PositionCheck

WHEN = "2026-01-05T01:30:00.000000+00:00"


class Told:
    def __init__(self) -> None:
        self.alerts: list[tuple[str, bool]] = []

    def emit(self, model: Model) -> None:
        assert isinstance(model, Alert)
        Event(model)
        self.alerts.append((model.alert_id, model.resolved))

    def subscribe(self, callback: object) -> None: ...


class Record:
    """The tables; ``later`` is what another look finds."""

    position = 7
    lag = 0
    healthy = True

    def __init__(self) -> None:
        self.sums: dict[str, float] = {}
        self.later: dict[str, float] = {}
        self.known: dict[str, Baseline] = {}
        self.down = False

    async def recorded(self) -> Mapping[str, Recorded]:
        if self.down:
            raise Unavailable("it is down")
        found = {name: Recorded(total) for name, total in self.sums.items()}
        self.sums.update(self.later)
        return found

    async def baselines(self) -> Mapping[str, Baseline]:
        return self.known

    async def set_baseline(self, strategy_name: str, beyond_trades: float, by: str) -> Baseline:
        self.known[strategy_name] = Baseline(beyond_trades=beyond_trades, set_by=by, set_at=WHEN)
        return self.known[strategy_name]

    async def forget(self, strategy_name: str) -> None:
        self.known.pop(strategy_name, None)


class Desk:
    def __init__(self) -> None:
        self.told, self.record = Told(), Record()
        self.pos = {"one": 0.0}
        self.restart()

    def restart(self) -> None:
        self.check = PositionCheck(self.pos_of, self.record, self.record, StrategyAlerts(self.told), again_s=0)

    async def pos_of(self, name: str) -> float:
        return self.pos[name]


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def test_the_first_look_says_what_it_began_with_and_later_ones_are_held_against_it(desk: Desk) -> None:
    desk.pos["one"], desk.record.sums["one"] = 5, 2
    await desk.check.require("one")
    assert desk.record.known["one"].beyond_trades == 3

    desk.pos["one"], desk.record.sums["one"] = 6, 3
    desk.restart()
    await desk.check.require("one")
    assert (await desk.check.look("one")).state == "AGREES"
    assert desk.told.alerts == []


async def test_one_that_differs_is_refused_until_it_is_accepted(desk: Desk) -> None:
    await desk.check.require("one")
    desk.restart()
    desk.record.sums["one"] = 2
    with pytest.raises(Conflict, match="its pos is 0, and by its recorded trades it should be 2") as caught:
        await desk.check.require("one")
    assert caught.value.error_code == "position_mismatch"
    assert (await desk.check.look("one")).difference == -2
    assert desk.told.alerts == [("strategy.position.one", False)]

    accepted = await desk.check.accept("one", by="ann")
    assert (accepted.state, accepted.beyond_trades, accepted.set_by) == ("AGREES", -2, "ann")
    assert desk.told.alerts[1:] == [("strategy.position.one", True)]
    await desk.check.require("one")


async def test_a_trade_that_reaches_the_tables_a_moment_later_is_no_difference(desk: Desk) -> None:
    await desk.check.require("one")
    desk.restart()
    desk.pos["one"], desk.record.later["one"] = 2, 2
    await desk.check.require("one")
    assert desk.told.alerts == []


async def test_what_cannot_be_checked_holds_up_nothing_and_is_not_accepted(desk: Desk) -> None:
    desk.record.down = True
    await desk.check.require("one")
    assert (await desk.check.look("one")).state == "UNCHECKED"
    with pytest.raises(Unavailable, match="down"):
        await desk.check.accept("one", by="ann")


async def test_one_that_is_removed_leaves_nothing_to_one_of_its_name(desk: Desk) -> None:
    desk.pos["one"] = 4
    await desk.check.require("one")
    await desk.check.forget("one")
    desk.pos["one"] = 0
    await desk.check.require("one")
    assert desk.record.known["one"].beyond_trades == 0
