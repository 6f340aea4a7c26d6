"""Orders, cancels, fills, cuts and crashes of the running service, beside a model of what must be known of them.

``MODEL_EXAMPLES`` and ``MODEL_STEPS`` in the environment make it longer.
"""

import asyncio
import itertools
import os
import shutil
import tempfile
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from vnpy.trader.constant import Status

from tests.integration.manual_venue import NAME, SYMBOL, ManualGateway, Venue, external_order
from vnpy_core.config.settings import VnPyCoreConfig
from vnpy_core.engine import runtime
from vnpy_core.enums import Direction, Exchange, GatewayState, Offset, OrderType
from vnpy_core.errors import Conflict, OutcomeUnknown, Unavailable
from vnpy_core.models import Order, OrderSpec, Position, Trade
from vnpy_core.service import VnPyCoreService

T = TypeVar("T")
EXAMPLES, STEPS = int(os.environ.get("MODEL_EXAMPLES", "8")), int(os.environ.get("MODEL_STEPS", "20"))
WAIT_S = 20.0


class Died(Exception):
    """What the gateway raises when the service is to have died there."""


@dataclass
class Expected:
    """An order as the model has it. ``settled``: its client knows what became of it."""

    volume: float
    status: str = "NOTTRADED"
    traded: float = 0.0
    settled: bool = True


class Trading(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="vnpy-core-model-"))
        self.numbers = itertools.count(1)
        self.loop = asyncio.new_event_loop()
        self.loop.set_debug(False)
        self.venue = ManualGateway.venue = Venue()
        # The model: orders by the client's id or, another program's, by the venue's; and what was traded.
        self.orders: dict[str, Expected] = {}
        self.vt_orderids: dict[str, str] = {}
        self.fills: list[tuple[str, float]] = []
        self.connected = True
        self.service = self.started(self.folder / "0")

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(asyncio.wait_for(work, WAIT_S))

    # -- the service

    def started(self, folder: Path) -> VnPyCoreService:
        folder.mkdir(exist_ok=True)
        config = VnPyCoreConfig.model_validate({
            "data_dir": folder, "timezone": "Asia/Shanghai", "demo": False, "security": {"authentication": "off"},
            "gateways": {NAME: {
                "class": "tests.integration.manual_venue.ManualGateway", "auto_connect": True, "reconnect": False,
            }},
        })  # fmt: skip
        service = VnPyCoreService(config)
        self.do(service.start())
        self.do(service.settled())
        return service

    async def quiet(self) -> None:
        """Wait until all that was told is known and on disk."""
        host = self.service.host
        while True:
            assert await asyncio.to_thread(host.event_engine.drain, WAIT_S)
            await asyncio.sleep(0)
            await self.service.pipeline.drain()
            if not host.bridge.stats().buffered and not self.service.pipeline.pending:
                return

    async def reconciled(self) -> None:
        await self.service.life.settled()
        await self.quiet()
        (result,) = self.service.life.reconciler.results()
        assert (result.state, result.holds) == ("PASSED", False), result
        for order in self.orders.values():
            order.settled = True

    def started_again(self, folder: Path) -> None:
        self.service = self.started(folder)
        self.connected = True
        self.do(self.reconciled())

    def image(self) -> Path:
        """Copy the folder as it is on disk now: what ``kill -9`` would leave."""
        folder = self.service.config.data_dir
        to = self.folder / str(int(folder.name) + 1)
        shutil.copytree(folder, to, ignore=shutil.ignore_patterns("*.lock"))
        return to

    def crash_to(self, image: Path) -> None:
        """Go on with what was on disk; nothing that the dying one still does reaches the venue, or the new one."""
        self.venue.line = None
        self.do(self.service.stop())
        self.venue.on_order = lambda take: take()
        self.started_again(image)

    # -- what happens

    def spec(self, volume: float) -> tuple[str, OrderSpec]:
        number = next(self.numbers)
        return f"c{number}", OrderSpec(
            symbol=SYMBOL, exchange=Exchange.SHFE, direction=Direction.LONG, offset=Offset.OPEN,
            type=OrderType.LIMIT, price=3500.0 + number, volume=volume, reference="desk",
        )  # fmt: skip

    async def submit(self, client_order_id: str, spec: OrderSpec) -> None:
        result = await self.service.orders.submit(spec, NAME, client_order_id)
        self.vt_orderids[client_order_id] = result.vt_orderid

    @precondition(lambda self: self.connected)
    @rule(volumes=st.lists(st.sampled_from([1.0, 2.0, 3.0]), min_size=1, max_size=3), rejected=st.booleans())
    def send(self, volumes: list[float], rejected: bool) -> None:
        for volume in volumes:
            self.venue.answers_with = Status.REJECTED if rejected else Status.NOTTRADED
            client_order_id, spec = self.spec(volume)
            self.do(self.submit(client_order_id, spec))
            self.orders[client_order_id] = Expected(volume, "REJECTED" if rejected else "NOTTRADED")
            self.venue.answers_with = Status.NOTTRADED
            with pytest.raises(Conflict):  # its id is used for good
                self.do(self.submit(client_order_id, spec))
            rejected = False

    @precondition(lambda self: self.connected)
    @rule()
    def send_and_hear_an_error(self) -> None:
        def take_and_raise(take: Any) -> str:
            take()
            raise OSError("the line broke")

        self.venue.on_order = take_and_raise
        client_order_id, spec = self.spec(1.0)
        with pytest.raises(OutcomeUnknown):
            self.do(self.submit(client_order_id, spec))
        self.venue.on_order = lambda take: take()
        self.orders[client_order_id] = Expected(1.0, settled=False)
        self.vt_orderids[client_order_id] = f"{NAME}.{len(self.venue.orders)}"

    @precondition(lambda self: self.connected)
    @rule(at_the_venue=st.booleans())
    def die_while_sending(self, at_the_venue: bool) -> None:
        """The service dies when the order is on its way: before it is at the venue, or after."""
        images: list[Path] = []

        def die(take: Any) -> str:
            if at_the_venue:
                take()
            images.append(self.image())
            raise Died

        self.venue.on_order = die
        client_order_id, spec = self.spec(2.0)
        with pytest.raises(OutcomeUnknown):
            self.do(self.submit(client_order_id, spec))
        if at_the_venue:
            self.orders[client_order_id] = Expected(2.0)
            self.vt_orderids[client_order_id] = f"{NAME}.{len(self.venue.orders)}"
        self.crash_to(images[0])
        if not at_the_venue:  # it is known that it was not sent, so that the id is free again
            self.do(self.submit(client_order_id, spec))
            self.orders[client_order_id] = Expected(2.0)

    @precondition(lambda self: not self.connected)
    @rule()
    def send_without_a_line(self) -> None:
        before = len(self.venue.orders)
        client_order_id, spec = self.spec(1.0)
        with pytest.raises(Unavailable):
            self.do(self.submit(client_order_id, spec))
        assert len(self.venue.orders) == before

    def working(self) -> list[str]:
        return [key for key, order in self.orders.items() if order.status in ("NOTTRADED", "PARTTRADED")]

    @precondition(lambda self: self.working())
    @rule(data=st.data())
    def fill(self, data: st.DataObject) -> None:
        for key in data.draw(st.lists(st.sampled_from(self.working()), min_size=1, max_size=4, unique=True)):
            order, vt_orderid = self.orders[key], self.vt_orderids[key]
            volume = data.draw(st.sampled_from([1.0, order.volume - order.traded]))
            self.venue.fill(vt_orderid.partition(".")[2], volume)
            order.traded += volume
            order.status = "ALLTRADED" if order.traded == order.volume else "PARTTRADED"
            self.fills.append((vt_orderid, volume))

    @precondition(lambda self: self.connected and self.working())
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(self.working()))
        self.do(self.quiet())
        self.do(self.service.orders.cancel(self.vt_orderids[key]))
        self.orders[key].status = "CANCELLED"

    @precondition(lambda self: self.connected and self.orders.keys() - self.working())
    @rule(data=st.data())
    def cancel_what_has_ended(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.orders.keys() - set(self.working()))))
        self.do(self.quiet())
        with pytest.raises(Conflict):
            self.do(self.service.orders.cancel(self.vt_orderids[key]))

    @rule()
    def another_program_sends(self) -> None:
        vt_orderid = self.venue.take(external_order(3400.0, 2.0))
        self.orders[vt_orderid] = Expected(2.0)
        self.vt_orderids[vt_orderid] = vt_orderid

    @precondition(lambda self: self.connected)
    @rule()
    def everything_is_told_twice(self) -> None:
        self.venue.tell_all()

    @precondition(lambda self: self.connected)
    @rule()
    def cut(self) -> None:
        self.do(self.quiet())
        self.venue.cut()
        self.do(self.quiet())
        assert self.service.gateways.statuses()[0].state is GatewayState.DISCONNECTED
        self.connected = False
        self.seen = self.known()

    @precondition(lambda self: not self.connected)
    @rule()
    def connect(self) -> None:
        self.do(self.service.gateways.connect(NAME))
        self.do(self.reconciled())
        self.connected = True

    @rule()
    def stop_and_start(self) -> None:
        self.do(self.service.stop())
        self.started_again(self.service.config.data_dir)

    @rule()
    def crash(self) -> None:
        self.crash_to(self.image())

    # -- what must be so

    def known(self) -> tuple[dict[str, Order], list[Trade], float]:
        state = self.service.read_model
        orders = {event.data.client_order_id or event.data.key: event.data for event in state.orders.values()}
        trades = [event.data for event in state.trades.values()]
        positions = [event.data for event in state.positions.values()]
        assert all(isinstance(each, Position) for each in positions)
        return orders, trades, sum(each.volume for each in positions)

    @invariant()
    def what_is_known_is_what_is_so(self) -> None:
        if not self.connected:  # and nothing is made up meanwhile
            self.do(self.quiet())
            assert self.known() == self.seen
            return
        self.do(self.quiet())
        orders, trades, held = self.known()
        expected = {key if order.settled else self.vt_orderids[key]: order for key, order in self.orders.items()}
        assert {key: (each.status, each.traded, each.volume) for key, each in orders.items()} == {
            key: (each.status, each.traded, each.volume) for key, each in expected.items()
        }
        of_others = {key for key, vt_orderid in self.vt_orderids.items() if key == vt_orderid}
        assert {key for key, each in orders.items() if each.external} == of_others
        assert sorted((each.vt_orderid, each.volume) for each in trades) == sorted(self.fills)
        assert held == sum(volume for _, volume in self.fills)
        in_doubt = [key for key, order in self.orders.items() if not order.settled]
        assert [intent.client_order_id for intent in self.service.orders.unknown] == in_doubt
        assert len(self.venue.orders) == len(self.orders)  # nothing was sent twice

    def teardown(self) -> None:
        try:
            self.do(self.service.stop())
            self.loop.run_until_complete(self.loop.shutdown_default_executor())
        finally:
            self.loop.close()
            shutil.rmtree(self.folder, ignore_errors=True)


def test_the_running_service_knows_what_is_so(runtime_dir: Path) -> None:
    try:
        run_state_machine_as_test(
            Trading,
            settings=settings(
                max_examples=EXAMPLES, stateful_step_count=STEPS, deadline=None, derandomize=True, database=None,
                phases=[Phase.generate], suppress_health_check=list(HealthCheck),
            ),
        )  # fmt: skip
    finally:
        runtime.prepare(VnPyCoreConfig(data_dir=runtime_dir, timezone="Asia/Shanghai"))
