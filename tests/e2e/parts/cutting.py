"""A simulated exchange whose connection is cut, or whose market data stops, while a file says so."""

from pathlib import Path

from vnpy.trader import utility
from vnpy.trader.object import TickData

from vnpy_core.engine.sim import SimGateway


class CuttingGateway(SimGateway):
    """``cut``: the connection is lost at the next tick, once. ``silence``: ticks are lost as long as it is there."""

    def on_tick(self, tick: TickData) -> None:
        folder = Path(utility.TRADER_DIR)
        cut = folder / "cut"
        if cut.exists():
            cut.unlink()
            self.inject(disconnect=True)
        elif not (folder / "silence").exists():
            super().on_tick(tick)
