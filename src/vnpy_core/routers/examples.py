"""One good example of each answer, for the documentation; made of the models, so that they cannot disagree."""

from vnpy_core import models, reports
from vnpy_core.enums import (
    Direction,
    Exchange,
    GatewayState,
    Interval,
    Offset,
    OrderStatus,
    OrderType,
    Product,
    ServiceStatus,
    StrategyState,
)
from vnpy_core.routers import answers
from vnpy_core.trading.results import AmendResult, CancelResult, Preview, SubmitResult

_AT = "2026-01-05T01:30:00.123456+00:00"

ORDER = models.Order(
    vt_orderid="SIM.26010500001", orderid="26010500001", gateway_name="SIM", symbol="rb2501", exchange=Exchange.SHFE,
    vt_symbol="rb2501.SHFE", type=OrderType.LIMIT, direction=Direction.LONG, offset=Offset.OPEN, price=3500.0,
    volume=2.0, traded=1.0, status=OrderStatus.PARTTRADED, datetime=_AT, reference="CtaStrategy_demo",
    client_order_id="desk-1-000042",
)  # fmt: skip
INTENT = models.OrderIntent(
    intent_id="0d4f8a6c0a5b4d2f9a1e7c3b5d6f8a90", client_order_id="desk-1-000042", gateway_name="SIM", symbol="rb2501",
    exchange=Exchange.SHFE, direction=Direction.LONG, offset=Offset.OPEN, type=OrderType.LIMIT, price=3500.0,
    volume=2.0, reference="", created=_AT, outcome="UNKNOWN", reason="The engine did not answer within 5 s.",
)  # fmt: skip
TRADE = models.Trade(
    vt_tradeid="SIM.T26010500001", tradeid="T26010500001", vt_orderid="SIM.26010500001", orderid="26010500001",
    gateway_name="SIM", symbol="rb2501", exchange=Exchange.SHFE, vt_symbol="rb2501.SHFE", direction=Direction.LONG,
    offset=Offset.OPEN, price=3500.0, volume=1.0, datetime=_AT,
)  # fmt: skip
POSITION = models.Position(
    vt_positionid="SIM.rb2501.SHFE.LONG", gateway_name="SIM", symbol="rb2501", exchange=Exchange.SHFE,
    vt_symbol="rb2501.SHFE", direction=Direction.LONG, volume=1.0, frozen=0.0, price=3500.0, pnl=10.0, yd_volume=0.0,
)  # fmt: skip
ACCOUNT = models.Account(
    vt_accountid="SIM.SIM", accountid="SIM", gateway_name="SIM", balance=1_000_000.0, frozen=3_500.0,
    available=996_500.0,
)  # fmt: skip
CONTRACT = models.Contract(
    vt_symbol="rb2501.SHFE", symbol="rb2501", exchange=Exchange.SHFE, gateway_name="SIM", name="螺纹钢2501",
    product=Product.FUTURES, size=10.0, pricetick=1.0, min_volume=1.0, max_volume=None, stop_supported=True,
    net_position=False, history_data=True,
)  # fmt: skip
TICK = models.Tick(
    vt_symbol="rb2501.SHFE", symbol="rb2501", exchange=Exchange.SHFE, gateway_name="SIM", datetime=_AT, localtime=_AT,
    name="螺纹钢2501", volume=120_000.0, turnover=4.2e9, open_interest=800_000.0, last_price=3500.0, last_volume=3.0,
    limit_up=3710.0, limit_down=3290.0, open_price=3490.0, high_price=3512.0, low_price=3488.0, pre_close=3495.0,
    bid_price_1=3499.0, bid_price_2=3498.0, bid_price_3=3497.0, bid_price_4=3496.0, bid_price_5=3495.0,
    ask_price_1=3500.0, ask_price_2=3501.0, ask_price_3=3502.0, ask_price_4=3503.0, ask_price_5=3504.0,
    bid_volume_1=12.0, bid_volume_2=30.0, bid_volume_3=41.0, bid_volume_4=22.0, bid_volume_5=60.0,
    ask_volume_1=9.0, ask_volume_2=25.0, ask_volume_3=38.0, ask_volume_4=40.0, ask_volume_5=55.0,
)  # fmt: skip
BAR = models.Bar(
    vt_symbol="rb2501.SHFE", symbol="rb2501", exchange=Exchange.SHFE, gateway_name="DB",
    datetime="2026-01-05T01:30:00.000000+00:00", interval=Interval.MINUTE, volume=420.0, turnover=1.47e7,
    open_interest=800_000.0, open_price=3499.0, high_price=3502.0, low_price=3498.0, close_price=3500.0,
)  # fmt: skip
GATEWAY = models.GatewayStatus(
    gateway_name="SIM", class_path="vnpy_core.engine.sim.SimGateway", state=GatewayState.CONNECTED,
    exchanges=[Exchange.SHFE, Exchange.CFFEX], since=_AT,
)  # fmt: skip
STRATEGY = models.Strategy(
    strategy_name="demo", class_name="DoubleMaStrategy", engine="CtaStrategy", vt_symbol="rb2501.SHFE",
    author="VnPy Core", state=StrategyState.TRADING, inited=True, trading=True, auto_start=True, pos=1.0,
    parameters={"fast_window": 10, "slow_window": 20}, variables={"fast_ma0": 3500.5, "slow_ma0": 3498.0},
    desired_state=StrategyState.TRADING, revision=12, vt_symbols=["rb2501.SHFE"], positions={"rb2501.SHFE": 1.0},
)  # fmt: skip
OVERVIEW = models.HistoryOverview(
    vt_symbol="rb2501.SHFE", symbol="rb2501", exchange=Exchange.SHFE, interval=Interval.MINUTE, count=45_031,
    start="2025-01-02T01:00:00.000000+00:00", end="2026-01-05T07:00:00.000000+00:00",
)  # fmt: skip
DOWNLOAD = models.Download(
    vt_symbol="rb2501.SHFE", interval=Interval.MINUTE, source="SIM", count=1_440,
    start="2026-01-05T01:00:00.000000+00:00", end="2026-01-06T00:59:00.000000+00:00",
)  # fmt: skip
SUBMITTED = SubmitResult(
    vt_orderid=ORDER.vt_orderid, orderid=ORDER.orderid, client_order_id="desk-1-000042",
    intent_id="0d4f8a6c0a5b4d2f9a1e7c3b5d6f8a90", order=ORDER,
)  # fmt: skip
AMENDED = AmendResult(
    vt_orderid="SIM.26010500002", orderid="26010500002", client_order_id="desk-1-000043",
    intent_id="5b0c1f7e2d6a4c3f8e9d0a1b2c3d4e5f", replaces=ORDER.vt_orderid,
)  # fmt: skip
PREVIEW = Preview(
    gateway_name="SIM", client_order_id="desk-1-000042",
    order=models.OrderSpec(
        symbol="rb2501", exchange=Exchange.SHFE, direction=Direction.LONG, offset=Offset.OPEN, type=OrderType.LIMIT,
        price=3500.0, volume=2.0,
    ),
)  # fmt: skip
CANCELLED = CancelResult(vt_orderid=ORDER.vt_orderid, accepted=True)
BATCH = answers.BatchResult(
    results=[
        answers.BatchItem(client_order_id="desk-1-000042", status=201, result=SUBMITTED),
        answers.BatchItem(
            client_order_id="desk-1-000043", status=409,
            problem=answers.ItemProblem(code="price_tick", detail="3499.5 is no multiple of the price tick 1."),
        ),
    ],
    sent=1, refused=1, unknown=0,
)  # fmt: skip
CANCELLED_ALL = answers.CancelAllResult(
    results=[
        CANCELLED,
        CancelResult(
            vt_orderid="SIM.26010500002", accepted=False, code="order_not_active",
            detail="Order SIM.26010500002 is ALLTRADED.",
        ),
    ],
    accepted=1, refused=1,
)  # fmt: skip
SUBSCRIBED = answers.SubscriptionResult(
    subscriptions=[answers.Subscription(vt_symbol="rb2501.SHFE", gateway_name="SIM")]
)
PARAMETERS = answers.Parameters(strategy_name="demo", parameters=STRATEGY.parameters)
VARIABLES = answers.Variables(strategy_name="demo", variables=STRATEGY.variables)
REMOVED = answers.Removed(strategy_name="demo")
SESSION_ENDED = answers.SessionEnded(session_id="ws-1")
LIVENESS = reports.Liveness(alive=True, event_thread=True, loop_lag_ms=0.2)
READINESS = reports.Readiness(
    ready=True,
    dependencies=[
        reports.Dependency(name="journal", state="UP"),
        reports.Dependency(name="gateway.SIM", state="UP", needed=False),
    ],
)
NOT_READY = reports.Readiness(
    ready=False, dependencies=[reports.Dependency(name="journal", state="DOWN", detail="The disk is full.")]
)
SYSTEM = reports.SystemStatus(
    service="vnpy-core", version="0.1.0", started=_AT, uptime_s=86_400.0, pid=4242, python="3.11.9",
    timezone="Asia/Shanghai", ready=True, versions={"vnpy": "4.5.0", "vnpy_ctastrategy": "1.4.1"},
    engines=["log", "oms", "CtaStrategy", "RiskManager"], gateways=[GATEWAY],
    event_engine=reports.EventEngineStatus(
        running=True, queue_depth=0, processed=1_250_000, lag_p50_ms=0.05, lag_p99_ms=0.9, lag_max_ms=12.0,
        handler_ms=45_000.0,
    ),
    bridge=reports.BridgeStatus(buffered=0, translated=620_000, ticks_dropped=0),
    journal=reports.JournalStatus(first_seq=1, last_seq=1042, pending=0, healthy=True),
    sinks=[reports.SinkStatus(name="sql", position=1042, lag=0, healthy=True, since=_AT)],
    history=reports.HistoryStatus(
        recording=True, healthy=True, since=_AT, pending=420, in_memory=20, spooled=600_400,
        spool_bytes=460_000, spool_segments=1, oldest_age_s=0.4, stored=600_000,
    ),
    bus=reports.BusStatus(transport="memory", address="this process"),
    sessions=[
        reports.SessionStatus(
            session_id="ws-1", client="127.0.0.1:50412", connected=_AT, topics=["order", "tick.rb2501"],
            sent_events=10_500, sent_frames=2_100, sent_bytes=9_450_000, conflated=0, dropped=0, queued_facts=0,
            queued_market=0, queued_bytes=0, lag_ms=0.0, encoding="json", throttle_ms=0,
        )
    ],
)  # fmt: skip
SERVICE = models.ServiceInstance(
    name="vnpy-core", host="10.0.0.12", port=8006, version="0.1.0", status=ServiceStatus.HEALTHY,
    metadata={"api": "/api/v1", "websocket": "/ws", "gateways": ["SIM"], "pid": 4242}, tags=["trading"],
    health_check_url="http://10.0.0.12:8006/health/ready", weight=100, register_time=_AT, last_heartbeat=_AT,
)  # fmt: skip
STRATEGY_CLASS = answers.StrategyClass(
    class_name="DoubleMaStrategy", engine="CtaStrategy", module="vnpy_ctastrategy.strategies.double_ma_strategy",
    origin="official", package="vnpy_ctastrategy 1.4.1",
    file="/site-packages/vnpy_ctastrategy/strategies/double_ma_strategy.py", doc="", author="VeighNa",
    parameters=[
        answers.StrategyParameter(name="fast_window", type="int", default=10),
        answers.StrategyParameter(name="slow_window", type="int", default=20),
    ],
    variables=["fast_ma0", "fast_ma1", "slow_ma0", "slow_ma1"],
)  # fmt: skip
