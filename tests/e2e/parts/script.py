"""What a day holds: orders with their fills, and ticks; each a function of its number alone, so that it can be checked.

Order ``n`` is sent at step ``n`` and filled five steps later; every step also has ten ticks.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

ORDERS = 20_000
STEPS = ORDERS + 5
TICKS_A_STEP = 10
TICKS = ORDERS * TICKS_A_STEP
SYMBOLS = [f"rb{number:04d}" for number in range(20)]
BEGIN = datetime(2026, 1, 5, 1, 30, tzinfo=UTC)


@dataclass(frozen=True)
class State:
    """What becomes of order ``number`` at ``step``; with ``fill`` a trade of that volume goes with it."""

    step: int
    number: int
    status: str
    traded: int
    fill: int = 0

    @property
    def tradeid(self) -> str:
        return f"{self.number}-{self.traded}"


def volume(number: int) -> int:
    return 2 if number % 4 == 0 else 1 + number % 3


def price(number: int) -> float:
    return float(3000 + number % 500)


def symbol(number: int) -> str:
    return SYMBOLS[number % len(SYMBOLS)]


def moment(step: int) -> datetime:
    return BEGIN + timedelta(milliseconds=4 * step)


def tick_moment(number: int) -> datetime:
    return BEGIN + timedelta(microseconds=400 * number)


def states(number: int) -> list[State]:
    """Return the life of an order."""
    whole = volume(number)
    partly = number % 4 == 0
    return [
        State(number, number, "SUBMITTING", 0),
        State(number + 1, number, "NOTTRADED", 0),
        *([State(number + 3, number, "PARTTRADED", 1, fill=1)] if partly else []),
        State(number + 5, number, "ALLTRADED", whole, fill=whole - partly),
    ]


def at(step: int) -> Iterator[State]:
    """Return what happens to orders at ``step``."""
    for number in range(max(0, step - 5), min(step + 1, ORDERS)):
        yield from (state for state in states(number) if state.step == step)


def ticks_at(step: int) -> range:
    """Return the numbers of the ticks of ``step``."""
    return range(step * TICKS_A_STEP, min((step + 1) * TICKS_A_STEP, TICKS))


def holding(step: int) -> int:
    """Return how many orders are filled after ``step``."""
    return min(max(0, step - 4), ORDERS)
