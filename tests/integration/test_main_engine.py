"""CoreMainEngine with vn.py's own apps: what they ask of it, one writer, and how all of it ends."""

import json
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from vnpy.event import Event
from vnpy.trader.constant import Status
from vnpy.trader.engine import BaseEngine, EmailEngine, WechatEngine
from vnpy.trader.event import EVENT_LOG, EVENT_ORDER, EVENT_TRADE
from vnpy.trader.object import CancelRequest, LogData, OrderData
from vnpy_algotrading import AlgoTradingApp
from vnpy_ctastrategy import CtaEngine, CtaStrategyApp, CtaTemplate
from vnpy_riskmanager import RiskManagerApp
from vnpy_riskmanager.engine import RiskEngine

from tests.integration.engine_room import SYMBOL, WAIT_S, ProbeGateway, Room, engine_room, limit_order
from vnpy_core import enums
from vnpy_core.engine.commands import TradingCommands
from vnpy_core.engine.event_engine import CoreEventEngine
from vnpy_core.engine.shutdown import ShutdownLimits, StageResult
from vnpy_core.models import OrderSpec

LIMITS = ShutdownLimits(queue_s=5, strategies_s=5, orders_s=5, events_s=5, engine_s=5, gateway_s=5)
SHORT = ShutdownLimits(queue_s=0.2, strategies_s=0.2, orders_s=0.2, events_s=0.2, engine_s=0.2, gateway_s=0.2)


@pytest.fixture
def room(tmp_path: Path, runtime_dir: Path) -> Iterator[Room]:
    with engine_room(tmp_path / "data", runtime_dir) as made:
        made.start()
        made.connect()
        yield made


class Trader(CtaTemplate):
    """Sends when it starts and, if asked to, when it is stopped."""

    parameters: list[str] = []  # noqa: RUF012
    variables: list[str] = []  # noqa: RUF012
    on_stop_send = False
    raises_on_stop = False
    fills = 0

    def on_init(self) -> None: ...

    def on_start(self) -> None:
        self.trading = True  # vn.py sets it after on_start, and sends nothing before
        self.sent = self.buy(3500, 1)

    def on_stop(self) -> None:
        if self.on_stop_send:
            self.sent += self.short(3600, 1)
        if self.raises_on_stop:
            raise ValueError("on_stop")

    def on_trade(self, trade: Any) -> None:
        self.fills += 1


class DatedTrader(Trader):
    """Has a variable that JSON cannot hold."""

    variables: list[str] = ["when"]  # noqa: RUF012
    when = object()


def cta_with(room: Room, *names: str, kind: type[CtaTemplate] = Trader) -> CtaEngine:
    """Add vn.py's own CTA engine with initialised strategies."""
    cta = room.main_engine.engines.get("CtaStrategy") or room.add(CtaStrategyApp, CtaEngine)
    assert isinstance(cta, CtaEngine)
    if not cta.classes:
        room.on_events(cta.register_event)
    cta.classes[kind.__name__] = kind
    for name in names:
        room.on_events(cta.add_strategy, kind.__name__, name, SYMBOL, {})
        cta.strategies[name].inited = True
    return cta


class LateGateway(ProbeGateway):
    """Answers a cancel from a thread of its own, when the test says so, or never."""

    default_name = "LATE"

    def __init__(self, event_engine: CoreEventEngine, gateway_name: str) -> None:
        super().__init__(event_engine, gateway_name)
        self.waiting: list[OrderData] = []
        self.asked = threading.Semaphore(0)

    def cancel_order(self, req: CancelRequest) -> None:
        self.cancelled.append(req.orderid)
        self.waiting.append(self.orders[req.orderid])
        self.asked.release()

    def answer(self) -> None:
        for order in self.waiting:
            self.report(order, Status.CANCELLED)


def replace_gateway(room: Room, kind: type[ProbeGateway]) -> Any:
    gateway = room.main_engine.add_gateway(kind, "PROBE")
    gateway.connect({})
    room.settle()
    return gateway


def stages(results: Any) -> dict[str, StageResult]:
    return {result.stage: result for result in results}


def test_e2_orders_sent_through_call_leave_the_event_thread_alive(room: Room) -> None:
    """E2: sent from other threads, the offset converter's dict changes while the event thread walks through it."""
    gateway = room.gateway
    resting: list[OrderData] = []

    def keep_300(order: OrderData) -> None:
        resting.append(order)
        if len(resting) > 300:
            gateway.report(resting.pop(0), Status.CANCELLED)

    gateway.on_sent = keep_300
    commands = TradingCommands(room.main_engine)
    spec = OrderSpec(
        symbol="rb2505",
        exchange=enums.Exchange.SHFE,
        direction=enums.Direction.SHORT,
        type=enums.OrderType.LIMIT,
        volume=1,
        price=3500,
        offset=enums.Offset.CLOSETODAY,
    )
    answers: list[list[str]] = [[] for _ in range(4)]

    def send(own: list[str]) -> None:
        for _ in range(1500):
            own.append(room.event_engine.call(commands.send_order, "PROBE", spec).result(WAIT_S))

    senders = [threading.Thread(target=send, args=(own,)) for own in answers]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    room.settle()
    assert len({vt_orderid for own in answers for vt_orderid in own}) == 6000
    assert len(room.main_engine.get_all_orders()) == 6000
    assert len(room.main_engine.get_all_active_orders()) == 300
    assert room.event_engine.is_alive()
    assert room.event_engine.stats().errors == 0


def test_e3_no_fill_is_lost_when_strategies_are_started_through_call(room: Room) -> None:
    """E3: started in another thread, the fill comes before vn.py knows whose order it is: 289 of 300 were lost."""
    cta = cta_with(room, *(f"s{number}" for number in range(300)))
    pause = threading.Event()

    def fill_then_wait(order: OrderData) -> None:
        room.gateway.fill(order)
        pause.wait(0.0005)

    room.gateway.on_sent = fill_then_wait
    futures: list[Future[None]] = []
    starters = [
        threading.Thread(
            target=lambda part=part: futures.extend(
                [room.event_engine.call(cta.start_strategy, f"s{number}") for number in range(part, 300, 3)]
            )
        )
        for part in range(3)
    ]
    for starter in starters:
        starter.start()
    for starter in starters:
        starter.join()
    for future in futures:
        future.result(WAIT_S)
    room.settle()
    assert [strategy.pos for strategy in cta.strategies.values()] == [1] * 300
    assert [strategy.fills for strategy in cta.strategies.values()] == [1] * 300


def test_a_strategy_or_gateway_bug_leaves_the_event_thread_alive(room: Room) -> None:
    """A1: vn.py's algo engine isolates nothing; here a gateway raises below it, on the event thread."""
    room.event_engine.register(EVENT_ORDER, lambda event: sys.exit(1))
    room.gateway.raises = ValueError("bug in the gateway")
    with pytest.raises(ValueError, match="bug in the gateway"):
        room.on_events(room.main_engine.send_order, limit_order(), "PROBE")
    room.gateway.raises = None
    assert room.on_events(room.main_engine.send_order, limit_order(), "PROBE")
    room.settle()
    assert room.event_engine.is_alive()
    assert len(room.main_engine.get_all_orders()) == 1


def test_e9_close_loses_no_fill(room: Room) -> None:
    """E9: vn.py stops the event engine first: the OMS had seen 197 of 300 trades."""
    seen: list[str] = []
    room.event_engine.tap(EVENT_TRADE, lambda event: seen.append(event.data.tradeid))
    room.gateway.on_sent = room.gateway.fill
    for _ in range(300):
        room.event_engine.call(room.main_engine.send_order, limit_order(), "PROBE")
    results = stages(room.main_engine.shutdown())
    assert len(seen) == 300
    assert len(room.main_engine.get_all_trades()) == 300
    assert room.event_engine.queue_depth == 0
    assert {result.problem for result in results.values()} == {None}


def test_e9_close_waits_for_the_answers_to_the_cancels(room: Room) -> None:
    gateway = replace_gateway(room, LateGateway)
    cta = cta_with(room, "a", "b")
    for name in ("a", "b"):
        room.on_events(cta.start_strategy, name)
    manual = room.on_events(room.main_engine.send_order, limit_order(), "PROBE")
    room.settle()

    def exchange() -> None:
        for _ in range(2):
            assert gateway.asked.acquire(timeout=WAIT_S)
        gateway.answer()

    answering = threading.Thread(target=exchange)
    answering.start()
    results = stages(room.main_engine.shutdown())
    answering.join()
    assert sorted(gateway.cancelled) == ["1", "2"]
    states = {order.vt_orderid: order.status for order in room.main_engine.get_all_orders()}
    assert states == {"PROBE.1": Status.CANCELLED, "PROBE.2": Status.CANCELLED, manual: Status.SUBMITTING}
    assert {result.problem for result in results.values()} == {None}


def test_close_cancels_what_a_strategy_sends_while_it_is_stopped(room: Room) -> None:
    """C6: vn.py cannot cancel an order that its OMS has not seen, and only logs so."""
    cta = cta_with(room, "a")
    room.on_events(cta.start_strategy, "a")
    room.settle()
    cta.strategies["a"].on_stop_send = True
    room.main_engine.shutdown()
    assert {order.status for order in room.main_engine.get_all_orders()} == {Status.CANCELLED}
    assert len(room.main_engine.get_all_orders()) == 2


def test_close_cancels_what_no_strategy_cancels_any_more(room: Room) -> None:
    """A strategy that failed while its gateway was away, and one whose file is gone since the order was sent."""
    cta = cta_with(room, "failed")
    room.on_events(cta.start_strategy, "failed")
    cta.strategies["failed"].trading = False
    orphan = limit_order()
    orphan.reference = "CtaStrategy_gone"
    room.on_events(room.main_engine.send_order, orphan, "PROBE")
    manual = room.on_events(room.main_engine.send_order, limit_order(), "PROBE")
    room.settle()
    results = stages(room.main_engine.shutdown())
    assert sorted(room.gateway.cancelled) == ["1", "2"]
    assert [order.vt_orderid for order in room.main_engine.get_all_active_orders()] == [manual]
    assert results["orders"].problem is None


def test_a_fill_at_the_very_end_is_not_lost(room: Room) -> None:
    """A client's order stays at the exchange, and may be filled until the gateway is closed."""
    room.on_events(room.main_engine.send_order, limit_order(), "PROBE")
    room.settle()
    room.gateway.close = lambda: room.gateway.fill(room.gateway.orders["1"])  # type: ignore[method-assign]
    results = stages(room.main_engine.shutdown())
    assert [trade.tradeid for trade in room.main_engine.get_all_trades()] == ["T1"]
    assert {result.problem for result in results.values()} == {None}
    assert not room.event_engine.is_alive()


def test_close_says_which_orders_stay_and_goes_on(tmp_path: Path, runtime_dir: Path) -> None:
    with engine_room(tmp_path / "data", runtime_dir) as room:
        room.start()
        room.main_engine._limits = SHORT
        replace_gateway(room, LateGateway)
        cta = cta_with(room, "a")
        room.on_events(cta.start_strategy, "a")
        room.settle()
        results = stages(room.main_engine.shutdown())
        assert results["orders"].problem is not None
        assert "PROBE.1" in results["orders"].problem
        assert results["gateway PROBE"].problem is None


class _Closing(BaseEngine):
    """An engine whose close does what the test wants."""

    def __init__(self, main_engine: Any, event_engine: Any, name: str, on_close: Callable[[], None]) -> None:
        super().__init__(main_engine, event_engine, name)
        self.on_close = on_close

    def close(self) -> None:
        self.on_close()


def test_e10_whatever_fails_or_hangs_the_rest_is_closed(room: Room) -> None:
    """E10: one engine that raises kept all later ones and every gateway open, and the process alive."""
    closed: list[str] = []
    never = threading.Event()

    def fail() -> None:
        raise SystemExit("in close")

    room.main_engine._limits = SHORT
    engines = room.main_engine.engines
    for name, on_close in (("a", fail), ("b", never.wait), ("c", lambda: closed.append("c"))):
        engines[name] = _Closing(room.main_engine, room.event_engine, name, on_close)
    gateway = room.main_engine.add_gateway(ProbeGateway, "SECOND")
    room.gateway.close = fail  # type: ignore[method-assign]
    gateway.close = lambda: closed.append("SECOND")  # type: ignore[method-assign]
    cta = cta_with(room, "bad", "good")
    cta_with(room, "dated", kind=DatedTrader)
    for name in ("bad", "dated", "good"):
        room.on_events(cta.start_strategy, name)
    cta.strategies["bad"].raises_on_stop = True
    results = stages(room.main_engine.shutdown())
    never.set()
    assert closed == ["c", "SECOND"]
    assert [strategy.trading for strategy in cta.strategies.values()] == [False, False, False]
    problems = {name: result.problem for name, result in results.items() if result.problem}
    assert "SystemExit" in problems["engine a"]
    assert "TimeoutError" in problems["engine b"]
    assert "SystemExit" in problems["gateway PROBE"]
    assert "dated" in problems["strategies"]
    assert list(results)[:5] == ["executors", "queue", "strategies", "orders", "events"]


def test_a_handler_that_never_returns_does_not_hold_up_close(room: Room) -> None:
    room.main_engine._limits = SHORT
    cta = cta_with(room, "a")
    room.on_events(cta.start_strategy, "a")
    room.settle()
    never = threading.Event()
    room.event_engine.register("eHang", lambda event: never.wait() and None)
    room.event_engine.put(Event("eHang"))
    closed: list[str] = []
    room.gateway.close = lambda: closed.append("PROBE")  # type: ignore[method-assign]
    results = stages(room.main_engine.shutdown())
    assert closed == ["PROBE"]
    assert results["queue"].problem is not None
    assert set(room.gateway.cancelled) == {"1"}
    assert results["orders"].problem is not None
    assert "PROBE.1" in results["orders"].problem
    never.set()
    room.event_engine._thread.join(WAIT_S)


def test_an_order_of_a_strategy_that_holds_the_event_thread_is_cancelled(room: Room) -> None:
    """Nobody on the event thread has seen it: the strategy sent it, and did not come back."""
    room.main_engine._limits = SHORT
    go_on, sent = threading.Event(), threading.Event()
    cta = cta_with(room, "a")
    strategy = cta.strategies["a"]
    assert isinstance(strategy, Trader)

    def start_and_hang() -> None:
        strategy.on_start()
        sent.set()
        go_on.wait()

    starting = room.event_engine.call(start_and_hang)
    assert sent.wait(WAIT_S)
    results = stages(room.main_engine.shutdown())
    go_on.set()
    starting.result(WAIT_S)
    room.event_engine._thread.join(WAIT_S)
    assert room.gateway.orders["1"].status is Status.CANCELLED
    assert "PROBE.1" in (results["orders"].problem or "")


def test_close_twice_and_on_the_event_thread(room: Room) -> None:
    room.on_events(room.main_engine.close)
    first = room.main_engine.shutdown()
    room.main_engine.close()
    assert room.main_engine.shutdown() is first
    assert not room.event_engine.is_alive()


def test_e12_waiting_initialisations_are_cancelled(room: Room) -> None:
    """E12: vn.py never ends its pool: a slow on_init holds up those behind it, and the end of the process."""
    cta = cta_with(room)
    began, go_on = threading.Event(), threading.Event()

    def slow() -> None:
        began.set()
        assert go_on.wait(WAIT_S)

    cta.init_executor.submit(slow)
    behind = cta.init_executor.submit(lambda: None)
    assert began.wait(WAIT_S)
    room.main_engine.shutdown()
    assert behind.cancelled()
    go_on.set()
    cta.init_executor.shutdown()


def test_e11_a_start_that_fails_ends_the_process(tmp_path: Path) -> None:
    """E11: vn.py's threads are no daemons: a process whose start fails had to be killed."""
    script = """
    import sys
    from pathlib import Path
    from vnpy_core.config.settings import VnPyCoreConfig
    from vnpy_core.engine import runtime
    runtime.prepare(VnPyCoreConfig(data_dir=Path(sys.argv[1])))
    from vnpy_core.engine.event_engine import CoreEventEngine
    from vnpy_core.engine.main_engine import CoreMainEngine
    CoreMainEngine(CoreEventEngine())
    raise RuntimeError("the rest of the start")
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(tmp_path)], capture_output=True, text=True, timeout=30
    )
    assert result.returncode == 1
    assert "the rest of the start" in result.stderr


def test_c4_e13_notifications_go_to_the_log_and_no_further(tmp_path: Path, runtime_dir: Path) -> None:
    """C4: vn.py's CTA engine calls send_email, which is gone. E13: SMTP without a time limit, joined by close."""
    with engine_room(tmp_path / "data", runtime_dir) as room:
        bound = {"bot_id": "b", "token": "t", "user_id": "u"}
        (tmp_path / "data" / ".vntrader" / "wechat_setting.json").write_text(json.dumps(bound))
        room.watch(EVENT_LOG)
        room.start()
        cta = cta_with(room, "a")
        room.on_events(cta.send_email, "by a strategy", cta.strategies["a"])
        room.main_engine.send_notification("content", "subject")
        email, wechat = room.main_engine.engines["email"], room.main_engine.engines["wechat"]
        assert isinstance(email, EmailEngine)
        assert isinstance(wechat, WechatEngine)
        email.send_email("s", "by mail")
        wechat.send_wechat("by chat")
        room.settle()
        messages = [log.msg for log in room.events[EVENT_LOG] if log.gateway_name == "notification"]
        assert len(messages) == 4
        assert not email.active
        assert not wechat.active
        assert not email.thread.is_alive()


def test_r1_a_broken_rule_file_does_not_keep_the_risk_manager_from_loading(tmp_path: Path, runtime_dir: Path) -> None:
    """R1: vn.py's main engine has no ``level`` in write_log: TypeError in add_app."""
    with engine_room(tmp_path / "data", runtime_dir) as room:
        (tmp_path / "data" / "rules" / "broken_rule.py").write_text("raise ImportError('broken')\n")
        room.watch(EVENT_LOG)
        room.start()
        risk = room.add(RiskManagerApp, RiskEngine)
        room.settle()
        assert risk.rules
        assert any("broken" in log.msg and log.level == 40 for log in room.events[EVENT_LOG])


def test_add_core_app_checks_what_it_returns(room: Room) -> None:
    with pytest.raises(TypeError, match="AlgoEngine"):
        room.main_engine.add_core_app(AlgoTradingApp, CtaEngine)


def test_log_events_of_every_kind_are_taken(room: Room) -> None:
    """T1: vn.py's recorder puts plain text, on which its log engine dies."""
    log_engine: Any = room.main_engine.engines["log"]
    log_engine.register_log("eRecorderLog")
    room.main_engine.redactor.add({"password": "hunter22"})
    seen: list[Any] = []
    for event_type in ("eRecorderLog", EVENT_LOG):
        room.event_engine.tap(event_type, lambda event: seen.append(getattr(event.data, "msg", event.data)))
    room.event_engine.put(Event("eRecorderLog", "text with hunter22"))
    room.event_engine.put(Event(EVENT_LOG, LogData(gateway_name="X", msg="login of hunter22")))
    room.settle()
    assert seen == ["text with ***", "login of ***"]
    assert room.event_engine.stats().errors == 0


def test_a_gateway_that_is_not_connected_gets_no_commands(room: Room) -> None:
    """A native gateway may end the process when it is used before it is connected."""
    sent = room.on_events(room.main_engine.send_order, limit_order(), "PROBE")
    room.settle()
    order = room.main_engine.get_order(sent)
    assert order is not None
    room.main_engine.set_online("PROBE", "is CONNECTING")
    assert room.on_events(room.main_engine.send_order, limit_order(), "PROBE") == ""
    room.on_events(room.main_engine.cancel_order, order.create_cancel_request(), "PROBE")
    assert len(room.gateway.orders) == 1
    assert room.gateway.cancelled == []
    room.main_engine.set_online("PROBE", None)
    assert room.on_events(room.main_engine.send_order, limit_order(), "PROBE") != ""


def test_held_orders_are_refused_with_the_reason_and_cancels_pass(room: Room) -> None:
    sent = room.on_events(room.main_engine.send_order, limit_order(), "PROBE")
    room.settle()
    order = room.main_engine.get_order(sent)
    assert order is not None
    lines: list[str] = []
    room.event_engine.register(EVENT_LOG, lambda event: lines.append(event.data.msg))
    room.main_engine.hold_orders("the disk is full", by="journal")
    assert room.on_events(room.main_engine.send_order, limit_order(), "PROBE") == ""
    room.on_events(room.main_engine.cancel_order, order.create_cancel_request(), "PROBE")
    room.settle()
    assert (len(room.gateway.orders), len(room.gateway.cancelled)) == (1, 1)
    assert sum("the disk is full" in line for line in lines) == 2
    room.main_engine.hold_orders(None, by="journal")
    assert room.on_events(room.main_engine.send_order, limit_order(), "PROBE") != ""


def test_contracts_are_kept_apart_by_gateway(room: Room) -> None:
    """C8: of two gateways with one contract, vn.py keeps the one that came last."""
    second = room.main_engine.add_gateway(ProbeGateway, "SECOND")
    second.connect({})
    room.settle()
    for name in ("PROBE", "SECOND"):
        contract = room.main_engine.contract_of(name, SYMBOL)
        assert contract is not None
        assert contract.gateway_name == name
    assert room.main_engine.contract_of("PROBE", "nope.SHFE") is None
