"""The recorded market data that tests replay and import, and what stands in for it where it is not.

The recordings are not part of the project: they are expected beside the checkout, in ../shared/data. Without them a
seeded walk is written in the same files: the same columns, formats, numbers of rows, first and last rows.
"""

import gzip
import itertools
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "shared" / "data"
BITCOIN, EURO_FUTURE = "btc_perp_1m_202201.csv.gz", "6EH4_CME_1m_202401.csv.gz"
YEN, EURO = "usdjpy_quotes_20130101.csv.gz", "eurusd_quotes_202001.csv.gz"
FILES = (BITCOIN, EURO_FUTURE, YEN, EURO)
MINUTE = timedelta(minutes=1)

Bar = tuple[float, float, float, float, float]


def is_there() -> bool:
    return all((FOLDER / name).is_file() for name in FILES)


def pytest_report_header() -> str:
    if is_there():
        return f"market data: recorded, {FOLDER}"
    return f"market data: a stand-in made by tests/recorded.py, since it is not in {FOLDER}"


@pytest.fixture(scope="session")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the data that was made."""
    folder = tmp_path_factory.mktemp("stand-in")
    write(folder)
    return folder


@pytest.fixture(scope="session")
def recorded(request: pytest.FixtureRequest) -> Path:
    """The folder of market data: the recorded, or what stands in for it."""
    if is_there():
        return FOLDER
    made: Path = request.getfixturevalue("stand_in")
    return made


def write(folder: Path) -> None:
    random = Random(20260107)
    begin, count = datetime(2021, 12, 31, 23, 1), 45_031  # noqa: DTZ001  the files name no zone
    first, last = (46319.0, 46385.0, 46319.0, 46377.0, 2300413.7295), (38525.0, 38546.0, 38525.0, 38544.0, 685906.9735)
    bars = zip((begin + number * MINUTE for number in range(count)), walk(random, count, 0.5, first, last), strict=True)
    save(folder / BITCOIN, "timestamp,open,high,low,close,volume", lines(bars, "%Y-%m-%d %H:%M:%S.%f"))

    begin, minutes, count = datetime(2024, 1, 1, 23, 1), 43_259, 29_996  # noqa: DTZ001
    traded = [0, *sorted(random.sample(range(1, minutes - 1), count - 2)), minutes - 1]
    first, last = (1.1076, 1.10785, 1.1076, 1.1078, 205.0), (1.08225, 1.0824, 1.08225, 1.0823, 36.0)
    bars = zip((begin + number * MINUTE for number in traded), walk(random, count, 0.00005, first, last), strict=True)
    save(folder / EURO_FUTURE, "timestamp_utc,open,high,low,close,volume", lines(bars, "%Y-%m-%d %H:%M:%S"))

    begin, end = datetime(2013, 1, 1, 22, 0, 0, 295_000), datetime(2013, 1, 1, 22, 35, 13, 494_000)  # noqa: DTZ001
    quotes = walk_of_quotes(random, 1000, 0.001, (86.655, 86.728), (86.836, 86.854))
    rows = (
        f"{time.isoformat(' ', 'microseconds')}+00:00,{bid:.3f},{ask:.3f}"
        for time, (bid, ask) in zip(moments(random, begin, end, 1000, repeated=7), quotes, strict=True)
    )
    save(folder / YEN, "timestamp,bid,ask", rows)

    begin, end = datetime(2020, 1, 1, 17, 0, 0, 65_000), datetime(2020, 1, 1, 23, 0, 52, 125_000)  # noqa: DTZ001
    quotes = walk_of_quotes(random, 9500, 0.00001, (1.1212, 1.12172), (1.1213, 1.12132))
    rows = (
        f"{time:%Y%m%d %H%M%S}{time.microsecond // 1000:03},{bid:.6f},{ask:.6f},0"
        for time, (bid, ask) in zip(moments(random, begin, end, 9500), quotes, strict=True)
    )
    save(folder / EURO, None, rows)


def save(path: Path, header: str | None, rows: Iterable[str]) -> None:
    with gzip.open(path, "wt", compresslevel=1) as file:
        file.writelines(f"{row}\n" for row in ([] if header is None else [header]))
        file.writelines(f"{row}\n" for row in rows)


def lines(bars: Iterable[tuple[datetime, Bar]], time_format: str) -> Iterator[str]:
    for time, bar in bars:
        yield ",".join([time.strftime(time_format), *(f"{value:.12g}" for value in bar)])


def walk(random: Random, count: int, step: float, first: Bar, last: Bar) -> Iterator[Bar]:
    """Yield bars from ``first`` to ``last``, each open the close before.

    The walk calms down and wakes up, and has a drift that turns every few hours: strategies find trends and breaks.
    """
    closes, trend, wildness = [0.0], 0.0, 1.0
    for number in range(count - 2):
        if number % 90 == 0:
            trend = random.uniform(-0.5, 0.5)
            wildness = random.choice((0.3, 0.3, 1.0, 4.0))
        closes.append(closes[-1] + wildness * (trend + random.gauss(0, 1)))
    scale = first[3] * 0.0005
    # As much is taken from each as makes the walk end where the last bar opens.
    missing = (last[0] - first[3] - closes[-1] * scale) / (count - 2)
    prices = [round((first[3] + close * scale + missing * place) / step) * step for place, close in enumerate(closes)]
    yield first
    for before, close in itertools.pairwise(prices):
        high = max(before, close) + step * random.randrange(1, 12)
        low = min(before, close) - step * random.randrange(1, 12)
        yield before, high, low, close, float(random.randrange(10, 5_000))
    yield last


def walk_of_quotes(
    random: Random, count: int, step: float, first: tuple[float, float], last: tuple[float, float]
) -> Iterator[tuple[float, float]]:
    """Yield bids and asks; the asks are above the bids."""
    yield first
    for place in range(1, count - 1):
        middle = first[0] + (last[0] - first[0]) * place / (count - 1)
        bid = middle + step * random.randrange(-40, 41)
        yield bid, bid + step * random.randrange(3, 80)
    yield last


def moments(random: Random, begin: datetime, end: datetime, count: int, repeated: int = 0) -> list[datetime]:
    """Return ``count`` moments of whole milliseconds, ``repeated`` of them the same as the one before."""
    span = (end - begin) // timedelta(milliseconds=1)
    inside = sorted(random.sample(range(1, span), count - 2 - repeated))
    again = random.sample(inside, repeated)
    return [begin + timedelta(milliseconds=each) for each in (0, *sorted(inside + again), span)]
