"""Downloads: bars fetched into the history store for a client that waits, and not for ever."""

import asyncio
from concurrent.futures import Future
from datetime import datetime
from typing import Any, Protocol

from vnpy_core.enums import Interval
from vnpy_core.errors import OutcomeUnknown
from vnpy_core.models import Download


class Downloader(Protocol):
    """Fetches and stores on threads of its own; what it raises at once and later is told to the client."""

    def begin(
        self, vt_symbol: str, interval: Interval, start: datetime, end: datetime | None, gateway_name: str | None
    ) -> Future[Download]: ...
    def close(self) -> None: ...


class Downloads:
    """``timeout_s``: how long a client waits for the end of its download; a longer one goes on without it."""

    def __init__(self, downloader: Downloader, timeout_s: float) -> None:
        self._downloader = downloader
        self._timeout_s = timeout_s

    async def download(
        self,
        vt_symbol: str,
        interval: Interval,
        start: datetime,
        end: datetime | None = None,
        gateway_name: str | None = None,
    ) -> Download:
        """Download the bars from ``start`` to ``end`` (aware; now) and return what was stored.

        Raises:
            CoreError: what stands in the way, or has gone wrong.
            OutcomeUnknown: it has not ended in time; it goes on, and what it brings is stored (``download_goes_on``).
        """
        future = asyncio.wrap_future(self._downloader.begin(vt_symbol, interval, start, end, gateway_name))
        future.add_done_callback(_retrieve)
        done, _ = await asyncio.wait({future}, timeout=self._timeout_s)
        if done:
            return future.result()
        raise OutcomeUnknown(
            f"{vt_symbol} {interval} has not been downloaded within {self._timeout_s:g} s. It goes on: the log says "
            "how far it is, and the overview what is stored.",
            code="download_goes_on",
        )

    async def close(self) -> None:
        await asyncio.to_thread(self._downloader.close)


def _retrieve(future: "asyncio.Future[Any]") -> None:
    """Look at the exception of a download that nobody waits for any more; the log has it."""
    if not future.cancelled():
        future.exception()
