"""Orders: an intent before, an outcome after, one id once, and the truth about what is not known."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

import msgspec
import pytest

from vnpy_core.enums import Direction, Exchange, Offset, OrderStatus, OrderType
from vnpy_core.errors import Conflict, CoreError, NotFound, OrderRefused, OutcomeUnknown, Unavailable
from vnpy_core.events import Event
from vnpy_core.models import KeyUse, Model, Order, OrderIntent, OrderSpec
from vnpy_core.trading.filters import OrderFilter, strategy_of
from vnpy_core.trading.orders import OrderService
from vnpy_core.trading.results import SubmitResult

SPEC = OrderSpec(
    symbol="rb2501", exchange=Exchange.SHFE, direction=Direction.LONG, offset=Offset.OPEN,
    type=OrderType.LIMIT, price=3500.0, volume=2.0, reference="api",
)  # fmt: skip


def order(orderid: str, status: OrderStatus = OrderStatus.NOTTRADED, **changes: Any) -> Order:
    base = Order(
        vt_orderid=f"SIM.{orderid}", orderid=orderid, gateway_name="SIM", symbol="rb2501", exchange=Exchange.SHFE,
        vt_symbol="rb2501.SHFE", type=OrderType.LIMIT, direction=Direction.LONG, offset=Offset.OPEN, price=3500.0,
        volume=2.0, traded=0.0, status=status, datetime="2026-01-05T01:30:00.000000+00:00",
        reference="CtaStrategy_demo",
    )  # fmt: skip
    return msgspec.structs.replace(base, **changes)


class Thread:
    """An event thread that runs a command at once, or, when held, once it is let go."""

    def __init__(self) -> None:
        self.held = False
        self.calls = 0
        self.called = asyncio.Event()
        self._waiting: list[Callable[[], None]] = []

    def call(self, fn: Callable[[], Any]) -> Future[Any]:
        future: Future[Any] = Future()

        def run() -> None:
            try:
                future.set_result(fn())
            except BaseException as error:  # noqa: BLE001 -- carried to the caller
                future.set_exception(error)

        self.calls += 1
        self.called.set()
        self._waiting.append(run)
        if not self.held:
            self.release()
        return future

    def release(self) -> None:
        self.held = False
        waiting, self._waiting = self._waiting, []
        for run in waiting:
            run()


class Engine:
    """Trading commands that note what they were asked for; ``failure`` is raised instead of an answer."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, OrderSpec]] = []
        self.cancelled: list[str] = []
        self.failure: BaseException | None = None
        self.on_send: Callable[[str], None] = lambda vt_orderid: None

    def send_order(self, gateway_name: str, spec: OrderSpec) -> str:
        if self.failure is not None:
            raise self.failure
        self.sent.append((gateway_name, spec))
        vt_orderid = f"{gateway_name}.{len(self.sent)}"
        self.on_send(vt_orderid)
        return vt_orderid

    def try_order(self, gateway_name: str, spec: OrderSpec) -> None:
        if self.failure is not None:
            raise self.failure

    def cancel_order(self, vt_orderid: str) -> None:
        if self.failure is not None:
            raise self.failure
        self.cancelled.append(vt_orderid)


class Table(dict[str, Event]):
    pass


class Pipeline:
    """Keeps what was committed; ``full`` makes the journal refuse."""

    def __init__(self) -> None:
        self.orders = Table()
        self.committed: list[OrderIntent] = []
        self.keys: list[KeyUse] = []
        self.emitted: list[Model] = []
        self.full = False
        self.fault: Exception | None = None
        self.first_commit = asyncio.Event()
        self.watchers: list[Callable[[Model], None]] = []
        self.callbacks: list[Callable[[Sequence[Event]], None]] = []

    def require_writable(self) -> None:
        if self.full:
            raise Unavailable("The disk is full.")

    async def commit_all(self, models: Sequence[Model]) -> None:
        if self.fault is not None:
            raise self.fault
        await self.begin_commit_all(models)

    def begin_commit_all(self, models: Sequence[Model]) -> asyncio.Future[Event | None]:
        future: asyncio.Future[Event | None] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(self._commit, models, future)
        return future

    def _commit(self, models: Sequence[Model], future: asyncio.Future[Event | None]) -> None:
        if self.full:
            future.set_exception(Unavailable("The disk is full."))
            return
        self.keys += [model for model in models if isinstance(model, KeyUse)]
        self.committed += [model for model in models if isinstance(model, OrderIntent)]
        self.first_commit.set()
        future.set_result(None)

    def begin_commit(self, model: Model) -> asyncio.Future[Event]:
        if self.full:
            raise Unavailable("The disk is full.")
        assert isinstance(model, OrderIntent)
        self.committed.append(model)
        future: asyncio.Future[Event] = asyncio.get_running_loop().create_future()
        future.set_result(Event(model))
        return future

    def emit(self, model: Model) -> None:
        self.emitted.append(model)

    def watch(self, callback: Callable[[Model], None]) -> None:
        self.watchers.append(callback)

    def subscribe(self, callback: Callable[[Sequence[Event]], None]) -> None:
        self.callbacks.append(callback)

    def publish(self, state: Order) -> None:
        event = Event(state)
        for watcher in self.watchers:
            watcher(state)
        self.orders[state.key] = event
        for callback in self.callbacks:
            callback([event])

    def outcomes(self) -> list[str | None]:
        return [intent.outcome for intent in self.committed]


class Desk:
    """An order service among fakes."""

    def __init__(self, timeout_s: float = 0.05) -> None:
        self.thread, self.engine, self.pipeline = Thread(), Engine(), Pipeline()
        self.client_order_ids: dict[str, str] = {}
        self.service = OrderService(
            self.engine, self.thread.call, self.pipeline, self.pipeline,
            timeout_s=timeout_s, client_order_ids=self.client_order_ids,
        )  # fmt: skip


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def test_the_intent_is_on_disk_before_the_engine_sees_the_order(desk: Desk) -> None:
    seen: list[list[str | None]] = []
    desk.engine.on_send = lambda vt_orderid: seen.append(desk.pipeline.outcomes())
    result = await desk.service.submit(SPEC, "SIM", "mine-1")
    assert seen == [[None]]
    assert desk.pipeline.outcomes() == [None, "SENT"]
    assert desk.pipeline.committed[-1].vt_orderid == result.vt_orderid == "SIM.1"
    assert (result.orderid, result.client_order_id) == ("1", "mine-1")
    assert desk.client_order_ids == {"SIM.1": "mine-1"}


async def test_a_preview_asks_all_that_comes_before_the_sending(desk: Desk) -> None:
    preview = await desk.service.preview(SPEC, "SIM", "mine-1")
    assert (preview.order, preview.client_order_id) == (SPEC, "mine-1")
    desk.engine.failure = OrderRefused("Halted.", code="trading_halted")
    with pytest.raises(OrderRefused, match="Halted"):
        await desk.service.preview(SPEC, "SIM")
    desk.engine.failure = None
    desk.pipeline.full = True
    with pytest.raises(Unavailable, match="disk"):
        await desk.service.preview(SPEC, "SIM")
    desk.pipeline.full = False
    desk.thread.held = True
    with pytest.raises(Unavailable) as busy:
        await desk.service.preview(SPEC, "SIM")
    assert busy.value.error_code == "event_thread_busy"
    desk.thread.release()
    assert (desk.engine.sent, desk.pipeline.committed) == ([], [])
    await desk.service.submit(SPEC, "SIM", "mine-1")


async def test_an_order_without_a_client_order_id_gets_one(desk: Desk) -> None:
    first, second = await desk.service.submit(SPEC, "SIM"), await desk.service.submit(SPEC, "SIM")
    assert first.client_order_id != second.client_order_id
    assert desk.client_order_ids == {"SIM.1": first.client_order_id, "SIM.2": second.client_order_id}


async def test_the_answer_carries_the_first_state_if_it_comes_soon(desk: Desk) -> None:
    desk.engine.on_send = lambda vt_orderid: desk.pipeline.publish(order("1", OrderStatus.SUBMITTING))
    assert (await desk.service.submit(SPEC, "SIM")).order == order("1", OrderStatus.SUBMITTING)


async def test_the_answer_waits_for_the_first_state_but_not_long(desk: Desk) -> None:
    assert (await desk.service.submit(SPEC, "SIM")).order is None
    asyncio.get_running_loop().call_later(0.01, desk.pipeline.publish, order("2"))
    assert (await desk.service.submit(SPEC, "SIM")).order == order("2")


async def test_the_outcome_is_queued_with_the_first_state(desk: Desk) -> None:
    """Both are then one commit; before it the order is shown to nobody."""
    told: list[list[str | None]] = []

    def first_state() -> None:
        for watcher in desk.pipeline.watchers:
            watcher(order("1"))
        told.append(desk.pipeline.outcomes())
        desk.pipeline.publish(order("1"))

    loop = asyncio.get_running_loop()
    desk.engine.on_send = lambda vt_orderid: loop.call_soon(first_state)
    assert (await desk.service.submit(SPEC, "SIM")).order == order("1")
    assert told == [[None, "SENT"]]
    assert desk.pipeline.outcomes() == [None, "SENT"]


async def two_together(desk: Desk) -> list[asyncio.Task[SubmitResult]]:
    """Return two submissions that wait for the event thread in one call, and one before them that waits in its own."""
    desk.thread.held = True
    tasks = []
    for numbers in ((1,), (2, 3)):
        desk.thread.called.clear()
        tasks += [asyncio.create_task(desk.service.submit(SPEC, "SIM", f"mine-{number}")) for number in numbers]
        await desk.thread.called.wait()
    assert desk.thread.calls == 2
    return tasks


async def test_orders_that_go_together_are_answered_each_for_itself(desk: Desk) -> None:
    """The last has its first state at once; the others wait for their own, and hold up nobody."""
    loop = asyncio.get_running_loop()
    desk.engine.on_send = lambda vt_orderid: loop.call_soon(desk.pipeline.publish, order("3"))
    first, second, third = await two_together(desk)
    desk.thread.release()
    assert (await third).order == order("3")
    assert not second.done()
    desk.pipeline.publish(order("2"))
    assert (await second).order == order("2")
    assert (await first).order is None


async def test_one_of_several_that_is_refused_holds_up_no_other(desk: Desk) -> None:
    def refuse_the_next(vt_orderid: str) -> None:
        if vt_orderid == "SIM.2":
            desk.engine.failure = OrderRefused("Not enough funds.")

    desk.engine.on_send = refuse_the_next
    first, second, third = await two_together(desk)
    desk.thread.release()
    assert [(await one).vt_orderid for one in (first, second)] == ["SIM.1", "SIM.2"]
    with pytest.raises(OrderRefused, match="funds"):
        await third
    assert sorted(filter(None, desk.pipeline.outcomes())) == ["REFUSED", "SENT", "SENT"]


async def test_a_client_order_id_is_good_for_one_order(desk: Desk) -> None:
    await desk.service.submit(SPEC, "SIM", "mine-1")
    with pytest.raises(Conflict) as caught:
        await desk.service.submit(SPEC, "SIM", "mine-1")
    assert caught.value.error_code == "duplicate_client_order_id"
    assert caught.value.extra["vt_orderid"] == "SIM.1"
    assert "SIM.1" in caught.value.detail
    assert len(desk.engine.sent) == 1


async def test_of_two_at_the_same_moment_one_is_sent(desk: Desk) -> None:
    results = await asyncio.gather(
        *(desk.service.submit(SPEC, "SIM", "mine-1") for _ in range(5)), return_exceptions=True
    )
    assert sum(isinstance(result, Conflict) for result in results) == 4
    assert len(desk.engine.sent) == 1


async def test_what_the_journal_cannot_record_is_not_sent_and_may_be_tried_again(desk: Desk) -> None:
    desk.pipeline.full = True
    with pytest.raises(Unavailable):
        await desk.service.submit(SPEC, "SIM", "mine-1")
    assert desk.engine.sent == []
    desk.pipeline.full = False
    assert (await desk.service.submit(SPEC, "SIM", "mine-1")).vt_orderid == "SIM.1"


async def test_a_sent_order_whose_outcome_cannot_be_recorded_is_not_called_sent(desk: Desk) -> None:
    desk.engine.on_send = lambda vt_orderid: setattr(desk.pipeline, "full", True)
    with pytest.raises(OutcomeUnknown) as caught:
        await desk.service.submit(SPEC, "SIM")
    assert caught.value.extra["vt_orderid"] == "SIM.1"
    (outcome,) = desk.pipeline.emitted
    assert isinstance(outcome, OrderIntent)
    assert outcome.outcome == "SENT"


@pytest.mark.parametrize("refusal", [OrderRefused("Not enough funds."), NotFound("No contract.")])
async def test_a_refusal_is_recorded_with_its_reason(desk: Desk, refusal: OrderRefused) -> None:
    desk.engine.failure = refusal
    with pytest.raises(type(refusal)):
        await desk.service.submit(SPEC, "SIM", "mine-1")
    assert desk.pipeline.outcomes() == [None, "REFUSED"]
    assert desk.pipeline.committed[-1].reason == refusal.detail
    with pytest.raises(Conflict, match="was refused"):
        await desk.service.submit(SPEC, "SIM", "mine-1")


async def test_a_fault_of_our_own_leaves_nobody_without_an_answer(desk: Desk) -> None:
    desk.engine.failure, desk.pipeline.fault = OrderRefused("Not enough funds."), ZeroDivisionError("oops")
    with pytest.raises(OutcomeUnknown, match="went wrong"):
        await desk.service.submit(SPEC, "SIM")


async def test_a_gateway_that_raises_may_have_sent_the_order(desk: Desk) -> None:
    desk.engine.failure = ZeroDivisionError("oops")
    with pytest.raises(OutcomeUnknown, match="ZeroDivisionError"):
        await desk.service.submit(SPEC, "SIM")
    assert desk.pipeline.outcomes() == [None, "UNKNOWN"]
    assert len(desk.service.unknown) == 1


async def test_a_command_that_was_not_begun_in_time_is_withdrawn(desk: Desk) -> None:
    desk.thread.held = True
    with pytest.raises(Unavailable) as caught:
        await desk.service.submit(SPEC, "SIM", "mine-1")
    assert caught.value.error_code == "event_thread_busy"
    assert desk.pipeline.outcomes() == [None, "NOT_SENT"]
    desk.thread.release()
    assert desk.engine.sent == []
    assert desk.service.unknown == []


@pytest.mark.parametrize("restarted", [False, True])
async def test_what_was_not_sent_does_not_use_up_its_client_order_id(desk: Desk, restarted: bool) -> None:
    desk.thread.held = True
    with pytest.raises(Unavailable):
        await desk.service.submit(SPEC, "SIM", "mine-1")
    desk.thread.release()
    desk.engine.failure = Unavailable("SIM is not connected.", code="gateway_not_connected")
    with pytest.raises(Unavailable, match="not connected"):
        await desk.service.submit(SPEC, "SIM", "mine-1")
    now = desk
    if restarted:
        now = Desk()
        assert await now.service.resolve_at_start(desk.pipeline.committed) == []
    now.engine.failure = None
    result = await now.service.submit(SPEC, "SIM", "mine-1")
    assert result.vt_orderid == "SIM.1"
    with pytest.raises(Conflict, match=r"is order SIM\.1"):
        await now.service.submit(SPEC, "SIM", "mine-1")
    assert len(now.engine.sent) == 1


async def test_an_earlier_intent_that_was_not_sent_does_not_free_the_id_of_a_later_order(desk: Desk) -> None:
    """The outcome of the first may reach the journal after the intent of the second."""
    result = await desk.service.submit(SPEC, "SIM", "mine-1")
    sent = desk.pipeline.committed[-1]
    earlier = msgspec.structs.replace(sent, intent_id="earlier", outcome="NOT_SENT", vt_orderid=None)
    after = Desk()
    await after.service.resolve_at_start([sent, earlier])
    with pytest.raises(Conflict, match=result.vt_orderid):
        await after.service.submit(SPEC, "SIM", "mine-1")


class SlowEngine(Engine):
    """Begins to send and ends only when it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()

    def send_order(self, gateway_name: str, spec: OrderSpec) -> str:
        assert self.go.wait(10)
        return super().send_order(gateway_name, spec)


def in_thread(fn: Callable[[], Any]) -> Future[Any]:
    future: Future[Any] = Future()

    def run() -> None:
        try:
            future.set_result(fn())
        except BaseException as error:  # noqa: BLE001 -- carried to the caller
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


@pytest.mark.parametrize(
    ("failure", "outcome"),
    [(None, "SENT"), (OrderRefused("Too late."), "REFUSED"), (Unavailable("Not connected."), "NOT_SENT")],
)
async def test_a_begun_command_is_unknown_until_it_ends(failure: CoreError | None, outcome: str) -> None:
    engine, pipeline = SlowEngine(), Pipeline()
    engine.failure = failure
    service = OrderService(engine, in_thread, pipeline, pipeline, timeout_s=0.05)
    with pytest.raises(OutcomeUnknown) as caught:
        await service.submit(SPEC, "SIM", "mine-1")
    assert pipeline.outcomes() == [None, "UNKNOWN"]
    assert [intent.intent_id for intent in service.unknown] == [caught.value.extra["intent_id"]]
    with pytest.raises(Conflict, match="outcome is unknown"):
        await service.submit(SPEC, "SIM", "mine-1")
    engine.go.set()
    await service.close()
    assert pipeline.outcomes() == [None, "UNKNOWN", outcome]
    assert service.unknown == []
    assert len(engine.sent) == (1 if failure is None else 0)


async def test_a_caller_that_goes_away_loses_no_outcome(desk: Desk) -> None:
    desk.thread.held = True
    request = asyncio.create_task(desk.service.submit(SPEC, "SIM", "mine-1"))
    await desk.pipeline.first_commit.wait()
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    desk.thread.release()
    await desk.service.close()
    assert desk.pipeline.outcomes() == [None, "SENT"]


async def test_closing_gives_up_what_the_engine_never_answers() -> None:
    engine, pipeline = SlowEngine(), Pipeline()
    service = OrderService(engine, in_thread, pipeline, pipeline, timeout_s=0.01)
    with pytest.raises(OutcomeUnknown):
        await service.submit(SPEC, "SIM")
    await service.close(timeout_s=0.01)
    engine.go.set()
    assert pipeline.outcomes() == [None, "UNKNOWN"]


async def test_at_start_what_has_no_outcome_is_unknown_and_old_ids_stay_used(desk: Desk) -> None:
    await desk.service.submit(SPEC, "SIM", "mine-1")
    begun, sent = desk.pipeline.committed
    lost = msgspec.structs.replace(begun, intent_id="lost", client_order_id="mine-2")
    after = Desk()
    assert await after.service.resolve_at_start([begun, lost, sent]) == [lost]
    assert [intent.intent_id for intent in after.service.unknown] == ["lost"]
    assert after.pipeline.outcomes() == ["UNKNOWN"]
    with pytest.raises(Conflict, match=r"is order SIM\.1"):
        await after.service.submit(SPEC, "SIM", "mine-1")
    with pytest.raises(Conflict, match="unknown"):
        await after.service.submit(SPEC, "SIM", "mine-2")
    assert after.engine.sent == []


async def test_cancel_hands_an_active_order_over(desk: Desk) -> None:
    desk.pipeline.publish(order("1"))
    assert (await desk.service.cancel("SIM.1")).accepted
    assert desk.engine.cancelled == ["SIM.1"]


async def test_cancel_of_a_finished_or_unknown_order_is_refused(desk: Desk) -> None:
    desk.pipeline.publish(order("1", OrderStatus.ALLTRADED))
    with pytest.raises(Conflict, match="ALLTRADED"):
        await desk.service.cancel("SIM.1")
    desk.engine.failure = NotFound("No order SIM.9.")
    with pytest.raises(NotFound):
        await desk.service.cancel("SIM.9")


async def test_cancel_all_takes_the_active_orders_that_are_meant(desk: Desk) -> None:
    desk.pipeline.publish(order("1"))
    desk.pipeline.publish(order("2", OrderStatus.CANCELLED))
    desk.pipeline.publish(order("3", vt_symbol="ag2506.SHFE"))
    desk.pipeline.publish(order("4"))
    results = await desk.service.cancel_all(OrderFilter(vt_symbol="rb2501.SHFE"))
    assert [(result.vt_orderid, result.accepted) for result in results] == [("SIM.1", True), ("SIM.4", True)]
    desk.engine.failure = Unavailable("Not connected.")
    results = await desk.service.cancel_all(OrderFilter())
    assert [(result.accepted, result.code) for result in results] == [(False, "unavailable")] * 3


def test_a_filter_means_what_its_fields_say() -> None:
    orders = [order("1"), order("2", OrderStatus.ALLTRADED, reference="CtaStrategy_other"), order("3", datetime=None)]

    def meant(which: OrderFilter) -> list[str]:
        predicate = which.predicate()
        return [one.orderid for one in orders if predicate is None or predicate(one)]

    assert OrderFilter().predicate() is None
    assert meant(OrderFilter(active=True)) == ["1", "3"]
    assert meant(OrderFilter(active=False)) == ["2"]
    assert meant(OrderFilter(strategy="demo")) == ["1", "3"]
    assert meant(OrderFilter(status=OrderStatus.ALLTRADED)) == ["2"]
    assert meant(OrderFilter(since="2026-01-05T01:30:00.000000+00:00")) == ["1", "2"]
    assert meant(OrderFilter(since="2026-01-05T01:30:00.000001+00:00")) == []
    assert meant(OrderFilter(symbol="rb2501", exchange=Exchange.DCE)) == []


@pytest.mark.parametrize(
    ("reference", "strategy"), [("CtaStrategy_demo_1", "demo_1"), ("", None), ("api", None), ("_x", None)]
)
def test_a_reference_names_its_strategy(reference: str, strategy: str | None) -> None:
    assert strategy_of(reference) == strategy
