"""What metrics cost: ticks, orders and requests with everything that counts, and without, in CPU time of the process.

``python -m bench.metrics [rounds]``. "Without" is the same parts with instruments that do nothing; that they are called
remains, some 40 ns each. A scrape is measured for itself: that of a service with all its sources is a little longer.
"""

import asyncio
import gc
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import uvicorn
import uvloop
from tests.unit.routers.memory_service import AUTHORIZATION, MemoryService, contract
from uvicorn.server import ServerState
from vnpy.event import Event as VnEvent
from vnpy.trader.constant import Direction, Exchange, Offset, OrderType, Status
from vnpy.trader.event import EVENT_ORDER, EVENT_TICK
from vnpy.trader.object import OrderData, TickData

from vnpy_core.app import create_app
from vnpy_core.bus.hub import WebSocketHub
from vnpy_core.bus.pipeline import Pipeline
from vnpy_core.config.bus_settings import WebSocketSettings
from vnpy_core.data.journal import Journal
from vnpy_core.data.read_model import ReadModel
from vnpy_core.engine.bridge import Bridge
from vnpy_core.engine.event_engine import CoreEventEngine
from vnpy_core.http_limits import bounded_http
from vnpy_core.monitoring.metrics import engine_metrics, order_metrics, pipeline_metrics, websocket_metrics
from vnpy_core.monitoring.registry import MetricsRegistry
from vnpy_core.routers import examples
from vnpy_core.trading.order_journeys import OrderJourneys

ROUNDS = 5
TICKS, ORDERS_EVERY, BURST, SYMBOLS, CLIENTS = 2_000, 100, 20, 200, 10
REQUESTS = 1_000
SCRAPES = 20
# Many short turns: what else the machine does then falls on both sides.
TURNS = 40
TICK, REQUEST, SCRAPE = "ticks to 10 clients, an order each 100", "GET orders over a socket", "one scrape"
PATH = "/api/v1/trading/orders"
_WHEN = datetime(2026, 1, 5, 9, 30, tzinfo=ZoneInfo("Asia/Shanghai"))


class Nothing:
    """In the place of a histogram or a counter."""

    def observe(self, value: float) -> None:
        pass

    def update(self, values: Iterable[object]) -> None:
        pass


def _ticks() -> list[VnEvent]:
    return [
        VnEvent(EVENT_TICK, TickData(
            gateway_name="SIM", symbol=f"s{number}", exchange=Exchange.SHFE, datetime=_WHEN, last_price=3500.0,
            volume=number, **{f"{side}_{what}_{level}": 3500.0 + level
                              for side in ("bid", "ask") for what in ("price", "volume") for level in range(1, 6)},
        ))
        for number in range(SYMBOLS)
    ]  # fmt: skip


def _order(number: int) -> VnEvent:
    return VnEvent(EVENT_ORDER, OrderData(
        gateway_name="SIM", symbol="s1", exchange=Exchange.SHFE, orderid=f"{number // 2}", type=OrderType.LIMIT,
        direction=Direction.LONG, offset=Offset.OPEN, price=3500.0, volume=1.0, datetime=_WHEN,
        status=Status.ALLTRADED if number % 2 else Status.SUBMITTING, traded=float(number % 2),
    ))  # fmt: skip


class Road:
    """A tick's way from the gateway to the clients, with a journal for the orders."""

    def __init__(self, folder: Path, counting: bool) -> None:
        self.engine = CoreEventEngine(3600)
        self.bridge = Bridge(self.engine, tick_buffer=1_000_000)
        self.journal = Journal(folder / f"{counting}.db")
        read_model = ReadModel()
        self.pipeline = Pipeline(self.journal, read_model)
        self.hub = WebSocketHub(read_model, WebSocketSettings())
        self.journeys = OrderJourneys()
        self.registry = MetricsRegistry()
        self.counting = counting
        self.arrived = 0
        self._orders = 0
        self.pipeline.subscribe(self.hub.publish)
        self.pipeline.subscribe(self._count)
        if counting:
            self.pipeline.subscribe(self.journeys.on_events)
            for source in (
                lambda: engine_metrics(self.engine), lambda: pipeline_metrics(self.pipeline),
                lambda: order_metrics(self.journeys), lambda: websocket_metrics(self.hub),
            ):  # fmt: skip
                self.registry.add(str(id(source)), source)
        else:
            nothing: Any = Nothing()
            self.engine._lag_histogram = self.engine._slow = nothing
            self.pipeline.commit_seconds = self.pipeline.published_by_kind = nothing
            self.hub.send_seconds = nothing

    def _count(self, events: Sequence[object]) -> None:
        self.arrived += len(events)

    @asynccontextmanager
    async def opened(self) -> Any:
        await self.journal.open()
        self.engine.start()
        self.bridge.attach(asyncio.get_running_loop(), self.pipeline.accept)
        sending = []
        for number in range(CLIENTS):
            session = self.hub.open(f"client-{number}")
            assert session is not None
            sending.append(asyncio.create_task(session.send_all(_take)))
            await asyncio.sleep(0)
            await self.hub.handle(session, b'{"type":"subscribe","id":1,"topics":["tick","order"]}')
        try:
            yield self
        finally:
            await self.hub.close(0.1)
            for task in sending:
                task.cancel()
            await asyncio.gather(*sending, return_exceptions=True)
            self.bridge.detach()
            self.engine.stop()
            await self.pipeline.close()
            await self.journal.close()

    async def run(self) -> float:
        """Return the CPU time of a tick, in µs."""
        ticks, put, expected = _ticks(), self.engine.put, self.arrived
        began = time.process_time()
        for number in range(TICKS):
            put(ticks[number % SYMBOLS])
            if number % ORDERS_EVERY == 0:
                put(_order(self._orders))
                self._orders += 1
            if number % BURST == 0:
                await asyncio.sleep(0)
        expected += TICKS + TICKS // ORDERS_EVERY
        while self.arrived < expected:  # noqa: ASYNC110 -- an event would be one more cost for each
            await asyncio.sleep(0.0005)
        return (time.process_time() - began) / TICKS * 1e6


async def _take(wire: object) -> None:
    """A client that takes everything at once."""


class Web:
    """The application as it is served, and a client of it on another thread, whose time is not counted."""

    def __init__(self, counting: bool) -> None:
        self._counting = counting
        self.service = MemoryService()

    async def open(self) -> None:
        await self.service.tell(examples.GATEWAY, contract("rb2501.SHFE"), examples.ORDER)
        app = create_app(self.service)
        entrance: Any = app.entrance
        if not self._counting:
            entrance._meter = None
        config = uvicorn.Config(app, lifespan="off", log_config=None, loop="none")
        config.load()
        protocol, state = bounded_http(10), ServerState()
        server = await asyncio.get_running_loop().create_server(lambda: protocol(config, state, {}), "127.0.0.1", 0)
        self._client = socket.create_connection(server.sockets[0].getsockname())

    async def run(self) -> float:
        """Return the CPU time of the loop's thread for a request, in µs."""
        began = time.thread_time()
        await asyncio.to_thread(self._ask)
        return (time.thread_time() - began) / REQUESTS * 1e6

    def _ask(self) -> None:
        ((name, value),) = AUTHORIZATION.items()
        request = f"GET {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\n{name}: {value}\r\n\r\n".encode()
        for _ in range(REQUESTS):
            self._client.sendall(request)
            answer = b""
            while not answer.endswith(b"}"):
                answer += self._client.recv(65536)
            assert answer.startswith(b"HTTP/1.1 200")


async def _in_turn(rounds: int, sides: dict[str, Callable[[], Awaitable[float]]]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {name: [] for name in sides}
    for run in sides.values():
        await run()  # a warm-up
    for number in range(rounds * TURNS):
        # Each side is the first as often as the other.
        for name in list(sides) if number % 2 else list(sides)[::-1]:
            found[name].append(await sides[name]())
    return found


async def _measure(rounds: int) -> dict[str, dict[str, list[float]]]:
    with tempfile.TemporaryDirectory() as folder:
        counting, plain = Road(Path(folder), True), Road(Path(folder), False)
        async with counting.opened(), plain.opened():
            ticks = await _in_turn(rounds, {"product": counting.run, "peer": plain.run})
            scrapes = []
            for _ in range(SCRAPES):
                began = time.process_time()
                counting.registry.render()
                scrapes.append((time.process_time() - began) * 1e3)
    metered, bare = Web(True), Web(False)
    await metered.open()
    await bare.open()
    requests = await _in_turn(rounds, {"product": metered.run, "peer": bare.run})
    return {TICK: ticks, REQUEST: requests, SCRAPE: {"product": scrapes, "peer": []}}


def measure(rounds: int = ROUNDS) -> dict[str, dict[str, list[float]]]:
    """Return the µs of CPU time of a tick and of a request, with metrics (``product``) and without (``peer``), and the
    ms of a scrape."""
    gc.disable()  # a collection would fall on whichever side has its turn
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_measure(rounds))


if __name__ == "__main__":
    for what, sides in measure(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS).items():
        ours = statistics.median(sides["product"])
        theirs = statistics.median(sides["peer"] or [ours])
        sys.stdout.write(f"{what:>40}  without {theirs:6.2f}  with {ours:6.2f}  {ours / theirs:.3f}\n")
