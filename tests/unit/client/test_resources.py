"""Each call of the client is answered by the service as it is meant, and the answers are the models."""

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime

import httpx
import msgspec
import pytest
from tests.unit.routers.memory_service import ADMIN_KEY, MemoryService, contract
from tests.unit.strategies.test_books import fill

from vnpy_core.app import create_app
from vnpy_core.client import (
    AsyncVnPyCoreClient,
    Conflict,
    Forbidden,
    Invalid,
    NewOrder,
    NotFound,
    Unauthorized,
    Unavailable,
)
from vnpy_core.enums import Direction, Exchange, GatewayState, Interval, Offset, OrderStatus, Role, Scope, StrategyState
from vnpy_core.errors import Unavailable as ServiceUnavailable
from vnpy_core.models import Alert
from vnpy_core.routers import examples
from vnpy_core.routers.answers import GatewayRow
from vnpy_core.routers.strategy_log import EXAMPLE


@pytest.fixture
async def service() -> AsyncIterator[MemoryService]:
    made = MemoryService()
    await made.tell(
        examples.GATEWAY, contract("rb2501.SHFE"), contract("IF2501.CFFEX"), examples.ORDER, examples.TRADE,
        examples.POSITION, examples.ACCOUNT, examples.TICK,
    )  # fmt: skip
    yield made
    await made.orders.close()
    await made.pipeline.close()
    await made.hub.close()


@pytest.fixture
async def core(service: MemoryService) -> AsyncIterator[AsyncVnPyCoreClient]:
    transport = httpx.ASGITransport(create_app(service))
    async with AsyncVnPyCoreClient("http://core", token=ADMIN_KEY, transport=transport) as client:
        yield client


async def test_what_there_is(core: AsyncVnPyCoreClient) -> None:
    trading = core.trading
    assert [each async for each in trading.orders()] == [examples.ORDER]
    assert await trading.order(examples.ORDER.vt_orderid) == examples.ORDER
    assert [each async for each in trading.trades(vt_orderid=examples.TRADE.vt_orderid)] == [examples.TRADE]
    assert [each async for each in trading.positions(direction=Direction.LONG)] == [examples.POSITION]
    assert [each async for each in trading.accounts()] == [examples.ACCOUNT]
    assert [each.vt_symbol async for each in trading.contracts(exchange=Exchange.CFFEX)] == ["IF2501.CFFEX"]
    assert [each async for each in trading.ticks(vt_symbols=["rb2501.SHFE", "ag2506.SHFE"])] == [examples.TICK]
    row = GatewayRow(**msgspec.structs.asdict(examples.GATEWAY), last_tick_age_s=None)
    assert [each async for each in trading.gateways()] == [row]
    assert await trading.unknown_intents() == []


async def test_a_long_list_is_read_page_by_page(core: AsyncVnPyCoreClient, service: MemoryService) -> None:
    ids = [f"SIM.{number}" for number in range(2500)]
    await service.tell(*(msgspec.structs.replace(examples.ORDER, vt_orderid=vt_orderid) for vt_orderid in ids))
    found = [order.vt_orderid async for order in core.trading.orders()]
    assert sorted(found) == sorted([examples.ORDER.vt_orderid, *ids])


async def test_filters_are_told_in_the_query(core: AsyncVnPyCoreClient) -> None:
    trading = core.trading
    for which, count in (
        (trading.orders(active=False), 0), (trading.orders(active=True), 1), (trading.orders(strategy="demo"), 1),
        (trading.orders(status=OrderStatus.REJECTED), 0), (trading.orders(client_order_id="desk-1-000042"), 1),
        (trading.orders(since=datetime(2026, 1, 6, tzinfo=UTC)), 0),
    ):  # fmt: skip
        assert len([each async for each in which]) == count
    with pytest.raises(ValueError, match="time zone"):
        await anext(trading.orders(since=datetime(2026, 1, 6)))  # noqa: DTZ001


async def test_an_order_and_its_end(core: AsyncVnPyCoreClient) -> None:
    sent = await core.trading.send_order(
        "rb2501", Exchange.SHFE, Direction.LONG, 1, 3500, offset=Offset.OPEN, client_order_id="a-1"
    )
    assert (sent.client_order_id, sent.order and sent.order.status) == ("a-1", OrderStatus.NOTTRADED)
    assert (await core.trading.cancel_order(sent.vt_orderid)).accepted
    with pytest.raises(Conflict) as refused:
        await core.trading.cancel_order(sent.vt_orderid)
    assert refused.value.code == "order_not_active"
    assert refused.value.request_id
    made_up = await core.trading.send_order("rb2501", Exchange.SHFE, Direction.LONG, 1, 3500, offset=Offset.OPEN)
    assert made_up.client_order_id != sent.client_order_id
    assert (await core.trading.cancel_all_orders(vt_symbol="rb2501.SHFE")).accepted == 2


async def test_several_orders_at_once(core: AsyncVnPyCoreClient) -> None:
    order = NewOrder(
        symbol="rb2501", exchange=Exchange.SHFE, direction=Direction.LONG, volume=1, price=3500, offset=Offset.OPEN
    )
    assert (await core.trading.preview_order(order)).gateway_name == "SIM"
    wrong = msgspec.structs.replace(order, symbol="nothing", client_order_id="b-2")
    result = await core.trading.send_orders([order, wrong])
    assert (result.sent, result.refused, result.unknown) == (1, 1, 0)
    sent, refused = result.results
    assert refused.client_order_id == "b-2"
    assert refused.problem is not None
    assert refused.problem.code == "unknown_contract"
    assert sent.result is not None
    assert sent.result.client_order_id == sent.client_order_id
    cancelled = await core.trading.cancel_orders([sent.result.vt_orderid, "SIM.nothing"])
    assert [one.accepted for one in cancelled.results] == [True, False]


async def test_the_calendar_tells_of_a_day_or_of_now(core: AsyncVnPyCoreClient) -> None:
    told = await core.trading.calendar_day("au2606.SHFE", date(2026, 1, 6))
    assert (told.date, told.is_trading_day, told.trading_day) == ("2026-01-06", True, "2026-01-05")
    assert (await core.trading.calendar_day("au2606.SHFE")).date == "2026-01-05"


async def test_gateways_and_subscriptions(core: AsyncVnPyCoreClient, service: MemoryService) -> None:
    assert (await core.trading.disconnect_gateway("SIM")).state is GatewayState.DISCONNECTED
    assert (await core.trading.connect_gateway("SIM", {"speed": 2})).state is GatewayState.CONNECTING
    assert service.gateways.setting == {"speed": 2}
    assert [one.names for one in await core.trading.gateway_settings()] == [["speed"]]
    await core.trading.forget_gateway_setting("SIM")
    with pytest.raises(NotFound):
        await core.trading.forget_gateway_setting("SIM")
    (asked,) = await core.trading.subscribe(["rb2501.SHFE"])
    assert (asked.vt_symbol, asked.gateway_name) == ("rb2501.SHFE", "SIM")
    assert await core.trading.unsubscribe(["rb2501.SHFE"], "SIM") == [asked]


async def test_strategy_files_from_the_first_version_to_the_end(core: AsyncVnPyCoreClient) -> None:
    files = core.strategy_files
    first = await files.upload("breakout.py", "class Breakout: ...\n", "first", replaces=0)
    assert (first.version, first.classes, first.comment) == (1, ["Breakout"], "first")
    with pytest.raises(Invalid) as refused:
        await files.upload("breakout.py", "class Breakout")
    assert refused.value.code == "syntax_error"
    await files.upload("breakout.py", "class Breakout: pass\n")
    assert "+class Breakout: pass" in (await files.diff("breakout.py")).diff
    assert (await files.diff("breakout.py", 0, 1)).from_version == 0
    assert (await files.rollback("breakout.py", 1, "better")).restores == 1
    assert [one.version async for one in files.versions("breakout.py")] == [3, 2, 1]
    assert (await files.get("breakout.py")).source == (await files.get("breakout.py", 1)).source
    assert [one.used_by async for one in files.list()] == [[]]
    assert (await files.delete("breakout.py")).deleted
    with pytest.raises(NotFound):
        await files.get("breakout.py")


async def test_code_is_reloaded(core: AsyncVnPyCoreClient) -> None:
    await core.strategies.add("DoubleMaStrategy", "demo", "rb2501.SHFE")
    assert (await core.strategies.reload("demo")).strategy_name == "demo"
    assert (await core.strategies.reload_class("DoubleMaStrategy")).reloaded == ["demo"]


async def test_a_strategy_from_its_class_to_its_end(core: AsyncVnPyCoreClient, service: MemoryService) -> None:
    strategies = core.strategies
    (known,) = await strategies.classes()
    assert await strategies.strategy_class(known.class_name) == known
    added = await strategies.add(known.class_name, "demo.2", "rb2501.SHFE", {"fast_window": 5})
    assert added.state is StrategyState.ADDED
    assert (await strategies.init("demo.2")).inited
    assert (await strategies.start("demo.2")).trading
    await service.pipeline.drain()
    assert [each.strategy_name async for each in strategies.list()] == ["demo.2"]
    assert await strategies.set_parameters("demo.2", {"fast_window": 6}) == await strategies.parameters("demo.2")
    assert await strategies.variables("demo.2") == examples.STRATEGY.variables
    assert not (await strategies.stop("demo.2")).trading
    assert (await strategies.get("demo.2")).state is StrategyState.INITED
    assert (await strategies.remove("demo.2")).removed
    with pytest.raises(NotFound):
        await strategies.get("demo.2")


async def test_a_strategy_that_fails_tells_where(core: AsyncVnPyCoreClient) -> None:
    await core.strategies.add("Broken", "broken", "rb2501.SHFE")
    with pytest.raises(Conflict) as failed:
        await core.strategies.start("broken")
    assert "ValueError" in failed.value.extra["traceback"]


async def test_history(core: AsyncVnPyCoreClient) -> None:
    start = datetime(2026, 1, 5, 1, 30, tzinfo=UTC)
    bars = [bar.datetime async for bar in core.data.bars("rb2501.SHFE", Interval.MINUTE, start=start, limit=3)]
    assert len(bars) == len(set(bars)) == 10
    made = [bar async for bar in core.data.bars_of_ticks("rb2501.SHFE", start=start)]
    assert all(bar.interval is Interval.MINUTE for bar in made)
    ticks = [tick async for tick in core.data.ticks("rb2501.SHFE", start=start, end=start)]
    assert len(ticks) == 1
    assert await core.data.overview() == [examples.OVERVIEW]
    with pytest.raises(Invalid) as wrong:
        await anext(core.data.bars("nothing"))
    assert wrong.value.extra["errors"][0]["field"] == "vt_symbol"


async def test_the_system(core: AsyncVnPyCoreClient, service: MemoryService) -> None:
    assert (await core.system.status()).version == examples.SYSTEM.version
    assert (await core.system.liveness()).alive
    assert (await core.system.readiness()).ready
    assert (await core.system.services()).services == []
    session = service.hub.open(None)
    assert session is not None
    assert await core.system.sessions() == [session.status()]
    assert (await core.system.end_session(session.session_id)).ended
    service.status_error = ServiceUnavailable("The journal is not open.")
    with pytest.raises(Unavailable, match="The journal is not open"):
        await core.system.status()


async def test_alerts(core: AsyncVnPyCoreClient, service: MemoryService) -> None:
    alerts = core.alerts
    await service.alert_desk.open(service.journal)
    service.pipeline.emit(
        Alert(alert_id="strange", severity="critical", summary="so", datetime=examples.TICK.datetime or "")
    )
    (found,) = [each async for each in alerts.alerts(active=True, severity="critical")]
    assert await alerts.alert(found.incident_id) == found
    assert (await alerts.acknowledge(found.incident_id, "mine")).state == "ACKNOWLEDGED"
    silence = await alerts.silence_alert(found.incident_id, 60, "x")
    window = await alerts.add_silence(60, "x", starts=datetime(2096, 1, 1, tzinfo=UTC))
    assert await alerts.silences() == [silence, window]
    assert (await alerts.end_silence(silence.silence_id)).over
    assert (await alerts.set_rule("disk_low", {"value": 5e9})).value == 5e9
    assert (await alerts.rule("disk_low")).source == "api"
    assert (await alerts.remove_rule("disk_low")).rule in await alerts.rules()
    assert [each.name for each in await alerts.channels()] == ["ops"]
    assert (await alerts.test_channel("ops")).delivered
    await service.alert_desk.close()


async def test_who_one_is_and_the_keys_one_has(core: AsyncVnPyCoreClient, service: MemoryService) -> None:
    me = await core.auth.me()
    assert Scope.ADMIN in me.scopes
    await service.access.administration.add_user("desk", Role.TRADER, None)
    made = await core.auth.create_api_key("reader", scopes=[Scope.TRADING_READ], username="desk")
    assert made.key
    async with AsyncVnPyCoreClient(
        "http://core", token=made.key, transport=httpx.ASGITransport(create_app(service))
    ) as reader:
        assert (await reader.auth.me()).scopes == [Scope.TRADING_READ]
        assert [order async for order in reader.trading.orders()] == [examples.ORDER]
        with pytest.raises(Forbidden):
            await reader.trading.cancel_all_orders()
        await core.auth.revoke_api_key(made.key_id)
        with pytest.raises(Unauthorized):
            await reader.auth.me()
    (listed,) = await core.auth.api_keys()
    assert listed.revoked
    assert await core.auth.sessions() == []


async def test_what_a_strategy_has_written(core: AsyncVnPyCoreClient, service: MemoryService) -> None:
    service.reports.logs.lines = EXAMPLE.log * 3
    assert [line async for line in core.strategies.log("demo", level="INFO")] == EXAMPLE.log * 3
    later = datetime(2026, 1, 6, tzinfo=UTC)
    with pytest.raises(NotFound):
        await anext(core.strategies.log("demo", start=later))


async def test_charts(core: AsyncVnPyCoreClient, service: MemoryService) -> None:
    start = datetime(2026, 1, 5, tzinfo=UTC)
    chart = await core.charts.get("IF2501.CFFEX", "1h", start=start, strategy="demo", indicators=["SMA:30", "RSI"])
    assert (chart.vt_symbol, chart.interval, len(chart.bars)) == ("IF2501.CFFEX", "1h", 1)
    (asked,) = service.reports.charts.asked
    assert (asked.start, asked.strategy, asked.indicators) == (start, "demo", ("SMA:30", "RSI"))
    assert "MACD" in {indicator.name for indicator in await core.charts.indicators()}


async def test_how_strategies_do(core: AsyncVnPyCoreClient, service: MemoryService) -> None:
    books = service.reports.performance.books
    books.take_contract(contract("rb2501.SHFE"))
    books.take_fill(fill())
    one = await core.strategies.performance("demo", end=date(2026, 1, 5), capital=5000)
    assert (one.strategies, one.capital, one.trade_count) == (["demo"], 5000, 1)
    whole = await core.strategies.portfolio_performance(start=date(2026, 1, 5))
    assert (whole.net_pnl, whole.start) == (one.net_pnl, "2026-01-05")
    assert (await core.strategies.portfolio_performance(["demo"])).net_pnl == one.net_pnl
    assert [row.net_pnl async for row in core.strategies.daily("demo")] == [one.net_pnl]
    assert [point.balance async for point in core.strategies.equity("demo", capital=5000)] == [one.balance]
    assert [row.date async for row in core.strategies.daily(names=["demo"])] == ["2026-01-05"]
    with pytest.raises(NotFound):
        await core.strategies.performance("nobody")
