"""A simulated exchange that ends the whole process while an order is being sent, once the folder has a file ``die``."""

import os
from pathlib import Path

from vnpy.trader import utility
from vnpy.trader.object import OrderRequest

from vnpy_core.engine.sim import SimGateway


class DyingGateway(SimGateway):
    """``die`` holds ``before`` or ``after``: whether the exchange has got the order by then."""

    def send_order(self, req: OrderRequest) -> str:
        file = Path(utility.TRADER_DIR) / "die"
        when = file.read_text() if file.exists() else ""
        file.unlink(missing_ok=True)
        if when == "before":
            os._exit(9)
        vt_orderid = super().send_order(req)
        if when == "after":
            os._exit(9)
        return vt_orderid
