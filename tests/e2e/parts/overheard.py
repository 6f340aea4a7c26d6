"""The simulated exchange, with a file (named by OVERHEARD) of all that is sent to it; loaded by dotted path."""

import os
from pathlib import Path

from vnpy.trader.object import CancelRequest, OrderRequest

from vnpy_core.engine.sim import SimGateway


class OverheardGateway(SimGateway):
    def send_order(self, req: OrderRequest) -> str:
        self._note(f"order {req.reference}")
        return super().send_order(req)

    def cancel_order(self, req: CancelRequest) -> None:
        self._note(f"cancel {req.orderid}")
        super().cancel_order(req)

    def _note(self, line: str) -> None:
        with Path(os.environ["OVERHEARD"]).open("a") as file:
            file.write(f"{line}\n")
