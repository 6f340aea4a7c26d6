"""What a killed process has left as running is told to have ended."""

from vnpy_core.data.read_model import ReadModel
from vnpy_core.enums import Direction, Offset
from vnpy_core.events import Event
from vnpy_core.models import Algo, Model
from vnpy_core.trading.leftovers import ends_of_leftovers

WHEN = "2026-01-05T01:30:00.000000+00:00"


def algo(name: str, status: str) -> Algo:
    return Algo(
        algo_name=name, template="TwapAlgo", vt_symbol="rb2501.SHFE", direction=Direction.LONG, offset=Offset.OPEN,
        price=3500.0, volume=9.0, status=status, traded=3.0, left=6.0, traded_price=3500.0, parameters={}, variables={},
    )  # fmt: skip


def test_only_what_was_running_is_ended() -> None:
    facts: list[Model] = [
        algo("TwapAlgo_1", "RUNNING"), algo("TwapAlgo_2", "PAUSED"), algo("TwapAlgo_3", "FINISHED"),
    ]  # fmt: skip
    known = ReadModel()
    known.apply([Event(fact) for fact in facts])

    ended = list(ends_of_leftovers(known))

    assert [fact.key for fact in ended] == ["TwapAlgo_1", "TwapAlgo_2"]
    known.apply([Event(fact) for fact in ended])
    assert list(ends_of_leftovers(known)) == []
    assert [event.data.is_final for event in known.algos.values()] == [True] * 3
