"""The strategy manager when what it stands on fails: the table, the event thread, the journal."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import msgspec
import pytest

from vnpy_core.data.repositories import StrategyRecord
from vnpy_core.enums import StrategyState
from vnpy_core.errors import Conflict, NotFound, OutcomeUnknown, Unavailable
from vnpy_core.events import Event
from vnpy_core.models import Model, Strategy
from vnpy_core.security.identity import acting
from vnpy_core.strategies.host import ENGINE_NAME
from vnpy_core.strategies.manager import RedFireStrategyManager

ADDED, INITED, TRADING = StrategyState.ADDED, StrategyState.INITED, StrategyState.TRADING
SYMBOL = "rb2505.SHFE"


class FakeCta:
    """Strategies that do nothing. ``block`` holds ``start_strategy`` up; what is told goes to ``tell``."""

    def __init__(self, tell: Callable[[Strategy], None]) -> None:
        self.states: dict[str, dict[str, Any]] = {}
        self.commands: list[str] = []
        self.block: threading.Event | None = None
        self._tell = tell
        self._revision = 0

    @property
    def broken_files(self) -> Mapping[str, str]:
        return {"/strategies/x.py": "SyntaxError"}

    def describe_classes(self) -> Sequence[Mapping[str, Any]]:
        return []

    def describe_class(self, class_name: str) -> Mapping[str, Any]:
        raise NotFound(class_name)

    @property
    def engine_name(self) -> str:
        return ENGINE_NAME

    def add_strategy(
        self, class_name: str, strategy_name: str, vt_symbols: Sequence[str], setting: Mapping[str, Any], *,
        saved: bool = False,
    ) -> None:
        if class_name == "Unknown":
            raise NotFound(f"There is no strategy class {class_name!r}.")
        self.states[strategy_name] = {
            "strategy_name": strategy_name, "class_name": class_name, "vt_symbol": vt_symbols[0],
            "vt_symbols": [*vt_symbols],
            "parameters": dict(setting), "state": ADDED, "auto_start": False, "desired_state": ADDED,
        }  # fmt: skip
        self._put(strategy_name)

    def init_strategy(self, strategy_name: str) -> Future[None]:
        future: Future[None] = Future()
        self._enter(strategy_name, INITED)
        future.set_result(None)
        return future

    def start_strategy(self, strategy_name: str) -> None:
        if self.block is not None:
            assert self.block.wait(10)
        self._enter(strategy_name, TRADING)

    def stop_strategy(self, strategy_name: str) -> None:
        self.commands.append(f"stop {strategy_name}")
        if self.states[strategy_name]["state"] is TRADING:
            self._enter(strategy_name, INITED)

    def edit_strategy(self, strategy_name: str, setting: Mapping[str, Any]) -> None:
        self.states[strategy_name]["parameters"] |= setting
        self._put(strategy_name)

    def remove_strategy(self, strategy_name: str) -> bool:
        self._enter(strategy_name, StrategyState.REMOVED)
        del self.states[strategy_name]
        return True

    def unload_strategy(self, strategy_name: str) -> None:
        del self.states[strategy_name]

    def forget_strategy(self, strategy_name: str) -> None:
        self.commands.append(f"forget {strategy_name}")

    def require_initialisable(self, strategy_name: str) -> object:
        return None

    def require_startable(self, strategy_name: str) -> object:
        return None

    def require_removable(self, strategy_name: str) -> object:
        return None

    def merged_setting(self, strategy_name: str, setting: Mapping[str, Any]) -> dict[str, Any]:
        return {**self.states[strategy_name]["parameters"], **setting}

    def set_plan(self, strategy_name: str, auto_start: bool, desired_state: StrategyState) -> None:
        self.states[strategy_name] |= {"auto_start": auto_start, "desired_state": desired_state}
        self._put(strategy_name)

    def get_state(self, strategy_name: str) -> Mapping[str, Any]:
        return {**self.states[strategy_name], "revision": self._revision}

    def saved_settings(self) -> Mapping[str, Any]:
        return {}

    def replace_settings(self, settings: Mapping[str, Mapping[str, Any]]) -> None:
        self.commands.append(f"settings of {', '.join(settings)}")

    def adopt_orders(self, owners: Mapping[str, str], working: Collection[str], fills: Iterable[str]) -> None:
        return

    def _enter(self, name: str, state: StrategyState) -> None:
        self.states[name]["state"] = state
        self._put(name)

    def _put(self, name: str) -> None:
        self._revision += 1
        state = self.states[name]
        trading = state["state"] is TRADING
        self._tell(
            Strategy(
                **state, engine=ENGINE_NAME, author="", inited=trading, trading=trading, pos=0.0, variables={},
                revision=self._revision,
            )
        )  # fmt: skip


class FakeTable:
    """The strategies table, in memory. ``down``: it cannot be reached."""

    def __init__(self) -> None:
        self.records: dict[str, StrategyRecord] = {}
        self.down = False

    async def list(self) -> Sequence[StrategyRecord]:
        return list(self.records.values())

    async def save(self, record: StrategyRecord) -> StrategyRecord:
        self._require_up()
        stored = msgspec.structs.replace(record, version=record.version + 1)
        self.records[record.strategy_name] = stored
        return stored

    async def delete(self, strategy_name: str) -> None:
        self._require_up()
        del self.records[strategy_name]

    def _require_up(self) -> None:
        if self.down:
            raise Unavailable("The database cannot be reached.")


class FakePipeline:
    """Publishes what it is given at once; while ``stuck``, nothing."""

    def __init__(self) -> None:
        self.stuck = False
        self.told: list[Model] = []
        self._callbacks: list[Callable[[Sequence[Event]], None]] = []

    def emit(self, model: Model) -> None:
        self.told.append(model)
        if not self.stuck:
            for callback in self._callbacks:
                callback([Event(model)])

    def subscribe(self, callback: Callable[[Sequence[Event]], None]) -> None:
        self._callbacks.append(callback)


class Empty:
    def values(self) -> Iterable[Event]:
        return ()


class NothingKnown:
    strategies = orders = trades = Empty()


class Parts:
    def __init__(self, timeout_s: float) -> None:
        loop = asyncio.get_running_loop()
        self.pipeline = FakePipeline()
        self.table = FakeTable()
        self.thread = ThreadPoolExecutor(1)
        self.cta = FakeCta(lambda told: loop.call_soon_threadsafe(self.pipeline.emit, told) and None)
        self.manager = RedFireStrategyManager(
            [self.cta], self.thread.submit, self.table, self.pipeline, NothingKnown(), timeout_s=timeout_s
        )


@pytest.fixture(params=[10.0])
async def parts(request: pytest.FixtureRequest) -> AsyncIterator[Parts]:
    parts = Parts(timeout_s=request.param)
    await parts.manager.restore()
    yield parts
    await parts.manager.close()
    if parts.cta.block is not None:
        parts.cta.block.set()
    parts.thread.shutdown()


async def test_add_without_a_table_adds_nothing(parts: Parts) -> None:
    parts.table.down = True
    with pytest.raises(Unavailable):
        await parts.manager.add("Probe", "p", SYMBOL, {})
    assert parts.cta.states == {}
    assert parts.manager.list() == []
    parts.table.down = False
    assert (await parts.manager.add("Probe", "p", SYMBOL, {})).state is ADDED


async def test_start_without_a_table_starts_nothing(parts: Parts) -> None:
    await parts.manager.add("Probe", "p", SYMBOL, {})
    await parts.manager.init("p")
    parts.table.down = True
    with pytest.raises(Unavailable):
        await parts.manager.start("p")
    assert parts.cta.states["p"]["state"] is INITED


async def test_stop_without_a_table_stops_and_says_what_is_not_saved(parts: Parts) -> None:
    await parts.manager.add("Probe", "p", SYMBOL, {})
    await parts.manager.init("p")
    await parts.manager.start("p")
    parts.table.down = True
    with pytest.raises(Unavailable):
        await parts.manager.stop("p")
    assert parts.cta.states["p"]["state"] is INITED


async def test_remove_without_a_table_removes_nothing(parts: Parts) -> None:
    await parts.manager.add("Probe", "p", SYMBOL, {})
    parts.table.down = True
    with pytest.raises(Unavailable):
        await parts.manager.remove("p")
    assert parts.manager.get("p").state is ADDED


@pytest.mark.parametrize("parts", [0.5], indirect=True)
async def test_on_start_that_does_not_come_back(parts: Parts) -> None:
    await parts.manager.add("Probe", "p", SYMBOL, {})
    await parts.manager.init("p")
    parts.cta.block = threading.Event()
    with pytest.raises(OutcomeUnknown):
        await parts.manager.start("p")
    # The event thread is held up: what it has not begun is taken back.
    with pytest.raises(Unavailable):
        await parts.manager.stop("p")
    assert parts.cta.commands.count("stop p") == 0


@pytest.mark.parametrize("parts", [0.5], indirect=True)
async def test_answer_that_is_not_on_disk_is_not_given(parts: Parts) -> None:
    await parts.manager.add("Probe", "p", SYMBOL, {})
    parts.pipeline.stuck = True
    with pytest.raises(OutcomeUnknown, match="journal") as caught:
        await parts.manager.init("p")
    assert caught.value.error_code == "not_journaled"
    assert parts.manager.get("p").state is ADDED


@pytest.fixture
def busy(parts: Parts) -> Callable[[], threading.Event]:
    """Have the event thread held up by something else until the event that is returned is set."""

    def hold() -> threading.Event:
        parts.cta.block = threading.Event()
        parts.thread.submit(parts.cta.block.wait, 10)
        return parts.cta.block

    return hold


@pytest.mark.parametrize("parts", [0.3], indirect=True)
async def test_what_the_event_thread_never_began_is_not_wanted_later(
    parts: Parts, busy: Callable[[], threading.Event]
) -> None:
    """An answer of 503 says that nothing was done: neither now nor by the next start of the service."""
    manager = parts.manager
    await manager.add("Probe", "p", SYMBOL, {"size": 1})
    await manager.init("p")
    save = parts.table.save

    async def save_and_hold(record: StrategyRecord) -> StrategyRecord:
        stored = await save(record)
        if parts.cta.block is None:
            busy()
        return stored

    for command in (lambda: manager.start("p"), lambda: manager.set_parameters("p", {"size": 2})):
        parts.table.save = save_and_hold  # type: ignore[method-assign]
        parts.cta.block = None
        with pytest.raises(Unavailable):
            await command()
        parts.table.save = save  # type: ignore[method-assign]
        assert parts.cta.block is not None
        parts.cta.block.set()
        stored = parts.table.records["p"]
        assert (stored.desired_state, stored.setting) == (INITED, {"size": 1})
        assert parts.cta.states["p"]["state"] is INITED
    assert (await manager.start("p")).desired_state is TRADING


@pytest.mark.parametrize("parts", [0.3], indirect=True)
async def test_strategy_that_was_not_removed_is_there(parts: Parts, busy: Callable[[], threading.Event]) -> None:
    await parts.manager.add("Probe", "p", SYMBOL, {})
    delete = parts.table.delete

    async def delete_and_hold(strategy_name: str) -> None:
        await delete(strategy_name)
        busy()

    parts.table.delete = delete_and_hold  # type: ignore[method-assign]
    with pytest.raises(Unavailable):
        await parts.manager.remove("p")
    parts.table.delete = delete  # type: ignore[method-assign]
    assert parts.cta.block is not None
    parts.cta.block.set()
    assert parts.table.records.keys() == {"p"} == parts.cta.states.keys()
    await parts.manager.remove("p")
    assert parts.table.records == {} == parts.cta.states


@pytest.mark.parametrize("parts", [0.3], indirect=True)
async def test_answer_to_a_command_that_was_done_is_not_that_it_was_not(
    parts: Parts, busy: Callable[[], threading.Event]
) -> None:
    await parts.manager.add("Probe", "p", SYMBOL, {})
    plain_init = parts.cta.init_strategy

    def init(strategy_name: str) -> Future[None]:
        outcome = plain_init(strategy_name)
        busy()
        return outcome

    parts.cta.init_strategy = init  # type: ignore[method-assign]
    with pytest.raises(OutcomeUnknown):
        await parts.manager.init("p")


@pytest.mark.parametrize("parts", [0.3], indirect=True)
async def test_constructor_that_takes_its_time(parts: Parts) -> None:
    """Many load a model in theirs."""
    plain_add = parts.cta.add_strategy

    def add(class_name: str, strategy_name: str, vt_symbol: str, setting: Mapping[str, Any], **more: bool) -> None:
        time.sleep(0.6)
        plain_add(class_name, strategy_name, vt_symbol, setting, **more)

    parts.cta.add_strategy = add  # type: ignore[method-assign]
    assert (await parts.manager.add("Probe", "p", SYMBOL, {})).state is ADDED
    again = RedFireStrategyManager(
        [parts.cta], parts.thread.submit, parts.table, parts.pipeline, NothingKnown(), timeout_s=0.3
    )
    await again.load_strategies_from_db()
    assert again.get("p").state is ADDED


async def test_stop_is_not_held_up_by_another_command(parts: Parts) -> None:
    await parts.manager.add("Probe", "p", SYMBOL, {})
    await parts.manager.init("p")
    await parts.manager.start("p")
    async with parts.manager._table.lock("p"):
        stopping = asyncio.create_task(parts.manager.stop("p"))
        while "stop p" not in parts.cta.commands:  # noqa: ASYNC110 - the fake has nothing to wait for
            await asyncio.sleep(0)
    assert (await stopping).state is INITED


async def test_broken_files_can_be_read(parts: Parts) -> None:
    assert parts.manager.broken_files() == {"/strategies/x.py": "SyntaxError"}


async def test_desired_state_follows_the_commands(parts: Parts) -> None:
    manager = parts.manager
    for name, auto_start in (("plain", False), ("auto", True)):
        await manager.add("Probe", name, SYMBOL, {}, auto_start=auto_start)
    wanted = {name: [manager.get(name).desired_state] for name in ("plain", "auto")}
    for command in (manager.init, manager.start, manager.stop):
        for name, states in wanted.items():
            states.append((await command(name)).desired_state)
    assert wanted == {"plain": [ADDED, INITED, TRADING, INITED], "auto": [TRADING, TRADING, TRADING, INITED]}
    assert {name: record.desired_state for name, record in parts.table.records.items()} == {
        "plain": INITED, "auto": INITED,
    }  # fmt: skip


async def test_stop_of_what_never_ran_wishes_nothing(parts: Parts) -> None:
    await parts.manager.add("Probe", "p", SYMBOL, {})
    assert (await parts.manager.stop("p")).desired_state is ADDED


async def test_save_writes_the_setting_as_it_is(parts: Parts) -> None:
    await parts.manager.add("Probe", "p", SYMBOL, {"size": 1})
    parts.cta.edit_strategy("p", {"size": 2})
    await parts.manager.save_strategy_to_db("p")
    assert parts.table.records["p"].setting == {"size": 2}


async def test_unexpected_error_while_restoring_harms_no_other() -> None:
    parts = Parts(timeout_s=10)
    for name in ("a", "b"):
        await parts.table.save(
            StrategyRecord(
                strategy_name=name, class_name="Probe", engine=ENGINE_NAME, vt_symbol=SYMBOL, setting={},
                desired_state=TRADING,
            )
        )  # fmt: skip
    plain_init = parts.cta.init_strategy

    def init(strategy_name: str) -> Future[None]:
        if strategy_name == "a":
            failed: Future[None] = Future()
            failed.set_exception(ZeroDivisionError())
            return failed
        return plain_init(strategy_name)

    parts.cta.init_strategy = init  # type: ignore[method-assign]
    await parts.manager.restore()
    await parts.manager.settled()
    assert {strategy.strategy_name: strategy.state for strategy in parts.manager.list()} == {"a": ADDED, "b": TRADING}
    parts.thread.shutdown()


async def test_a_record_of_an_engine_that_is_not_here_is_shown_and_kept() -> None:
    parts = Parts(timeout_s=10)
    other = StrategyRecord(
        strategy_name="spread", class_name="X", engine="SpreadTrading", vt_symbol=SYMBOL, setting={}
    )
    saved = await parts.table.save(other)
    await parts.manager.restore()
    (shown,) = parts.manager.list()
    assert (shown.engine, shown.state, parts.table.records) == (other.engine, StrategyState.FAILED, {"spread": saved})
    with pytest.raises(NotFound, match="engine 'SpreadTrading'"):
        await parts.manager.init("spread")
    assert (await parts.manager.stop("spread")).state is StrategyState.FAILED
    await parts.manager.remove("spread")
    assert (parts.table.records, parts.manager.list()) == ({}, [])
    parts.thread.shutdown()


async def test_unloaded_strategy() -> None:
    parts = Parts(timeout_s=10)
    record = StrategyRecord(
        strategy_name="u", class_name="Unknown", engine=ENGINE_NAME, vt_symbol=SYMBOL, setting={"size": 1},
        desired_state=TRADING,
    )  # fmt: skip
    await parts.table.save(record)
    await parts.manager.restore()
    await parts.manager.settled()
    shown = parts.manager.get("u")
    assert (shown.state, shown.parameters, shown.desired_state) == (StrategyState.FAILED, {"size": 1}, TRADING)
    with pytest.raises(Conflict):
        await parts.manager.start("u")
    await parts.manager.remove("u")
    assert parts.manager.list() == []
    assert parts.cta.commands[-1] == "forget u"
    parts.thread.shutdown()


async def test_auto_start_can_be_changed(parts: Parts) -> None:
    acting.set("alice")
    await parts.manager.add("Probe", "p", SYMBOL, {})
    plan = await parts.manager.change_plan("p", auto_start=True)
    assert (plan.auto_start, plan.desired_state, plan.version, plan.updated_by) == (True, TRADING, 2, "alice")
    plan = await parts.manager.change_plan("p", auto_start=False)
    assert (plan.auto_start, plan.desired_state) == (False, ADDED)
    await parts.manager.init("p")
    await parts.manager.start("p")
    assert (await parts.manager.change_plan("p", auto_start=True)).desired_state is TRADING
    assert (await parts.manager.change_plan("p", auto_start=False)).desired_state is TRADING
    assert parts.manager.plan("p") == await parts.manager.change_plan("p", auto_start=False)


async def test_an_inactive_strategy_is_kept_and_not_loaded(parts: Parts) -> None:
    await parts.manager.add("Probe", "p", SYMBOL, {"size": 2}, auto_start=True)
    assert not (await parts.manager.change_plan("p", is_active=False)).is_active
    assert parts.cta.states == {}
    shown = parts.manager.get("p")
    assert (shown.state, shown.pos, shown.parameters) == (ADDED, 0.0, {"size": 2})
    for command in (parts.manager.init, parts.manager.start):
        with pytest.raises(Conflict) as refused:
            await command("p")
        assert refused.value.error_code == "not_active"
    again = RedFireStrategyManager(
        [parts.cta], parts.thread.submit, parts.table, parts.pipeline, NothingKnown(), timeout_s=10
    )
    await again.restore()
    await again.settled()
    assert (again.get("p").state, parts.cta.states) == (ADDED, {})
    assert (await again.change_plan("p", is_active=True)).is_active
    assert parts.cta.states.keys() == {"p"}
    await again.init("p")
    assert again.get("p").state is INITED
    assert StrategyState.FAILED not in {model.state for model in parts.pipeline.told if isinstance(model, Strategy)}
    await again.close()


async def test_an_inactive_strategy_that_cannot_be_stored_is_loaded_again(parts: Parts) -> None:
    await parts.manager.add("Probe", "p", SYMBOL, {})
    parts.table.down = True
    with pytest.raises(Unavailable):
        await parts.manager.change_plan("p", is_active=False)
    parts.table.down = False
    assert (parts.manager.plan("p").is_active, parts.cta.states.keys()) == (True, {"p"})
    await parts.manager.init("p")
