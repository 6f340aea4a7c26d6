"""GatewayLife: what watches over the gateways once they are made, put together."""

import asyncio
import contextlib
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from vnpy_core.config.gateways import GatewaySettings
from vnpy_core.data.read_model import ReadModel
from vnpy_core.enums import Exchange
from vnpy_core.models import Contract, GatewayStatus
from vnpy_core.trading.calendar import TradingCalendar
from vnpy_core.trading.calendar_day import CalendarDay, describe
from vnpy_core.trading.checks import SessionCheck
from vnpy_core.trading.closed_days import ClosedDays
from vnpy_core.trading.drift import DriftWatch
from vnpy_core.trading.event_thread import EventThread
from vnpy_core.trading.feed_watch import FeedWatch
from vnpy_core.trading.gateways import GatewayService
from vnpy_core.trading.orders import OrderService
from vnpy_core.trading.reconciler import Published, Reconciler
from vnpy_core.trading.reconnect import Reconnector
from vnpy_core.trading.schedule import GatewaySchedule

if TYPE_CHECKING:
    from vnpy_core.engine.gateways import GatewayHost

# A gateway that has its own hours; holidays are not loaded for it.
_OWN_MARKET = ".SimGateway"


class MarketHost(Protocol):
    def market_is_open(self, name: str) -> bool | None: ...


class Markets:
    """When contracts trade. A gateway that is a market itself, as the simulated exchange is, knows it best."""

    def __init__(self, host: MarketHost, calendar: TradingCalendar) -> None:
        self._host = host
        self._calendar = calendar

    def trades(self, gateway_name: str, symbol: str, exchange: Exchange, moment: datetime) -> bool | None:
        own = self._host.market_is_open(gateway_name)
        return self._calendar.is_open(symbol, exchange, moment) if own is None else own

    def is_open(self, contract: Contract, moment: datetime) -> bool | None:
        own = self._host.market_is_open(contract.gateway_name)
        return self._calendar.takes_orders(contract.symbol, contract.exchange, moment) if own is None else own


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
        closed_days: ClosedDays,
    ) -> None:
        self._settings = settings
        self._closed_days = closed_days
        self._calendar = TradingCalendar(self._closed_days)
        self._gateways = gateways
        self._host = host
        self._pipeline = pipeline
        self.is_settled = False
        self.reconciler = Reconciler(
            settings, host, host.reports, orders, event_thread, pipeline, read_model,
            kept=data_dir / "reconciliation.json", is_current=self._calendar.is_of_today,
        )  # fmt: skip
        longest_s = {name: each.reconnect_max_s for name, each in settings.items() if each.reconnect}
        self._reconnector = Reconnector(longest_s, gateways, pipeline)
        loop = asyncio.get_running_loop()
        markets = Markets(host, self._calendar)
        self.feeds = FeedWatch(settings, host, pipeline, markets.trades, clock=loop.time, ask_again=gateways.ask_again)
        self.drift = DriftWatch(
            settings, self.reconciler.states, pipeline, read_model, clock=loop.time, kept=data_dir / "drift.json"
        )
        self._tasks = [
            loop.create_task(self.feeds.run(), name="feed watch"),
            loop.create_task(self.drift.run(), name="drift watch"),
        ]
        refusing = frozenset(name for name, each in settings.items() if each.closed_orders == "refuse")
        if refusing and orders.checks is not None:
            orders.checks.add(SessionCheck(markets, gateways=refusing))
        self._schedule = GatewaySchedule(settings, self._calendar, gateways, host.plan)

    async def open(self) -> None:
        """Tell every change of a gateway's state from here on, and begin with the schedule."""
        loop = asyncio.get_running_loop()
        self._watch_states(loop)
        if any(each.schedule is not None for each in self._settings.values()):
            await asyncio.to_thread(self._closed_days.load)
            self._schedule.begin()
            self._tasks.append(loop.create_task(self._schedule.run(), name="gateway schedule"))
        elif not all(each.class_path.endswith(_OWN_MARKET) for each in self._settings.values()):
            self._tasks.append(loop.create_task(asyncio.to_thread(self._closed_days.load), name="load holidays"))

    def is_wanted(self, name: str) -> bool:
        """Tell whether the gateway is to be connected at the start, and missed while it is not."""
        planned = self._schedule.is_wanted(name)
        return self._settings[name].auto_connect if planned is None else planned

    async def calendar_day(self, symbol: str, exchange: Exchange, day: date | None) -> CalendarDay:
        """Return what is known of a day, by default the present trading day, of a contract."""
        if not self._closed_days.is_loaded:
            await asyncio.to_thread(self._closed_days.load)
        return describe(self._calendar, symbol, exchange, day, datetime.now(UTC))

    def _watch_states(self, loop: asyncio.AbstractEventLoop) -> None:
        """From whatever thread a change comes, it is told on the loop."""

        def on_status_threadsafe(status: GatewayStatus) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to tell
                loop.call_soon_threadsafe(self._pipeline.emit, status)

        for status in self._host.statuses():
            self._pipeline.emit(status)
        self._host.on_status = on_status_threadsafe

    async def settle_at_start(self, connect_wait_s: float) -> None:
        """Wait as ``settled`` does, but at most ``connect_wait_s`` for gateways to be connected; the service counts as
        ready from then on."""
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(connect_wait_s):
                    await self._gateways.settled()
            await self.reconciler.settled()
        finally:
            self.is_settled = True

    async def settled(self) -> None:
        """Wait until no gateway is on its way to be connected, and those that are have been reconciled."""
        await self._gateways.settled()
        await self.reconciler.settled()

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.drift.close()
        await self._reconnector.close()
        await self.reconciler.close()
