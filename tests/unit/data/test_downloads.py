"""Downloads as a client sees them: it waits for the end, and not for ever."""

from concurrent.futures import Future
from datetime import UTC, datetime

import pytest

from vnpy_core.data.downloads import Downloads
from vnpy_core.enums import Interval
from vnpy_core.errors import NotFound, OutcomeUnknown
from vnpy_core.models import Download

START = datetime(2026, 1, 5, tzinfo=UTC)


class Downloader:
    """Ends a download when the test does."""

    def __init__(self) -> None:
        self.future: Future[Download] = Future()
        self.refusal: Exception | None = None
        self.closed = False

    def begin(
        self, vt_symbol: str, interval: Interval, start: datetime, end: datetime | None, gateway_name: str | None
    ) -> Future[Download]:
        if self.refusal is not None:
            raise self.refusal
        return self.future

    def close(self) -> None:
        self.closed = True


def done() -> Download:
    return Download(vt_symbol="rb2501.SHFE", interval=Interval.MINUTE, source="SIM", count=1, start="", end="")


async def test_the_answer_is_what_was_stored() -> None:
    downloader = Downloader()
    downloader.future.set_result(done())
    assert await Downloads(downloader, 5).download("rb2501.SHFE", Interval.MINUTE, START) == done()


@pytest.mark.parametrize("at_once", [True, False])
async def test_what_stands_in_the_way_is_raised(at_once: bool) -> None:
    downloader = Downloader()
    if at_once:
        downloader.refusal = NotFound("Nobody knows it.")
    else:
        downloader.future.set_exception(NotFound("Nobody knows it."))
    with pytest.raises(NotFound, match="Nobody"):
        await Downloads(downloader, 5).download("rb2501.SHFE", Interval.MINUTE, START)


@pytest.mark.parametrize("fails", [True, False])
async def test_a_long_one_goes_on_without_the_client(fails: bool) -> None:
    downloader = Downloader()
    downloads = Downloads(downloader, 0.01)
    with pytest.raises(OutcomeUnknown, match="goes on") as caught:
        await downloads.download("rb2501.SHFE", Interval.MINUTE, START)
    assert caught.value.error_code == "download_goes_on"
    assert not downloader.future.cancelled()
    if fails:
        downloader.future.set_exception(NotFound("Nobody knows it."))
    else:
        downloader.future.set_result(done())
    await downloads.close()
    assert downloader.closed
