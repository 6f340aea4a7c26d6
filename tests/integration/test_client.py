"""The client on real connections: streams that are cut, closed and refused, and the blocking client's own thread."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from tests.e2e.process import eventually
from tests.integration.live_server import LiveServer
from tests.integration.test_websocket import statuses, tell_orders
from tests.unit.routers.memory_service import ADMIN_KEY, MemoryService
from vnpy_core.client import AsyncVnPyCoreClient, Gap, NotFound, StreamEnded, StreamEvent, VnPyCoreClient
from vnpy_core.enums import Direction, Exchange, Offset
from vnpy_core.models import Order
from vnpy_core.routers import examples


@pytest.fixture
def server() -> Iterator[LiveServer]:
    with LiveServer() as live:
        yield live


@pytest.fixture
def core(server: LiveServer) -> Iterator[VnPyCoreClient]:
    with VnPyCoreClient(server.url, token=ADMIN_KEY) as client:
        yield client


def tell(server: LiveServer, first: int, count: int) -> None:
    server.run(lambda service: tell_orders(service, first, count))


def cut(server: LiveServer) -> None:
    """End every session from the service's side, as a stop of it does."""

    async def end_all(service: MemoryService) -> None:
        for session in list(service.hub._sessions.values()):
            session.end(1001, "cut")

    server.run(end_all)


def ids(events: list[StreamEvent]) -> list[str]:
    return [event.data.vt_orderid for event in events if isinstance(event.data, Order)]


def test_the_blocking_client_has_the_same_calls(core: VnPyCoreClient) -> None:
    sent = core.trading.send_order(
        "rb2501", Exchange.SHFE, Direction.LONG, 1, 3500, offset=Offset.OPEN, client_order_id="a-1"
    )
    assert core.trading.order(sent.vt_orderid).symbol == "rb2501"
    assert sent.client_order_id == "a-1"
    assert {order.vt_orderid for order in core.trading.orders()} == {sent.vt_orderid, examples.ORDER.vt_orderid}
    with pytest.raises(NotFound):
        core.trading.order("SIM.nothing")


def test_it_may_be_used_by_several_threads(core: VnPyCoreClient) -> None:
    found: list[int] = []

    def read() -> None:
        found.extend(len(list(core.trading.contracts())) for _ in range(10))

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert found == 40 * [2]


@pytest.mark.parametrize("msgpack", [False, True], ids=["json", "msgpack"])
@pytest.mark.parametrize("compression", [False, True], ids=["plain", "deflate"])
def test_a_stream_is_the_present_state_and_then_what_happens(
    server: LiveServer, core: VnPyCoreClient, msgpack: bool, compression: bool
) -> None:
    with core.stream(["order", "tick"], snapshot=True, msgpack=msgpack, compression=compression) as stream:
        order, tick = next(stream), next(stream)
        assert (order.data, order.snapshot) == (examples.ORDER, True)
        assert (tick.data, tick.seq, tick.snapshot) == (examples.TICK, None, False)
        tell(server, 0, 100)
        events = [next(stream) for _ in range(100)]
        assert ids(events) == [f"SIM.{number}" for number in range(100)]
        assert not any(event.snapshot for event in events)
        (status,) = server.run(statuses)
        assert status.encoding == ("msgpack" if msgpack else "json")


def test_a_stream_that_is_cut_goes_on_where_it_was(server: LiveServer, core: VnPyCoreClient) -> None:
    with core.stream(["order"], snapshot=True) as stream:
        assert next(stream).snapshot
        events = []
        for number in range(5):
            tell(server, 100 * number, 50)
            events += [next(stream) for _ in range(50)]
            cut(server)
            tell(server, 100 * number + 50, 50)
            events += [next(stream) for _ in range(50)]
        assert ids(events) == [f"SIM.{number}" for number in range(500)]
        assert stream.connections == 6


def test_another_stream_goes_on_from_what_was_handed_out(server: LiveServer, core: VnPyCoreClient) -> None:
    with core.stream(["order"], snapshot=True) as stream:
        next(stream)
        tell(server, 0, 10)
        first = [next(stream) for _ in range(3)]
        since = stream.seq
    with core.stream(["order"], since=since) as stream:
        rest = [next(stream) for _ in range(7)]
    assert ids(first + rest) == [f"SIM.{number}" for number in range(10)]


def test_a_gap_is_told_and_the_present_state_follows(server: LiveServer, core: VnPyCoreClient) -> None:
    gaps: list[Gap] = []
    with core.stream(["order"], since=10_000, on_gap=gaps.append) as stream:
        event = next(stream)
        assert (event.data, event.snapshot) == (examples.ORDER, True)
        tell(server, 0, 1)
        assert ids([next(stream)]) == ["SIM.0"]
    (gap,) = gaps
    assert gap.since == 10_000
    assert event.seq is not None
    assert gap.seq >= event.seq


def test_an_operator_ends_a_stream_for_good(server: LiveServer, core: VnPyCoreClient) -> None:
    with core.stream(["order"], snapshot=True) as stream:
        next(stream)
        (session,) = core.system.sessions()
        core.system.end_session(session.session_id)
        with pytest.raises(StreamEnded) as ended:
            next(stream)
    assert ended.value.code == 4000


def test_a_stream_of_no_topics_is_refused(core: VnPyCoreClient) -> None:
    with core.stream(["nothing"]) as stream, pytest.raises(StreamEnded) as refused:
        next(stream)
    assert refused.value.code == "unknown_topic"


def test_closing_a_stream_ends_who_waits_for_it(core: VnPyCoreClient) -> None:
    stream = core.stream(["order"], snapshot=True)
    next(stream)
    left: list[StreamEvent] = []
    reader = threading.Thread(target=lambda: left.extend(stream))
    reader.start()
    stream.close()
    reader.join(30)
    assert not reader.is_alive()
    assert left == []


def test_closing_the_client_ends_its_streams(server: LiveServer) -> None:
    core = VnPyCoreClient(server.url, token=ADMIN_KEY)
    stream = core.stream(["order"], snapshot=True)
    next(stream)
    reader = threading.Thread(target=lambda: list(stream))
    reader.start()
    core.close()
    reader.join(30)
    assert not reader.is_alive()
    eventually(lambda: not server.run(statuses), 10)


@asynccontextmanager
async def mute_server() -> AsyncIterator[int]:
    """A port where connections are taken and closed at once, for a while."""

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_a_stream_waits_for_a_service_that_is_not_there() -> None:
    async with mute_server() as port, AsyncVnPyCoreClient(f"http://127.0.0.1:{port}") as core:
        stream = core.stream(["order"])
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await anext(stream)
        await stream.close()


def test_the_client_can_be_imported_without_the_service() -> None:
    heavy = ("vnpy", "fastapi", "starlette", "sqlalchemy", "duckdb", "pydantic", "uvicorn")
    code = f"import sys, vnpy_core.client; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
