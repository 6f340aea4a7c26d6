"""Reconciler: after each connection, holds orders back until the venue's report agrees with what is known."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, Protocol

import msgspec

from vnpy_core.config.gateways import GatewaySettings
from vnpy_core.config.json_file import replace_json
from vnpy_core.engine.markers import is_of_engine
from vnpy_core.enums import GatewayState
from vnpy_core.errors import Conflict, CoreError, NotFound
from vnpy_core.events import Event
from vnpy_core.models import Alert, GatewayStatus, Model, Order, OrderIntent, Position, now_timestamp
from vnpy_core.trading.comparison import Comparison
from vnpy_core.trading.event_thread import EventThread
from vnpy_core.trading.reconciliation import (
    Difference,
    Known,
    Reconciliation,
    Reported,
    Resolution,
    State,
    Tables,
    by_kind,
    take_known,
    told,
)

logger = logging.getLogger(__name__)

POLL_S = 0.05
RECHECK_S = 1.0
_ONLINE = frozenset({GatewayState.CONNECTED, GatewayState.STALE})


class Gate(Protocol):
    """The gateways, as far as their orders are held."""

    def gate(self, reported: Sequence[str], held: Sequence[str]) -> None: ...
    def release(self, name: str, began: str, gone: Sequence[Position]) -> None: ...
    def statuses(self) -> Sequence[GatewayStatus]: ...


class Reports(Protocol):
    def since(self, gateway_name: str, began: str | None, version: int) -> Reported | None: ...


class Intents(Protocol):
    @property
    def unknown(self) -> list[OrderIntent]: ...
    def is_on_its_way(self, intent_id: str) -> bool: ...
    def has_sent(self, vt_orderid: str) -> bool: ...
    async def resolve(
        self, intent_id: str, outcome: Literal["SENT", "NOT_SENT"], *, vt_orderid: str | None = None, reason: str
    ) -> OrderIntent: ...


class Published(Protocol):
    def emit(self, model: Model) -> None: ...
    def subscribe(self, callback: Callable[[Sequence[Event]], None]) -> None: ...


class Kept(msgspec.Struct):
    """What outlives the service of one gateway: what an admin has accepted, and what nobody has yet."""

    accepted: list[str] = msgspec.field(default_factory=list)
    open: list[Difference] = msgspec.field(default_factory=list)


class Reconciler:
    """Loop only. ``is_current`` tells whether a venue still reports orders of that one's trading day."""

    def __init__(
        self,
        settings: Mapping[str, GatewaySettings],
        gate: Gate,
        reports: Reports,
        intents: Intents,
        event_thread: EventThread,
        pipeline: Published,
        tables: Tables,
        *,
        kept: Path | None = None,
        is_current: Callable[[Order], bool] = lambda order: True,
    ) -> None:
        self._settings = {name: each for name, each in settings.items() if each.reconcile != "off"}
        self._gate = gate
        self._reports = reports
        self._intents = intents
        self._event_thread = event_thread
        self._pipeline = pipeline
        self._tables = tables
        self._file = kept
        self._is_current = is_current
        self._kept = _read(kept)
        self._known: dict[str, Known] = {name: take_known(tables, name) for name in self._settings}
        self._states: dict[str, GatewayState] = {}
        self._runs: dict[str, asyncio.Task[None]] = {}
        self._comparisons: dict[str, Comparison] = {}
        self._alerts: set[str] = set()
        self._changed = asyncio.Event()
        self._results = {name: self._waiting(name) for name in self._settings}
        for name in settings.keys() - self._settings.keys():
            self._results[name] = Reconciliation(gateway_name=name, state="OFF", holds=False)
        gate.gate(list(self._settings), [n for n, each in self._settings.items() if each.reconcile == "required"])
        pipeline.subscribe(self._on_events)

    def states(self) -> list[Reconciliation]:
        """Return how it stands with each gateway, in the order of the configuration. While one is looked at, only
        what holds it up is among its differences."""
        return list(self._results.values())

    def results(self) -> list[Reconciliation]:
        """Return the same with every difference, which costs as much as was told."""
        return [self._whole(name) for name in self._results]

    def _whole(self, name: str) -> Reconciliation:
        result, comparison = self._results[name], self._comparisons.get(name)
        if comparison is None or result.state != "DIFFERENT":
            return result
        return msgspec.structs.replace(result, differences=by_kind([*result.differences, *comparison.settled()]))

    async def accept(self, name: str) -> Reconciliation:
        """Take orders in spite of the differences. An order that is missing stays as it is, and does not hold up the
        next reconciliation.

        Raises:
            NotFound: no such gateway.
            Conflict: it is not held up by differences (``not_different``).
        """
        if name not in self._results:
            raise NotFound(f"There is no gateway {name!r}. Known: {', '.join(self._results) or 'none'}.")
        result = self._whole(name)
        if result.state != "DIFFERENT":
            raise Conflict(f"Gateway {name} is not held up by differences: it is {result.state}.", code="not_different")
        comparison = self._comparisons.get(name)
        self._stop(name)
        report = await self._event_thread.run(lambda: self._reports.since(name, None, 0))
        kept = self._kept.setdefault(name, Kept())
        kept.accepted = sorted({*kept.accepted, *(each.mark for each in result.differences if each.holds)})
        kept.open = []
        await self._write()
        logger.warning("The differences of gateway %s were accepted: %s", name, told(result.differences))
        accepted = [
            msgspec.structs.replace(each, resolution=Resolution.ACCEPTED) if each.holds else each
            for each in result.differences
        ]
        gone = self._gone(comparison) if comparison is not None else []
        await self._finish(
            name, "ACCEPTED", accepted, result.compared, report.began if report is not None else None, gone
        )
        return self._results[name]

    async def settled(self) -> None:
        """Wait until every gateway that is connected has been compared; at most ``reconcile_timeout_s``."""
        while any(
            self._results[status.gateway_name].state in ("WAITING", "RUNNING")
            for status in self._gate.statuses()
            if status.state in _ONLINE
        ):
            self._changed.clear()
            await self._changed.wait()

    async def close(self) -> None:
        runs = list(self._runs.values())
        for name in list(self._runs):
            self._stop(name)
        await asyncio.gather(*runs, return_exceptions=True)

    # -- a gateway comes and goes

    def _on_events(self, events: Sequence[Event]) -> None:
        for event in events:
            if isinstance(event.data, GatewayStatus):
                self._on_status(event.data)

    def _on_status(self, status: GatewayStatus) -> None:
        name = status.gateway_name
        before, self._states[name] = self._states.get(name), status.state
        if name not in self._settings:
            return
        if status.state not in _ONLINE:
            if before in _ONLINE or before is None:
                self._stop(name)
                if self._results[name].state != "WAITING":
                    self._known[name] = take_known(self._tables, name)
                    self._show(self._waiting(name))
        elif before not in _ONLINE:
            self._show(msgspec.structs.replace(self._waiting(name), state="RUNNING", started=now_timestamp()))
            self._runs[name] = asyncio.get_running_loop().create_task(
                self._run(name, self._known[name]), name=f"reconcile {name}"
            )

    def _waiting(self, name: str) -> Reconciliation:
        return Reconciliation(
            gateway_name=name, state="WAITING", holds=self._settings[name].reconcile == "required"
        )

    def _stop(self, name: str) -> None:
        self._comparisons.pop(name, None)
        run = self._runs.pop(name, None)
        if run is not None:
            run.cancel()

    # -- one reconciliation

    async def _run(self, name: str, known: Known) -> None:
        try:
            comparison = await asyncio.to_thread(  # a hundred thousand trades take it a while
                Comparison, known, is_current=self._is_current, is_ours=self._is_ours
            )
            self._comparisons[name] = comparison
            late = not await self._report_is_whole(name, comparison)
            looked_at: object = None
            while await self._hear(name, comparison) is not None:
                doubtful = self._doubtful(name)
                state = comparison.began, comparison.version, [intent.intent_id for intent in doubtful]
                if state != looked_at and await self._look(name, comparison, doubtful, late):
                    return
                looked_at = state
                await asyncio.sleep(RECHECK_S)
        except CoreError as error:
            self._show(msgspec.structs.replace(self._results[name], state="DIFFERENT", detail=error.detail))
        except Exception as error:
            logger.exception("The reconciliation of gateway %s failed", name)
            detail = f"It failed: {error!r}. Accept it, or connect again."
            self._show(msgspec.structs.replace(self._results[name], state="DIFFERENT", detail=detail))

    async def _report_is_whole(self, name: str, comparison: Comparison) -> bool:
        """Wait until the venue has told everything, as far as can be known, and return whether it did so in time."""
        settings = self._settings[name]
        deadline = asyncio.get_running_loop().time() + settings.reconcile_timeout_s
        while asyncio.get_running_loop().time() < deadline:
            news = await self._hear(name, comparison)
            if news is not None and news.is_complete:
                return True
            if news is not None and news.accounts and news.quiet_s >= settings.reconcile_quiet_s:
                return True
            await asyncio.sleep(POLL_S)
        return False

    async def _hear(self, name: str, comparison: Comparison) -> Reported | None:
        """Have ``comparison`` hear what the venue has told since it last did, and return that."""
        began, version = comparison.began, comparison.version
        news = await self._event_thread.run(lambda: self._reports.since(name, began, version))
        if news is not None:
            for _ in comparison.hear_in_parts(news):
                await asyncio.sleep(0)
        return news

    def _is_ours(self, order: Order) -> bool:
        if self._intents.has_sent(order.vt_orderid) or is_of_engine(order.reference):
            return True
        known = self._tables.orders.get(order.vt_orderid)
        return known is not None and isinstance(known.data, Order) and known.data.client_order_id is not None

    def _doubtful(self, name: str) -> list[OrderIntent]:
        return [
            intent
            for intent in self._intents.unknown
            if intent.gateway_name == name and not self._intents.is_on_its_way(intent.intent_id)
        ]

    async def _look(
        self, name: str, comparison: Comparison, doubtful: Sequence[OrderIntent], late: bool
    ) -> bool:
        """Compare, settle what can be settled, and return whether orders are taken now."""
        judged = comparison.look(doubtful)
        for difference in judged:
            if difference.kind == "intent":
                await self._settle_intent(difference)
        earlier = [each for each in self._results[name].differences if each.kind == "intent"]
        settled = {each.key for each in judged}
        judged = [each for each in earlier if not each.holds and each.key not in settled] + judged
        kept = self._kept.setdefault(name, Kept())
        judged = self._with_what_was_open(judged, kept)
        holding = [each for each in judged if each.holds]
        counts = comparison.counts()
        if not holding and not (late and not comparison.has_accounts):
            marks = {each.mark for each in judged}
            kept.open = []
            kept.accepted = [mark for mark in kept.accepted if mark in marks]
            await self._write()
            found = by_kind([*judged, *comparison.settled()])
            await self._finish(name, "PASSED", found, counts, comparison.began, self._gone(comparison))
            return True
        if kept.open != holding:
            kept.open = holding
            await self._write()
        detail = f"{len(holding)} differences: {told(holding)}" if holding else (
            f"The gateway has told of no account within {self._settings[name].reconcile_timeout_s:g} s."
        )
        before = self._results[name]
        self._show(
            msgspec.structs.replace(
                before, state="DIFFERENT", differences=judged, compared=counts, detail=detail,
                finished=before.finished or now_timestamp(),
            )
        )  # fmt: skip
        if (before.state, before.detail) != ("DIFFERENT", detail):
            self._alert(name, detail if before.holds else None)
        return False

    def _with_what_was_open(self, found: list[Difference], kept: Kept) -> list[Difference]:
        """Mark what was accepted, and add positions that nobody had accepted when the service ended: since then the
        venue's are what is known."""
        marks = set(kept.accepted)
        found = [
            msgspec.structs.replace(each, resolution=Resolution.ACCEPTED)
            if each.holds and each.kind in ("order", "intent") and each.mark in marks else each
            for each in found
        ]  # fmt: skip
        keys = {(each.kind, each.key) for each in found}
        return found + [each for each in kept.open if each.kind == "position" and (each.kind, each.key) not in keys]

    async def _settle_intent(self, difference: Difference) -> None:
        reason = f"Reconciliation: {difference.detail}"
        if difference.resolution is Resolution.SENT:
            await self._intents.resolve(
                difference.key, "SENT", vt_orderid=difference.vt_orderids[0], reason=reason
            )
        elif difference.resolution is Resolution.NOT_SENT:
            await self._intents.resolve(difference.key, "NOT_SENT", reason=reason)

    async def _finish(
        self,
        name: str,
        state: State,
        found: list[Difference],
        counts: Mapping[str, int],
        began: str | None,
        gone: Sequence[Position],
    ) -> None:
        if began is not None:  # on the event thread: the connection that it is about may be lost there meanwhile
            await self._event_thread.run(lambda: self._gate.release(name, began, gone))
        self._show(
            msgspec.structs.replace(
                self._results[name], state=state, holds=False, differences=found, compared=counts, detail=None,
                finished=now_timestamp(),
            )
        )  # fmt: skip
        self._alert(name, None)
        self._comparisons.pop(name, None)
        logger.log(
            logging.WARNING if found and state != "PASSED" else logging.INFO,
            "Gateway %s: reconciliation %s, %s", name, state,
            ", ".join(f"{count} {kind}" for kind, count in counts.items()) + f"; {told(found) or 'no difference'}",
        )  # fmt: skip

    def _gone(self, comparison: Comparison) -> list[Position]:
        """Return the positions that are still shown, and that the venue has stopped to report."""
        untold = comparison.unreported_positions()
        shown = [event.data for each in untold if (event := self._tables.positions.get(each.key)) is not None]
        return [position for position in shown if isinstance(position, Position) and position.volume]

    def _show(self, result: Reconciliation) -> None:
        self._results[result.gateway_name] = result
        self._changed.set()

    def _alert(self, name: str, detail: str | None) -> None:
        alert_id = f"reconciliation.{name}"
        if detail is None and alert_id not in self._alerts:
            return
        if detail is None:
            self._alerts.discard(alert_id)
        else:
            self._alerts.add(alert_id)
        summary = f"Gateway {name} takes no orders: {detail}" if detail else f"Gateway {name} takes orders"
        self._pipeline.emit(
            Alert(
                alert_id=alert_id, severity="critical", summary=summary, datetime=now_timestamp(),
                resolved=detail is None,
            )
        )  # fmt: skip

    async def _write(self) -> None:
        if self._file is None:
            return
        kept = {name: each for name, each in self._kept.items() if each.accepted or each.open}
        try:
            await asyncio.to_thread(replace_json, self._file, msgspec.to_builtins(kept), durable=True)
        except OSError as error:
            logger.error("%s cannot be written, so the next start does not know of it: %s", self._file, error)


def _read(path: Path | None) -> dict[str, Kept]:
    if path is None or not path.exists():
        return {}
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Kept])
    except (OSError, msgspec.DecodeError) as error:
        logger.error("%s cannot be read, so nothing of it counts as accepted: %s", path, error)
        return {}
