"""One good example of each answer of the risk and algo routes."""

from vnpy_core import models
from vnpy_core.config.risk_settings import RiskSettings
from vnpy_core.enums import Direction, Offset, OrderStatus, TradingState
from vnpy_core.routers.risk_answers import AlgoPage, AlgoParameter, AlgoTemplate, AlgoTemplatePage, RulePage
from vnpy_core.trading.risk_reports import AccountRisk, RiskOverview

_AT = "2026-01-05T01:30:00.123456+00:00"

RESUMED = models.RiskState(
    scope="*", state=TradingState.ACTIVE, reason="The feed is right again", source="operator", since=_AT, revision=4
)
HALTED = models.RiskState(
    scope="*", state=TradingState.HALTED, reason="The feed is wrong", source="operator", since=_AT, revision=3
)
_REDUCING = models.RiskState(
    scope="SIM", state=TradingState.REDUCING, source="daily_loss", since=_AT, revision=1,
    reason="The balance fell from 1000000.00 to 969000.00; the limit of daily_loss is 3 %",
)  # fmt: skip
_DAY = models.RiskDay(
    vt_accountid="SIM.SIM", gateway_name="SIM", day="2026-01-05", opening_balance=1_000_000.0,
    highest_balance=1_002_500.0,
)  # fmt: skip
OVERVIEW = RiskOverview(
    state=RESUMED,
    accounts=[
        AccountRisk(
            gateway_name="SIM", effective_state=TradingState.REDUCING, state=_REDUCING, day=_DAY, balance=969_000.0,
            daily_loss=31_000.0, drawdown=33_500.0,
        )
    ],
)  # fmt: skip
LIMITS = models.RiskLimits(limits=RiskSettings().model_dump(mode="json"), source="api", updated=_AT)
RULE = models.RiskRule(
    class_name="OrderSizeRule", name="委托规模检查",
    parameters={"active": True, "order_volume_limit": 500, "order_value_limit": 1_000_000.0}, variables={},
)  # fmt: skip
RULES = RulePage(rules=[RULE], next_cursor=None)
REPORT = models.KillSwitchReport(
    started=_AT, ended="2026-01-05T01:30:02.654321+00:00", reason="Stop everything", flatten=True, complete=False,
    strategies_stopped=["demo"], algos_stopped=["TwapAlgo_1"], cancels_requested=3, orders_cancelled=2,
    flatten_orders=["SIM.26010500007"],
    orders_left=[
        models.OrderLeft(
            vt_orderid="SIM.26010500001", vt_symbol="rb2501.SHFE", status=OrderStatus.NOTTRADED, left=2.0,
            reason="The gateway was asked 3 times to cancel it, and has not said that it is.",
        )
    ],
    positions_left=[], problems=[],
)  # fmt: skip
ALGO = models.Algo(
    algo_name="TwapAlgo_1", template="TwapAlgo", vt_symbol="rb2501.SHFE", direction=Direction.LONG,
    offset=Offset.OPEN, price=3510.0, volume=10.0, status="RUNNING", traded=4.0, left=6.0, traded_price=3500.5,
    parameters={"time": 60, "interval": 10}, variables={"order_volume": 2.0, "timer_count": 3, "total_count": 23},
)  # fmt: skip
ALGOS = AlgoPage(algos=[ALGO], next_cursor=None)
TEMPLATES = AlgoTemplatePage(
    templates=[
        AlgoTemplate(
            template="TwapAlgo", display_name="TWAP 时间加权平均", doc="TWAP算法类",
            parameters=[
                AlgoParameter(name="time", type="int", default=600, minimum=1, meaning="Seconds, in all"),
                AlgoParameter(name="interval", type="int", default=60, minimum=1, meaning="Seconds between orders"),
            ],
        )
    ],
    next_cursor=None,
)  # fmt: skip
