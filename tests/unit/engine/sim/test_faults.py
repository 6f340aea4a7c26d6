"""The wire: what it loses, delays, doubles and mixes up, and that it does so again for the same seed."""

from typing import Any

import msgspec
import pytest
from vnpy.trader.object import LogData

from vnpy_core.engine.sim.faults import Faults, Wire, parse_faults
from vnpy_core.errors import ConfigError


def wire(**faults: Any) -> Wire:
    made = Wire(Faults(**faults))
    made.is_up = True
    return made


def news(count: int) -> list[LogData]:
    return [LogData("SIM", str(number)) for number in range(count)]


def texts(effects: Any) -> list[str]:
    return [effect.msg for effect in effects]


def test_a_sound_wire_hands_over_what_it_is_given() -> None:
    effects = news(5)
    assert wire().news(effects, 0) is effects
    assert wire().answer(effects, 0) is effects


def test_a_cut_wire_loses_everything_also_what_is_on_its_way() -> None:
    line = wire(ack_delay_ms=100)
    line.answer(news(2), 0)
    line.cut()
    assert line.news(news(3), 0) == ()
    line.is_up = True
    assert line.arrived(1) == []


def test_a_lost_acknowledgement_takes_the_whole_answer_and_no_later_news() -> None:
    line = wire(lose_acks=1)
    assert line.answer(news(2), 0) == ()
    assert texts(line.news(news(2), 0)) == ["0", "1"]
    assert texts(line.answer(news(2), 0)) == ["0", "1"]


def test_delayed_answers_are_not_overtaken() -> None:
    line = wire(ack_delay_ms=100)
    assert line.answer(news(2), 10.0) == ()
    assert line.due() == pytest.approx(10.1)
    line.inject(msgspec.structs.replace(line.faults, ack_delay_ms=0))
    assert line.news([LogData("SIM", "later")], 10.05) == ()
    assert line.arrived(10.09) == []
    assert texts(line.arrived(10.11)) == ["0", "1", "later"]
    assert line.due() == float("inf")
    assert texts(line.news(news(1), 10.2)) == ["0"]


def test_doubled_events_are_copies() -> None:
    once = news(3)
    twice = wire(duplicate=1).news(once, 0)
    assert texts(twice) == ["0", "0", "1", "1", "2", "2"]
    assert len({id(effect) for effect in twice}) == 6


def test_mixing_up_loses_nothing_and_repeats_for_the_seed() -> None:
    mixed = [texts(wire(reorder=0.5, seed=seed).news(news(40), 0)) for seed in (1, 1, 2)]
    assert mixed[0] == mixed[1] != mixed[2]
    assert sorted(mixed[0]) == sorted(texts(news(40)))
    assert mixed[0] != texts(news(40))


def test_refusals_are_used_up() -> None:
    line = wire(reject=2)
    assert [line.takes_reject() for _ in range(3)] == [True, True, False]


def test_an_unknown_fault_is_named_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="ack_delay_ms"):
        parse_faults({"ack_delay": 1})
