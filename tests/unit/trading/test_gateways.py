"""GatewayService: which gateway a subscription goes to, and that it comes back with the gateway."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from vnpy_core.data.read_model import ReadModel
from vnpy_core.enums import Exchange, GatewayState, Product, StrategyState
from vnpy_core.errors import Invalid, NotFound
from vnpy_core.events import Event
from vnpy_core.models import Contract, GatewayStatus, Model, Strategy
from vnpy_core.trading.event_thread import EventThread
from vnpy_core.trading.gateways import GatewayService

SYMBOL = "rb2505.SHFE"


class Engine:
    """Two gateways, and a record of what they were asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.left: list[str] = []

    def statuses(self) -> list[GatewayStatus]:
        return [GatewayStatus(gateway_name=name, class_path="x.Y", state=GatewayState.CONNECTED) for name in "AB"]

    def connect(self, name: str, setting: Mapping[str, Any] | None = None) -> object:
        return None

    def disconnect(self, name: str) -> object:
        return None

    def subscribe(self, gateway_name: str, symbol: str, exchange: Exchange) -> None:
        self.asked.append(f"{gateway_name} {symbol}.{exchange}")

    def unsubscribe(self, gateway_name: str, symbol: str, exchange: Exchange) -> bool:
        self.left.append(f"{gateway_name} {symbol}.{exchange}")
        return True


class Pipeline:
    def __init__(self) -> None:
        self._callbacks: list[Callable[[Sequence[Event]], None]] = []

    def emit(self, model: Model) -> None:
        for callback in self._callbacks:
            callback([Event(model)])

    def subscribe(self, callback: Callable[[Sequence[Event]], None]) -> None:
        self._callbacks.append(callback)


class Parts:
    def __init__(self, file: Path) -> None:
        self.engine = Engine()
        self.pipeline = Pipeline()
        self.read_model = ReadModel()
        self.thread = ThreadPoolExecutor(1)
        event_thread = EventThread(self.thread.submit, 10.0)
        self.service = GatewayService(
            self.engine, self.engine, event_thread, self.pipeline, self.read_model, remembered=file
        )

    def contract(self, gateway_name: str, symbol: str = "rb2505") -> None:
        told = Contract(
            vt_symbol=f"{symbol}.SHFE", symbol=symbol, exchange=Exchange.SHFE, gateway_name=gateway_name, name="",
            product=Product.FUTURES, size=10.0, pricetick=1.0, min_volume=1.0, max_volume=None, stop_supported=False,
            net_position=False, history_data=False,
        )  # fmt: skip
        self.read_model.apply([Event(told)])
        self.pipeline.emit(told)

    async def until_asked(self) -> list[str]:
        async with asyncio.timeout(5):
            while not self.engine.asked:  # noqa: ASYNC110 - the fake has nothing to wait for
                await asyncio.sleep(0)
        return self.engine.asked

    async def close(self) -> None:
        await self.service.close()
        self.thread.shutdown()

    def enter(self, gateway_name: str, state: GatewayState) -> None:
        self.pipeline.emit(GatewayStatus(gateway_name=gateway_name, class_path="x.Y", state=state))


@pytest.fixture
async def parts(tmp_path: Path) -> AsyncIterator[Parts]:
    made = Parts(tmp_path / "subscriptions.json")
    yield made
    await made.close()


async def test_a_symbol_of_two_gateways_is_asked_of_the_named_one(parts: Parts) -> None:
    parts.contract("A")
    parts.contract("B")
    with pytest.raises(Invalid, match="A, B"):
        await parts.service.subscribe([SYMBOL])
    (contract,) = await parts.service.subscribe([SYMBOL], "B")
    assert (contract.gateway_name, parts.engine.asked) == ("B", ["B rb2505.SHFE"])


async def test_nothing_is_subscribed_when_one_symbol_is_unknown(parts: Parts) -> None:
    parts.contract("A")
    for symbols, gateway_name in (([SYMBOL, "nope.SHFE"], None), ([SYMBOL], "B")):
        with pytest.raises(NotFound):
            await parts.service.subscribe(symbols, gateway_name)
    assert parts.engine.asked == []


async def test_a_subscription_comes_back_with_its_gateway(parts: Parts) -> None:
    parts.contract("A")
    parts.contract("A", "hc2505")
    await parts.service.subscribe([SYMBOL, "hc2505.SHFE"])
    await parts.service.unsubscribe(["hc2505.SHFE"])
    parts.engine.asked.clear()

    parts.enter("A", GatewayState.DISCONNECTED)
    parts.enter("B", GatewayState.CONNECTED)
    parts.enter("A", GatewayState.CONNECTED)

    assert await parts.until_asked() == ["A rb2505.SHFE"]


async def test_a_subscription_outlives_the_service(parts: Parts, tmp_path: Path) -> None:
    for symbol in ("rb2505", "hc2505", "i2505"):
        parts.contract("A", symbol)
    await parts.service.subscribe([SYMBOL, "hc2505.SHFE", "i2505.SHFE"])
    await parts.service.unsubscribe(["i2505.SHFE"])

    again = Parts(tmp_path / "subscriptions.json")
    again.enter("A", GatewayState.CONNECTED)  # as it is with the first of its contracts
    for symbol in ("i2505", "rb2505"):
        again.contract("A", symbol)
    assert await again.until_asked() == ["A rb2505.SHFE"]
    again.engine.asked.clear()
    again.contract("A", "hc2505")
    assert await again.until_asked() == ["A hc2505.SHFE"]
    await again.close()


async def test_a_file_that_cannot_be_read_or_written_stops_nothing(tmp_path: Path) -> None:
    file = tmp_path / "gone" / "subscriptions.json"
    for _ in range(2):
        parts = Parts(file)
        parts.contract("A")
        await parts.service.subscribe([SYMBOL])
        assert parts.engine.asked == ["A rb2505.SHFE"]
        await parts.close()
        file = tmp_path / "subscriptions.json"
        file.write_text("[1]")


async def test_ticks_that_a_strategy_has_are_not_taken_from_it(parts: Parts) -> None:
    for symbol in ("rb2505", "hc2505"):
        parts.contract("A", symbol)
    strategy = Strategy(
        strategy_name="s", class_name="S", engine="CtaStrategy", vt_symbol=SYMBOL, author="",
        state=StrategyState.TRADING, inited=True, trading=True, pos=0.0, parameters={}, variables={},
        auto_start=True, error=None, desired_state=StrategyState.TRADING,
    )  # fmt: skip
    parts.read_model.apply([Event(strategy)])
    await parts.service.subscribe([SYMBOL, "hc2505.SHFE"])
    left = await parts.service.unsubscribe([SYMBOL, "hc2505.SHFE"])
    assert [contract.vt_symbol for contract in left] == [SYMBOL, "hc2505.SHFE"]
    assert parts.engine.left == ["A hc2505.SHFE"]


async def test_what_is_still_wanted_is_asked_for_once_more(parts: Parts) -> None:
    parts.contract("A")
    assert not parts.service.ask_again("A", SYMBOL)
    await parts.service.subscribe([SYMBOL])
    parts.engine.asked.clear()
    assert not parts.service.ask_again("B", SYMBOL)
    assert parts.service.ask_again("A", SYMBOL)
    assert await parts.until_asked() == [f"A {SYMBOL}"]
    await parts.service.unsubscribe([SYMBOL])
    assert not parts.service.ask_again("A", SYMBOL)
