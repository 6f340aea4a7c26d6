"""KillSwitch: halt, stop what trades by itself, cancel every order, close every position, and say what is left.

Nothing it meets ends it: what refuses is tried again until the time is over, and then stands in the report.
"""

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Iterable, Sequence
from typing import Any, Protocol

from vnpy_core.enums import GatewayState, StrategyState, TradingState
from vnpy_core.errors import CoreError
from vnpy_core.events import Event
from vnpy_core.models import (
    Contract,
    GatewayStatus,
    KillSwitchReport,
    Model,
    Order,
    OrderLeft,
    Position,
    PositionLeft,
    RiskState,
    Strategy,
    Tick,
    now_timestamp,
)
from vnpy_core.trading.flatten import Unclosable, closing_orders, open_positions
from vnpy_core.trading.orders import Draft
from vnpy_core.trading.results import CancelResult, SubmitResult
from vnpy_core.trading.risk_guard import EVERYTHING

ASK_AGAIN_S = 1.0
_LOOK_S = 0.05
_FILL_S = 2.0

logger = logging.getLogger(__name__)


class Table(Protocol):
    def get(self, key: str) -> Event | None: ...
    def values(self) -> Iterable[Event]: ...


class Known(Protocol):
    """The read model, as far as it is needed."""

    @property
    def orders(self) -> Table: ...
    @property
    def positions(self) -> Table: ...
    @property
    def contracts(self) -> Table: ...
    @property
    def ticks(self) -> Table: ...
    @property
    def gateways(self) -> Table: ...


class Orders(Protocol):
    async def submit_batch(self, drafts: Sequence[Draft]) -> list[SubmitResult | CoreError]: ...
    async def cancel_batch(self, vt_orderids: Sequence[str]) -> list[CancelResult]: ...


class Strategies(Protocol):
    def list(self) -> Sequence[Strategy]: ...
    async def stop(self, name: str) -> Strategy: ...


class Algos(Protocol):
    async def stop_all(self) -> Sequence[str]: ...


class Halts(Protocol):
    async def halt(self, scope: str, reason: str, state: TradingState, source: str) -> RiskState: ...


class Commits(Protocol):
    async def commit(self, model: Model) -> Event: ...


class _Run:
    """One use of the switch: what it was asked for, and what it has done so far."""

    def __init__(self, reason: str, flatten: bool, collar_percent: float, deadline: float) -> None:
        self.started = now_timestamp()
        self.reason = reason
        self.flatten = flatten
        self.collar_percent = collar_percent
        self.deadline = deadline
        self.strategies: list[str] = []
        self.algos: list[str] = []
        self.asked: dict[str, int] = {}
        self.refused: dict[str, str] = {}
        self.sent: list[str] = []
        self.unclosable: dict[str, str] = {}
        self.problems: list[str] = []


class KillSwitch:
    """Loop only. One at a time; a second call waits for the first one, and does it once more.

    ``longest_s``: none takes longer, whatever is asked for.
    """

    def __init__(
        self, halts: Halts, orders: Orders, strategies: Strategies, algos: Algos, pipeline: Commits, known: Known,
        *, longest_s: float = 120.0,
    ) -> None:  # fmt: skip
        self._longest_s = longest_s
        self._halts = halts
        self._orders = orders
        self._strategies = strategies
        self._algos = algos
        self._pipeline = pipeline
        self._known = known
        self._one = asyncio.Lock()
        self._running: set[asyncio.Task[KillSwitchReport]] = set()

    async def run(
        self, *, flatten: bool, stop_strategies: bool, timeout_s: float, collar_percent: float, reason: str
    ) -> KillSwitchReport:
        """Do it, and return the report; goes on to its end even if the caller is cancelled."""
        timeout_s = min(timeout_s, self._longest_s)
        task = asyncio.create_task(self._run(flatten, stop_strategies, timeout_s, collar_percent, reason))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    async def _run(
        self, flatten: bool, stop_strategies: bool, timeout_s: float, collar_percent: float, reason: str
    ) -> KillSwitchReport:
        async with self._one:
            run = _Run(reason, flatten, collar_percent, asyncio.get_running_loop().time() + timeout_s)
            await self._step(run, "The halt", self._halts.halt(EVERYTHING, reason, TradingState.HALTED, "kill_switch"))
            await self._record(run, self._report(run, None))
            stopping = asyncio.create_task(self._stop_all(run)) if stop_strategies else None
            await self._cancel_all(run, run.deadline - (timeout_s / 2 if flatten else 0))
            if flatten:
                await self._flatten(run)
                await self._cancel_all(run, run.deadline)
            if stopping is not None:
                await asyncio.wait({stopping}, timeout=max(run.deadline - self._now(), 0))
                if not stopping.done():
                    stopping.cancel()
                    run.problems.append("Not every strategy has stopped in time.")
            report = self._report(run, now_timestamp())
            await self._record(run, report)
            level = logging.WARNING if report.complete else logging.CRITICAL
            logger.log(level, "Kill switch: %d orders and %d positions are left open, %d problems",
                       len(report.orders_left), len(report.positions_left), len(report.problems))  # fmt: skip
            return report

    # -- stop what trades by itself

    async def _stop_all(self, run: _Run) -> None:
        await self._step(run, "Stopping the algos", self._stop_algos(run))
        for strategy in self._strategies.list():
            if strategy.state is StrategyState.TRADING:
                name = strategy.strategy_name
                if await self._step(run, f"Stopping strategy {name}", self._strategies.stop(name)):
                    run.strategies.append(name)

    async def _stop_algos(self, run: _Run) -> None:
        run.algos += await self._algos.stop_all()

    # -- cancel

    async def _cancel_all(self, run: _Run, until: float) -> None:
        """Ask for the cancel of what works, again and again, until nothing does or the time is over."""
        asked_at: dict[str, float] = {}
        while (active := self._active()) and self._now() < until:
            due = [one.vt_orderid for one in active if self._now() - asked_at.get(one.vt_orderid, 0) > ASK_AGAIN_S]
            if due:
                asked_at |= dict.fromkeys(due, self._now())
                await self._step(run, "Cancelling", self._cancel(run, due))
            await asyncio.sleep(_LOOK_S)

    async def _cancel(self, run: _Run, vt_orderids: Sequence[str]) -> None:
        for result in await self._orders.cancel_batch(vt_orderids):
            run.asked[result.vt_orderid] = run.asked.get(result.vt_orderid, 0) + 1
            if result.accepted:
                run.refused.pop(result.vt_orderid, None)
            else:
                run.refused[result.vt_orderid] = result.detail or result.code or "no reason given"

    # -- close

    async def _flatten(self, run: _Run) -> None:
        """Send what closes the positions; what has not been filled after a while is cancelled and sent anew."""
        end = run.deadline - min(ASK_AGAIN_S, (run.deadline - self._now()) / 4)  # the last ones are cancelled then
        while self._now() < end:
            drafts = self._drafts(run)
            if not drafts:
                return
            results = await self._submit(run, drafts)
            sent = {one.vt_orderid for one in results if isinstance(one, SubmitResult)}
            run.sent += sorted(sent)
            if not await self._filled(sent, min(end, self._now() + _FILL_S)):
                again = min(end, self._now() + ASK_AGAIN_S)
                await self._cancel_all(run, again)
            # Positions are told after the fills.
            told = min(end, self._now() + ASK_AGAIN_S)
            while self._drafts(run) and self._now() < told:  # noqa: ASYNC110 -- it looks at tables
                await asyncio.sleep(_LOOK_S)

    async def _submit(self, run: _Run, drafts: Sequence[Draft]) -> list[SubmitResult | CoreError]:
        try:
            results = await self._orders.submit_batch(drafts)
        except CoreError as error:
            run.problems.append(f"The closing orders were not sent: {error.detail}")
            return []
        for draft, result in zip(drafts, results, strict=True):
            if isinstance(result, CoreError):
                run.unclosable[f"{draft.gateway_name}.{draft.spec.vt_symbol}"] = result.detail
        return results

    def _drafts(self, run: _Run) -> list[Draft]:
        drafts: list[Draft] = []
        for position in open_positions(event.data for event in self._known.positions.values()):
            place = f"{position.gateway_name}.{position.vt_symbol}"
            if (obstacle := self._obstacle(position.gateway_name)) is not None:
                run.unclosable[place] = obstacle
                continue
            contract, tick = self._known.contracts.get(place), self._known.ticks.get(position.vt_symbol)
            specs = closing_orders(
                position,
                contract.data if contract is not None and isinstance(contract.data, Contract) else None,
                tick.data if tick is not None and isinstance(tick.data, Tick) else None,
                run.collar_percent,
            )
            if isinstance(specs, Unclosable):
                run.unclosable[place] = specs.reason
                continue
            drafts += [
                Draft(spec=spec, gateway_name=position.gateway_name, client_order_id=f"kill-{uuid.uuid4().hex}")
                for spec in specs
            ]
        return drafts

    # -- parts

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _active(self) -> list[Order]:
        """Return the orders that work, as far as their gateways say so."""
        return [one.data for one in self._known.orders.values() if isinstance(one.data, Order) and one.data.is_active]

    def _obstacle(self, gateway_name: str) -> str | None:
        known = self._known.gateways.get(gateway_name)
        if known is None or not isinstance(known.data, GatewayStatus):
            return "Its gateway is not configured any more."
        if known.data.state in (GatewayState.DISCONNECTED, GatewayState.CONNECTING, GatewayState.FAILED):
            return f"Its gateway is {known.data.state}."
        return None

    async def _filled(self, vt_orderids: set[str], until: float) -> bool:
        """Wait until none of these works any more, and return whether that is so."""
        while works := vt_orderids & {one.vt_orderid for one in self._active()}:
            if self._now() > until:
                break
            await asyncio.sleep(_LOOK_S)
        return not works

    async def _step(self, run: _Run, what: str, work: Awaitable[Any]) -> bool:
        """Do one thing, within the time that is left. Whatever goes wrong is noted, and the next thing is done."""
        try:
            async with asyncio.timeout(max(run.deadline - self._now(), _LOOK_S)):
                await work
        except CoreError as error:
            run.problems.append(f"{what}: {error.detail}")
        except TimeoutError:
            run.problems.append(f"{what}: not done in time")
        except Exception as error:
            logger.exception("Kill switch: %s failed", what)
            run.problems.append(f"{what}: {error!r}")
        else:
            return True
        return False

    def _report(self, run: _Run, ended: str | None) -> KillSwitchReport:
        orders = [
            OrderLeft(
                vt_orderid=order.vt_orderid, vt_symbol=order.vt_symbol, status=order.status,
                left=order.volume - order.traded, reason=self._why_works(run, order),
            )
            for order in self._active()
        ]  # fmt: skip
        positions = open_positions(event.data for event in self._known.positions.values())
        left = [
            PositionLeft(
                vt_positionid=position.vt_positionid, vt_symbol=position.vt_symbol, volume=position.volume,
                reason=self._why_open(run, position),
            )
            for position in positions
        ]  # fmt: skip
        cancelled = sum(1 for vt_orderid in run.asked if vt_orderid not in {one.vt_orderid for one in orders})
        return KillSwitchReport(
            started=run.started, ended=ended, reason=run.reason, flatten=run.flatten,
            complete=ended is not None and not orders and not run.problems and not (run.flatten and left),
            strategies_stopped=run.strategies, algos_stopped=run.algos, cancels_requested=sum(run.asked.values()),
            orders_cancelled=cancelled, flatten_orders=run.sent, orders_left=orders, positions_left=left,
            problems=run.problems,
        )  # fmt: skip

    def _why_works(self, run: _Run, order: Order) -> str:
        if (obstacle := self._obstacle(order.gateway_name)) is not None:
            return obstacle
        if (refused := run.refused.get(order.vt_orderid)) is not None:
            return f"Its cancel was refused: {refused}"
        asked = run.asked.get(order.vt_orderid, 0)
        return f"The gateway was asked {asked} times to cancel it, and has not said that it is."

    def _why_open(self, run: _Run, position: Position) -> str:
        if not run.flatten:
            return "It was not to be closed."
        place = f"{position.gateway_name}.{position.vt_symbol}"
        return run.unclosable.get(place) or "Its closing orders were not filled in time."

    async def _record(self, run: _Run, report: KillSwitchReport) -> None:
        try:
            await self._pipeline.commit(report)
        except CoreError as error:
            run.problems.append(f"The report is not on disk: {error.detail}")
