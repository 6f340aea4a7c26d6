"""A simulated exchange that does not say that it has told everything while the folder has a file ``slow``."""

from pathlib import Path
from typing import Any

from vnpy.trader import utility

from vnpy_core.engine.sim import SimGateway
from vnpy_core.engine.venue_reports import EVENT_VENUE_REPORTED


class SlowGateway(SimGateway):
    _held: Any = None

    def on_event(self, type: str, data: Any = None) -> None:
        if type == EVENT_VENUE_REPORTED and (Path(utility.TRADER_DIR) / "slow").exists():
            self._held = data
        else:
            super().on_event(type, data)

    def on_pulse(self, now: float) -> None:
        super().on_pulse(now)
        if self._held is not None:
            held, self._held = self._held, None
            self.on_event(EVENT_VENUE_REPORTED, held)
