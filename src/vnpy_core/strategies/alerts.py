"""StrategyAlerts: what an operator must know of strategies: one that failed or is slow, stop orders that ended."""

import logging
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence

import msgspec

from vnpy_core.engine.event_watch import SlowCallback
from vnpy_core.enums import StrategyState
from vnpy_core.events import Event
from vnpy_core.models import Alert, Strategy, now_timestamp
from vnpy_core.reports import StrategyError
from vnpy_core.strategies.host import Publisher

_KEPT = 50

logger = logging.getLogger(__name__)


class StrategyAlerts:
    """Loop only. Each alert is resolved when what it tells is over; a restart resolves all, and tells again."""

    def __init__(self, pipeline: Publisher) -> None:
        self._pipeline = pipeline
        self._raised: dict[str, str] = {}  # with their severity
        self._errors: defaultdict[str, deque[StrategyError]] = defaultdict(lambda: deque(maxlen=_KEPT))
        self._failed: dict[str, str] = {}
        pipeline.subscribe(self._on_events)

    def errors(self, strategy_name: str) -> list[StrategyError]:
        """Return the last 50 since the start of the service, the newest first."""
        return list(reversed(self._errors.get(strategy_name, ())))

    def on_slow(self, slow: SlowCallback) -> None:
        """Tell of a callback that takes too long, and once more when it is over. Of algos, too."""
        seen = slow.occupation
        kind, name = seen.kind or "handler", seen.owner or ""
        alert_id = f"{kind}.slow.{name}"
        if slow.ended:
            summary = f"{seen.callback} of {kind} {name!r} held the event thread for {seen.busy_s:.2f} s; it is over"
            logger.warning("%s", summary)
            self.resolve(alert_id, summary)
            errors = self._errors.get(name)
            if kind == "strategy" and errors and errors[-1].kind == "SLOW" and errors[-1].took_s is None:
                errors[-1] = msgspec.structs.replace(errors[-1], took_s=round(seen.busy_s, 3))
            return
        summary = (
            f"{seen.callback} of {kind} {name!r} has held the event thread for {seen.busy_s:.2f} s, and all strategies "
            f"wait for it. It is at {seen.place}"
        )
        logger.error("%s\n%s", summary, seen.stack)
        self.tell(alert_id, "warning", summary)
        if kind == "strategy":
            self._errors[name].append(
                StrategyError(
                    kind="SLOW", datetime=now_timestamp(), summary=summary, traceback=seen.stack, callback=seen.callback
                )
            )

    def stop_orders_ended(self, ended: Mapping[str, int], why: Mapping[str, str]) -> None:
        """Tell that stop orders of the run before are not watched any more, by strategy, and for what reason."""
        for name, count in ended.items():
            summary = (
                f"{count} stop {'order' if count == 1 else 'orders'} of strategy {name!r} that waited when the service "
                f"ended {'is' if count == 1 else 'are'} not watched any more: {why.get(name, 'it is gone')}"
            )
            logger.error("%s", summary)
            self.tell(f"strategy.stop_orders.{name}", "critical", summary)

    def tell(self, alert_id: str, severity: str, summary: str) -> None:
        self._raised[alert_id] = severity
        self._pipeline.emit(
            Alert(alert_id=alert_id, severity=severity, summary=summary, datetime=now_timestamp(), resolved=False)
        )

    def resolve(self, alert_id: str, summary: str) -> None:
        """Resolve it, if it is raised."""
        if (severity := self._raised.pop(alert_id, None)) is not None:
            self._pipeline.emit(
                Alert(alert_id=alert_id, severity=severity, summary=summary, datetime=now_timestamp(), resolved=True)
            )

    def _on_events(self, events: Sequence[Event]) -> None:
        for event in events:
            if isinstance(event.data, Strategy):
                self._take(event.data)

    def _take(self, told: Strategy) -> None:
        name = told.strategy_name
        if told.state is StrategyState.FAILED:
            shown = told.error or ""
            if self._failed.get(name) != shown:
                self._failed[name] = shown
                summary = f"Strategy {name!r} failed: {shown.strip().rpartition(chr(10))[2]}"
                self._errors[name].append(
                    StrategyError(kind="FAILED", datetime=now_timestamp(), summary=summary, traceback=shown)
                )
                self.tell(f"strategy.failed.{name}", "critical", summary)
            return
        self._failed.pop(name, None)
        self.resolve(f"strategy.failed.{name}", f"Strategy {name!r} is {told.state}")
        if told.state in (StrategyState.TRADING, StrategyState.REMOVED):
            self.resolve(f"strategy.stop_orders.{name}", f"Strategy {name!r} is {told.state}")
        if told.state is StrategyState.REMOVED:
            self._errors.pop(name, None)
