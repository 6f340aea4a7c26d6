"""Bridge: from the real event thread to the loop, after all others, in order, with one wake-up per burst."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from vnpy.event import Event as VnEvent
from vnpy.trader.constant import Direction, Exchange, Offset, OrderType, Product, Status
from vnpy.trader.engine import OmsEngine
from vnpy.trader.event import EVENT_CONTRACT, EVENT_LOG, EVENT_ORDER, EVENT_TICK
from vnpy.trader.object import (
    AccountData,
    ContractData,
    LogData,
    OrderData,
    PositionData,
    TickData,
    TradeData,
)
from vnpy_algotrading.base import EVENT_ALGO_LOG, EVENT_ALGO_UPDATE, AlgoStatus
from vnpy_ctastrategy.base import EVENT_CTA_LOG, EVENT_CTA_STOPORDER, EVENT_CTA_STRATEGY, StopOrder
from vnpy_riskmanager.base import EVENT_RISK_NOTIFY, EVENT_RISK_RULE

from tests.integration.engine_room import ProbeGateway, limit_order
from vnpy_core.engine.bridge import Bridge
from vnpy_core.engine.event_engine import EVENT_CORE_ALERT, CoreEventEngine
from vnpy_core.engine.main_engine import CoreMainEngine
from vnpy_core.events import Event
from vnpy_core.models import Alert, Contract, Order, RiskRejection, Tick

NOW = datetime(2026, 1, 5, 1, 30, tzinfo=UTC)
WAIT_S = 5.0


def tick(price: float) -> TickData:
    return TickData("SIM", "rb2501", Exchange.SHFE, NOW, last_price=price)


def order(number: int = 1, status: Status = Status.NOTTRADED) -> OrderData:
    side = Direction.LONG, Offset.OPEN
    return OrderData("SIM", "rb2501", Exchange.SHFE, str(number), OrderType.LIMIT, *side, 3500, 1, 0, status, NOW)


class Sink:
    """What the loop was given, slice by slice."""

    def __init__(self) -> None:
        self.slices: list[list[Event]] = []
        self.threads: set[int] = set()
        self._came = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()

    def __call__(self, events: list[Event]) -> None:
        self.slices.append(events)
        self.threads.add(threading.get_ident())
        task = asyncio.get_running_loop().create_task(self._tell())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    @property
    def events(self) -> list[Event]:
        return [event for part in self.slices for event in part]

    async def count(self, wanted: int) -> list[Event]:
        async with asyncio.timeout(WAIT_S), self._came:
            await self._came.wait_for(lambda: len(self.events) >= wanted)
        return self.events

    async def _tell(self) -> None:
        async with self._came:
            self._came.notify_all()


@pytest.fixture
def engine() -> Iterator[CoreEventEngine]:
    made = CoreEventEngine(3600)
    yield made
    made.stop(timeout_s=2)
    assert not made.is_alive()


@pytest.fixture
def bridge(engine: CoreEventEngine) -> Bridge:
    return Bridge(engine, tick_buffer=100)


@pytest.fixture
def sink() -> Sink:
    return Sink()


async def processed(engine: CoreEventEngine) -> None:
    """Wait until the event thread has dispatched all that is queued."""
    await asyncio.to_thread(engine.drain, WAIT_S)


EVERYTHING: list[tuple[str, Any, str]] = [
    (EVENT_CONTRACT, ContractData("SIM", "rb2501", Exchange.SHFE, "rb", Product.FUTURES, 10, 1), ""),
    (EVENT_ORDER, order(), "order.updated"),
    (
        "eTrade.",
        TradeData("SIM", "rb2501", Exchange.SHFE, "1", "T1", Direction.LONG, Offset.OPEN, 1, 1, NOW),
        "trade.executed",
    ),
    ("ePosition.", PositionData("SIM", "rb2501", Exchange.SHFE, Direction.LONG, 1), "position.updated"),
    ("eAccount.", AccountData("SIM", "A", 1, 0), "account.updated"),
    (
        EVENT_CTA_STRATEGY,
        {
            "strategy_name": "demo", "vt_symbol": "rb2501.SHFE", "class_name": "Demo", "author": "",
            "parameters": {}, "variables": {"inited": False},
        },
        "strategy.updated",
    ),
    (
        EVENT_CTA_STOPORDER,
        StopOrder("rb2501.SHFE", Direction.LONG, Offset.OPEN, 1, 1, "STOP.1", "demo", NOW),
        "stop_order.updated",
    ),
    (
        EVENT_ALGO_UPDATE,
        {
            "algo_name": "TwapAlgo_1", "vt_symbol": "rb2501.SHFE", "direction": Direction.LONG, "offset": Offset.OPEN,
            "price": 1, "volume": 1, "status": AlgoStatus.PAUSED, "traded": 0, "left": 1, "traded_price": 0,
            "parameters": {}, "variables": {},
        },
        "algo.updated",
    ),
    (EVENT_RISK_RULE, {"name": "n", "class_name": "R", "parameters": {}, "variables": {}}, "risk.rule"),
    (EVENT_RISK_NOTIFY, "委托被拦截", "risk.rejected"),
    (EVENT_CORE_ALERT, Alert(alert_id="a", severity="critical", summary="", datetime="t"), "alert.raised"),
    (EVENT_TICK, tick(1.0), "tick.rb2501.SHFE"),
    (EVENT_LOG, LogData(msg="m", gateway_name="SIM"), "log"),
    (EVENT_CTA_LOG, LogData(msg="[demo]  m", gateway_name="CtaStrategy"), "strategy.log.demo"),
    (EVENT_ALGO_LOG, LogData(msg="m", gateway_name="AlgoTrading"), "algo.log"),
]  # fmt: skip


async def test_every_event_arrives_on_the_loop_under_its_topic(
    engine: CoreEventEngine, bridge: Bridge, sink: Sink
) -> None:
    engine.start()
    bridge.attach(asyncio.get_running_loop(), sink)
    for event_type, data, _ in EVERYTHING:
        engine.put(VnEvent(event_type, data))
    events = await sink.count(len(EVERYTHING))
    assert sorted(event.topic for event in events) == sorted(topic for _, _, topic in EVERYTHING)
    assert sink.threads == {threading.get_ident()}
    stats = bridge.stats()
    assert (stats.translated, stats.buffered, stats.errors, stats.ticks_dropped) == (len(EVERYTHING), 0, 0, 0)


async def test_what_a_gateway_pushes_twice_is_told_once(engine: CoreEventEngine, bridge: Bridge, sink: Sink) -> None:
    """vn.py puts each tick and each order under its type and under its symbol or id as well (E7)."""
    seen: list[str] = []
    engine.register_general(lambda event: seen.append(event.type))
    engine.start()
    bridge.attach(asyncio.get_running_loop(), sink)
    gateway = ProbeGateway(engine, "SIM")
    gateway.tick(3500.0)
    gateway.send_order(limit_order())
    engine.put(VnEvent(EVENT_LOG, LogData(msg="the end", gateway_name="SIM")))
    events = await sink.count(3)
    assert sorted(event.topic for event in events) == ["log", "order.updated", "tick.rb2505.SHFE"]
    assert len([each for each in seen if each.startswith(("eTick.", "eOrder."))]) == 4


async def test_a_model_goes_through_as_it_is(engine: CoreEventEngine, bridge: Bridge, sink: Sink) -> None:
    engine.start()
    bridge.attach(asyncio.get_running_loop(), sink)
    rejection = RiskRejection(
        code="limit", reason="too large", vt_symbol="rb2501.SHFE", gateway_name="SIM", reference="", datetime="t"
    )
    engine.put(VnEvent(EVENT_RISK_NOTIFY, rejection))
    assert (await sink.count(1))[0].data is rejection


async def test_the_oms_and_strategies_have_seen_what_the_bridge_tells(sink: Sink) -> None:
    engine = CoreEventEngine(3600)
    bridge = Bridge(engine, tick_buffer=100)  # made before every other handler
    main_engine = CoreMainEngine(engine)
    try:
        oms = main_engine.get_engine("oms")
        assert isinstance(oms, OmsEngine)
        late: list[str] = []
        engine.register(EVENT_ORDER, lambda event: late.append(event.data.vt_orderid))
        missed: list[str] = []

        def check(events: list[Event]) -> None:
            for event in events:
                if isinstance(event.data, Order):
                    known = oms.get_order(event.data.vt_orderid)
                    if known is None or event.data.vt_orderid not in late:
                        missed.append(event.data.vt_orderid)
            sink(events)

        bridge.attach(asyncio.get_running_loop(), check)
        for number in range(500):
            engine.put(VnEvent(EVENT_ORDER, order(number)))
        events = await sink.count(500)
        orders = [event.data.orderid for event in events if isinstance(event.data, Order)]
        assert orders == [str(number) for number in range(500)]
        assert missed == []
    finally:
        await asyncio.to_thread(main_engine.close)


async def test_a_burst_wakes_the_loop_once(engine: CoreEventEngine, bridge: Bridge, sink: Sink) -> None:
    loop = asyncio.get_running_loop()
    engine.start()
    bridge.attach(loop, sink)
    engine.put(VnEvent(EVENT_ORDER, order(1)))
    await sink.count(1)
    wakes = bridge.stats().wakes
    for number in range(300):  # the loop is busy meanwhile: it waits here for the event thread, without yielding
        engine.put(VnEvent(EVENT_ORDER, order(2 + number)))
        engine.put(VnEvent(EVENT_TICK, tick(number)))
    assert engine.drain(WAIT_S)
    assert bridge.stats().wakes == wakes + 1
    assert bridge.stats().buffered == 400  # 300 orders, and the 100 ticks that fit
    await sink.count(401)
    assert len(sink.slices) == 2
    assert bridge.stats().wakes == wakes + 1


async def test_a_long_burst_comes_in_slices_between_which_the_loop_breathes(
    engine: CoreEventEngine, bridge: Bridge, sink: Sink
) -> None:
    breaths: list[int] = []

    def counting(events: list[Event]) -> None:
        sink(events)
        asyncio.get_running_loop().call_soon(lambda: breaths.append(len(sink.slices)))

    engine.start()
    bridge.attach(asyncio.get_running_loop(), counting)
    await asyncio.sleep(0)
    for number in range(3500):
        engine.put(VnEvent(EVENT_ORDER, order(number)))
    assert engine.drain(WAIT_S)
    await sink.count(3500)
    assert [len(part) for part in sink.slices] == [1000, 1000, 1000, 500]
    assert breaths[:3] == [1, 2, 3]


async def test_when_the_loop_is_late_the_oldest_ticks_go_and_every_fact_stays(
    engine: CoreEventEngine, bridge: Bridge, sink: Sink
) -> None:
    engine.start()
    bridge.attach(asyncio.get_running_loop(), sink)
    await asyncio.sleep(0)
    for number in range(1000):
        engine.put(VnEvent(EVENT_TICK, tick(number)))
        engine.put(VnEvent(EVENT_ORDER, order(number)))
    assert engine.drain(WAIT_S)
    assert bridge.stats().ticks_dropped == 900
    events = await sink.count(1100)
    prices = [event.data.last_price for event in events if isinstance(event.data, Tick)]
    assert prices == list(range(900, 1000))
    assert [event.data.key for event in events if isinstance(event.data, Order)] == [f"SIM.{n}" for n in range(1000)]


async def test_what_comes_before_attach_is_kept_for_it(engine: CoreEventEngine, bridge: Bridge, sink: Sink) -> None:
    engine.start()
    engine.put(VnEvent(EVENT_CONTRACT, EVERYTHING[0][1]))
    engine.put(VnEvent(EVENT_ORDER, order(1)))
    await processed(engine)
    assert (bridge.stats().buffered, bridge.stats().wakes) == (2, 0)
    bridge.attach(asyncio.get_running_loop(), sink)
    events = await sink.count(2)
    assert [type(event.data) for event in events] == [Contract, Order]


async def test_detach_hands_over_what_is_there_and_later_events_wait(
    engine: CoreEventEngine, bridge: Bridge, sink: Sink
) -> None:
    loop = asyncio.get_running_loop()
    engine.start()
    bridge.attach(loop, sink)
    await asyncio.sleep(0)
    engine.put(VnEvent(EVENT_ORDER, order(1)))
    assert engine.drain(WAIT_S)
    bridge.detach()
    assert len(sink.events) == 1
    engine.put(VnEvent(EVENT_ORDER, order(2)))
    await processed(engine)
    assert (len(sink.events), bridge.stats().buffered) == (1, 1)
    bridge.attach(loop, sink)
    await sink.count(2)


def test_a_closed_loop_stops_nothing_and_loses_nothing(engine: CoreEventEngine, bridge: Bridge) -> None:
    engine.start()
    first: list[Event] = []
    loop = asyncio.new_event_loop()
    bridge.attach(loop, first.extend)
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    for number in range(3):
        engine.put(VnEvent(EVENT_ORDER, order(number)))
    assert engine.drain(WAIT_S)
    assert engine.stats().errors == 0
    assert first == []

    async def again() -> list[Event]:
        sink = Sink()
        bridge.attach(asyncio.get_running_loop(), sink)
        return await sink.count(3)

    assert len(asyncio.run(again())) == 3


async def test_the_client_id_is_stamped_until_the_order_is_final(
    engine: CoreEventEngine, bridge: Bridge, sink: Sink
) -> None:
    engine.start()
    bridge.attach(asyncio.get_running_loop(), sink)

    def send() -> None:
        engine.put(VnEvent(EVENT_ORDER, order(1, Status.SUBMITTING)))  # the gateway pushes before send_order returns
        bridge.client_order_ids["SIM.1"] = "mine"

    await asyncio.wrap_future(engine.call(send))
    engine.put(VnEvent(EVENT_ORDER, order(1, Status.ALLTRADED)))
    engine.put(VnEvent(EVENT_ORDER, order(2)))
    events = await sink.count(3)
    assert [event.data.client_order_id for event in events if isinstance(event.data, Order)] == ["mine", "mine", None]
    assert bridge.client_order_ids == {}


class Hostile:
    """An object whose every attribute raises."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)


def broken_tick(**changes: Any) -> TickData:
    made = tick(1.0)
    for name, value in changes.items():
        setattr(made, name, value)
    return made


@pytest.mark.parametrize(
    ("event_type", "data"),
    [
        (EVENT_ORDER, None),
        (EVENT_ORDER, Hostile()),
        (EVENT_TICK, "no tick"),
        (EVENT_TICK, broken_tick(exchange=None)),
        (EVENT_CTA_STRATEGY, {"strategy_name": "x"}),
        (EVENT_CORE_ALERT, "no alert"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
async def test_what_cannot_be_translated_is_counted_and_the_rest_arrives(
    engine: CoreEventEngine, bridge: Bridge, sink: Sink, event_type: str, data: Any
) -> None:
    engine.start()
    bridge.attach(asyncio.get_running_loop(), sink)
    engine.put(VnEvent(event_type, data))
    engine.put(VnEvent(EVENT_ORDER, order(1)))
    assert [event.data.key for event in await sink.count(1)] == ["SIM.1"]
    assert bridge.stats().errors == 1
    assert engine.stats().errors == 0


async def test_text_that_cannot_be_encoded_loses_no_event(engine: CoreEventEngine, bridge: Bridge, sink: Sink) -> None:
    engine.start()
    bridge.attach(asyncio.get_running_loop(), sink)
    made = order(1)
    made.reference = "bad \udcff"
    engine.put(VnEvent(EVENT_ORDER, made))
    (event,) = await sink.count(1)
    assert isinstance(event.data, Order)
    assert event.data.reference == "bad ?"


async def test_an_object_changed_after_its_push_was_told_as_it_was(
    engine: CoreEventEngine, bridge: Bridge, sink: Sink
) -> None:
    engine.start()
    made = order(1, Status.SUBMITTING)
    engine.put(VnEvent(EVENT_ORDER, made))
    await processed(engine)
    made.status, made.traded = Status.ALLTRADED, 1
    engine.put(VnEvent(EVENT_ORDER, made))
    await processed(engine)
    made.price = -1
    bridge.attach(asyncio.get_running_loop(), sink)
    events = await sink.count(2)
    told = [(e.data.status.value, e.data.traded, e.data.price) for e in events if isinstance(e.data, Order)]
    assert told == [("SUBMITTING", 0.0, 3500.0), ("ALLTRADED", 1.0, 3500.0)]


async def test_many_threads_and_a_working_loop_lose_nothing(
    engine: CoreEventEngine, bridge: Bridge, sink: Sink
) -> None:
    engine.start()
    bridge.attach(asyncio.get_running_loop(), sink)

    def push(first: int) -> Callable[[], None]:
        def run() -> None:
            for number in range(first, first + 500):
                engine.put(VnEvent(EVENT_ORDER, order(number)))

        return run

    await asyncio.gather(*(asyncio.to_thread(push(first)) for first in range(0, 4000, 500)))
    events = await sink.count(4000)
    assert sorted(int(e.data.orderid) for e in events if isinstance(e.data, Order)) == list(range(4000))
