"""GatewayLife: what watches over the gateways once they are made, put together."""

import asyncio
import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from vnpy_core.config.gateways import GatewaySettings
from vnpy_core.data.read_model import ReadModel
from vnpy_core.models import GatewayStatus
from vnpy_core.trading.drift import DriftWatch
from vnpy_core.trading.event_thread import EventThread
from vnpy_core.trading.feed_watch import FeedWatch
from vnpy_core.trading.gateways import GatewayService
from vnpy_core.trading.orders import OrderService
from vnpy_core.trading.reconciler import Published, Reconciler
from vnpy_core.trading.reconnect import Reconnector
from vnpy_core.trading.sessions import is_open
from vnpy_core.trading.trading_day import is_of_today

if TYPE_CHECKING:
    from vnpy_core.engine.gateways import GatewayHost


class GatewayLife:
    """Made before the gateways connect, with the read model as the journal has left it. Loop only."""

    def __init__(
        self,
        settings: Mapping[str, GatewaySettings],
        host: "GatewayHost",
        gateways: GatewayService,
        orders: OrderService,
        event_thread: EventThread,
        pipeline: Published,
        read_model: ReadModel,
        data_dir: Path,
    ) -> None:
        self._gateways = gateways
        self._host = host
        self._pipeline = pipeline
        self.reconciler = Reconciler(
            settings, host, host.reports, orders, event_thread, pipeline, read_model,
            kept=data_dir / "reconciliation.json", is_current=is_of_today,
        )  # fmt: skip
        longest_s = {name: each.reconnect_max_s for name, each in settings.items() if each.reconnect}
        self._reconnector = Reconnector(longest_s, gateways, pipeline)
        loop = asyncio.get_running_loop()
        self.feeds = FeedWatch(settings, host, pipeline, is_open, clock=loop.time)
        self.drift = DriftWatch(
            settings, self.reconciler.results, pipeline, read_model, clock=loop.time, kept=data_dir / "drift.json"
        )
        self._watching = [
            loop.create_task(self.feeds.run(), name="feed watch"),
            loop.create_task(self.drift.run(), name="drift watch"),
        ]

    def watch_states(self, loop: asyncio.AbstractEventLoop) -> None:
        """Tell every change of a gateway's state, from whatever thread it comes, on the loop."""

        def on_status_threadsafe(status: GatewayStatus) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to tell
                loop.call_soon_threadsafe(self._pipeline.emit, status)

        for status in self._host.statuses():
            self._pipeline.emit(status)
        self._host.on_status = on_status_threadsafe

    async def settled(self) -> None:
        """Wait until no gateway is on its way to be connected, and those that are have been reconciled."""
        await self._gateways.settled()
        await self.reconciler.settled()

    async def close(self) -> None:
        for task in self._watching:
            task.cancel()
        await asyncio.gather(*self._watching, return_exceptions=True)
        await self.drift.close()
        await self._reconnector.close()
        await self.reconciler.close()
