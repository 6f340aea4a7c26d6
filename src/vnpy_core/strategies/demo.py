"""The demo: an official strategy on a symbol of the simulated exchange, so that a new user sees something run."""

from collections.abc import Mapping

from vnpy_core.config.gateways import GatewaySettings
from vnpy_core.strategies.manager import RedFireStrategyManager

SIM_GATEWAY = "vnpy_core.engine.sim.SimGateway"
DEMO_CLASS = "DoubleMaStrategy"
DEMO_SYMBOL = "rb2605.SHFE"


async def add_demo(strategies: RedFireStrategyManager, gateways: Mapping[str, GatewaySettings]) -> None:
    """Add it and let it trade, if ``gateways`` has a simulated one."""
    gateway = gateways.get("SIM")
    if gateway is None or gateway.class_path != SIM_GATEWAY:
        return
    await strategies.add(DEMO_CLASS, "demo", DEMO_SYMBOL, {}, auto_start=True)
    await strategies.init("demo")
    await strategies.start("demo")
