"""MessageBus: events to other services, and commands from them, over the transport that is configured."""

from collections.abc import Sequence
from typing import Protocol

from vnpy_core.bus.facts import SINK, FactPublisher
from vnpy_core.bus.inbound import CommandHandler, CommandListener
from vnpy_core.bus.market import MarketSender
from vnpy_core.bus.memory import Delivery, MemoryTransport
from vnpy_core.bus.transports import make_transport
from vnpy_core.config.bus_settings import BusSettings
from vnpy_core.data.sink import FollowedJournal
from vnpy_core.events import Event
from vnpy_core.models import Bar, Tick
from vnpy_core.ports import BusMessage, BusTransport
from vnpy_core.reports import BusStatus


class BusJournal(FollowedJournal, Protocol):
    async def forget_cursor(self, name: str) -> None: ...


class MessageBus:
    """Loop only. Nothing that happens to the transport is felt by whoever publishes.

    Facts are read from the journal and sent until the server has them; ticks, bars and log lines go out as they come.
    Within the process, without a server, all are handed on at once: nothing can fail there, and nothing is kept.

    Args:
        transport: instead of the one that ``settings`` name.

    Raises:
        ConfigError: see ``make_transport``.
    """

    def __init__(
        self, journal: BusJournal, settings: BusSettings, *, transport: BusTransport | None = None
    ) -> None:
        self.transport = transport if transport is not None else make_transport(settings)
        self._journal = journal
        self._settings = settings
        self._local = self.transport if isinstance(self.transport, MemoryTransport) else None
        self._facts = FactPublisher(journal, self.transport)
        self._market = MarketSender(self.transport, settings.tick_buffer)
        self._inbound: CommandListener | None = None

    @property
    def sink(self) -> FactPublisher | None:
        """What follows the journal; ``None`` if there is no server to bring the facts to."""
        return self._facts if self._local is None else None

    @property
    def healthy(self) -> bool:
        return self.detail is None

    @property
    def detail(self) -> str | None:
        """Why it is not healthy."""
        inbound = self._inbound.detail if self._inbound is not None else None
        return self._facts.detail or self._market.detail or inbound

    async def start(self) -> None:
        """Begin to publish. The server may be down."""
        if self._local is not None:
            # There may have been a server once; the journal must not keep everything for it.
            await self._journal.forget_cursor(SINK)
        else:
            await self._facts.start()
            await self._market.start()

    def on_events(self, events: Sequence[Event]) -> None:
        """Take what is published. To be subscribed to the pipeline."""
        if self._local is not None:
            if self._local.has_subscribers:
                self._local.deliver([self._delivery(event) for event in events if self._is_sent(event)])
            return
        market = []
        for event in events:
            if event.seq is not None:
                self._facts.notify()
            elif self._is_sent(event):
                market.append(BusMessage(event.topic, event.frame))
        if market:
            self._market.put(market)

    async def serve(self, handler: CommandHandler) -> None:
        """Take commands from now on, and answer them with what ``handler`` returns."""
        self._inbound = CommandListener(self.transport, handler)
        await self._inbound.start()

    async def stop_serving(self) -> None:
        """Take no more commands, and answer those that are under way."""
        if self._inbound is not None:
            await self._inbound.stop()

    async def stop(self) -> None:
        """Publish the facts that are left, if that is done at the first attempt, and let go of the server."""
        await self._market.stop()
        try:
            await self._facts.stop()
        finally:
            await self.transport.close()

    def status(self) -> BusStatus:
        return BusStatus(
            transport=self.transport.kind,
            address=self.transport.address,
            healthy=self.healthy,
            detail=self.detail,
            market_sent=self._market.sent,
            market_dropped=self._market.dropped,
            facts_rejected=self._facts.dead_letters,
            takes_commands=self._inbound is not None and self._inbound.listening,
            commands=self._inbound.taken if self._inbound is not None else 0,
        )

    def _is_sent(self, event: Event) -> bool:
        """Contracts pass through the pipeline without a topic."""
        return bool(event.topic) and (self._settings.ticks or not isinstance(event.data, Tick | Bar))

    def _delivery(self, event: Event) -> Delivery:
        body = event.frame
        event_id = "" if event.seq is None else self._facts.event_id(event.seq, body)
        return Delivery(event.topic, body, event_id)
