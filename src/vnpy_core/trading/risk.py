"""RiskService: what operators see and set of risk control. Loop only.

A narrower state holds from the moment it is asked for, and is answered once it is on disk. A wider one that cannot be
put on disk is taken back.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, Protocol, TypeVar

import msgspec
from pydantic import ValidationError

from vnpy_core.config.risk_settings import RiskSettings
from vnpy_core.enums import TradingState
from vnpy_core.errors import NotFound, OutcomeUnknown, Unavailable
from vnpy_core.events import Event
from vnpy_core.models import Account, Model, RiskDay, RiskLimits, RiskRule, RiskState, now_timestamp
from vnpy_core.trading.event_thread import EventThread, Unanswered
from vnpy_core.trading.risk_guard import EVERYTHING, RiskGuard, alert_of
from vnpy_core.trading.risk_reports import AccountRisk, RiskOverview

T = TypeVar("T")

logger = logging.getLogger(__name__)


class Table(Protocol):
    def get(self, key: str) -> Event | None: ...
    def values(self) -> Iterable[Event]: ...


class Known(Protocol):
    """The read model, as far as risk control needs it."""

    @property
    def accounts(self) -> Table: ...
    @property
    def gateways(self) -> Table: ...
    @property
    def risk_rules(self) -> Table: ...
    @property
    def risk_states(self) -> Table: ...
    @property
    def risk_limits(self) -> Table: ...
    @property
    def risk_days(self) -> Table: ...


class Commits(Protocol):
    async def commit(self, model: Model) -> Event: ...
    def emit(self, model: Model) -> None: ...


class Front(Protocol):
    """Where the engine asks before it sends."""

    def install(self, guard: RiskGuard) -> None: ...
    def tell(self, fact: Model) -> None: ...


class Engine(Protocol):
    """vn.py's risk manager, with what stands before it. All of it is for the event thread, but for the front's tell."""

    @property
    def front(self) -> Front: ...
    def begin_days(self, today: Callable[[], str]) -> None: ...
    def change_rule(self, rule_name: str, rule_setting: Mapping[str, Any]) -> RiskRule: ...
    def restore_rules(self, known: Iterable[RiskRule]) -> None: ...


class Days(Protocol):
    """Which trading day it is, from any thread; ``market_days.MarketDays`` is one."""

    def of(self, gateway_name: str) -> str: ...
    def of_all(self) -> str: ...


class RiskService:
    """``open`` once, before any gateway is connected. ``rules``: as they were before the engines were made, which tell
    theirs at once."""

    def __init__(
        self,
        configured: RiskSettings,
        engine: Engine,
        event_thread: EventThread,
        pipeline: Commits,
        known: Known,
        days: Days,
        rules: Sequence[RiskRule] = (),
    ) -> None:
        self._configured = configured
        self._engine = engine
        self._event_thread = event_thread
        self._pipeline = pipeline
        self._known = known
        self._days = days
        self._rules = rules
        self._guard = RiskGuard(configured, engine.front.tell, days.of)

    async def open(self) -> None:
        """Go on where the last process stopped: its states, losses, limits and rules hold from here on."""
        states = [event.data for event in self._known.risk_states.values() if isinstance(event.data, RiskState)]
        days = [event.data for event in self._known.risk_days.values() if isinstance(event.data, RiskDay)]
        limits = self._stored_limits()

        def install() -> None:
            self._guard.restore(states, days)
            if limits is not None:
                self._guard.checks.set_limits(limits)
            self._engine.front.install(self._guard)
            self._engine.begin_days(self._days.of_all)
            self._engine.restore_rules(self._rules)

        await self._on_event_thread(install)
        if limits is None:
            await self._pipeline.commit(_limits_fact(self._configured, "configuration", None))
        for state in states:
            if state.state is not TradingState.ACTIVE:
                logger.warning("Trading of %s is %s: %s", state.scope, state.state, state.reason)
                self._pipeline.emit(alert_of(state))

    # -- state

    def overview(self) -> RiskOverview:
        """Return what each account may do now, and what it has lost today."""
        of_all = self._state(EVERYTHING)
        gateways = sorted(event.data.key for event in self._known.gateways.values())
        accounts = [self._account_risk(name, of_all) for name in gateways]
        return RiskOverview(state=of_all, accounts=accounts)

    async def halt(
        self, scope: str, reason: str, state: TradingState = TradingState.HALTED, source: str = "operator"
    ) -> RiskState:
        """Narrow what is let through, of one gateway or of all; in force when this returns, or raises Unavailable.

        Raises:
            NotFound: no such gateway.
            Unavailable: it holds, and is not on disk: a restart would lift it.
        """
        self._require(scope)
        set_state = await self._on_event_thread(lambda: self._guard.set_state(scope, state, reason, source))
        self._pipeline.emit(alert_of(set_state))
        logger.warning("Trading of %s is %s: %s", scope, state, reason)
        await self._pipeline.commit(set_state)
        return set_state

    async def resume(self, scope: str, reason: str) -> RiskState:
        """Let everything through again, of this scope; losses are measured anew, from the balances of now.

        Raises:
            NotFound: no such gateway.
            Unavailable: it cannot be put on disk, and was taken back.
        """
        self._require(scope)
        before = self._state(scope)
        active = TradingState.ACTIVE
        resumed = await self._on_event_thread(lambda: self._guard.set_state(scope, active, reason, "operator"))
        try:
            await self._pipeline.commit(resumed)
        except Unavailable:
            await self._on_event_thread(
                lambda: self._guard.set_state(scope, before.state, before.reason, before.source)
            )
            raise
        self._pipeline.emit(alert_of(resumed))
        logger.warning("Trading of %s is ACTIVE again: %s", scope, reason)
        return resumed

    # -- limits

    def limits(self) -> RiskLimits:
        known = self._known.risk_limits.get("limits")
        if known is not None and isinstance(known.data, RiskLimits):
            return known.data
        return _limits_fact(self._configured, "configuration", None)

    async def set_limits(self, limits: RiskSettings) -> RiskLimits:
        """Put limits in the place of all that are in force, also of the configured ones after a restart.

        Raises:
            Unavailable: they are not on disk, and nothing was changed.
        """
        fact = _limits_fact(limits, "api", now_timestamp())
        await self._pipeline.commit(fact)
        await self._on_event_thread(lambda: self._guard.checks.set_limits(limits))
        return fact

    # -- vn.py's rules

    def rule(self, class_name: str) -> RiskRule:
        """Raises:
        NotFound: no such rule.
        """
        known = self._known.risk_rules.get(class_name)
        if known is None or not isinstance(known.data, RiskRule):
            raise NotFound(f"There is no rule {class_name!r}.", code="unknown_rule")
        return known.data

    async def change_rule(self, class_name: str, parameters: Mapping[str, Any]) -> RiskRule:
        """Change the parameters that are given; in force, in vn.py's own file and on disk when this returns.

        Raises:
            NotFound: no such rule. Invalid: ``errors`` says which parameter, and why; none was changed.
            Unavailable: they are in force and in vn.py's file, and the journal cannot record it now.
        """
        self.rule(class_name)
        rule = await self._on_event_thread(lambda: self._engine.change_rule(class_name, parameters))
        await self._pipeline.commit(rule)
        return rule

    # -- parts

    async def _on_event_thread(self, fn: Callable[[], T]) -> T:
        try:
            return await self._event_thread.run(fn)
        except Unanswered:
            raise OutcomeUnknown("The event thread has begun it and does not end: look at the state.") from None

    def _require(self, scope: str) -> None:
        if scope != EVERYTHING and self._known.gateways.get(scope) is None:
            raise NotFound(f"There is no gateway {scope!r}; all of them are '*'.", code="unknown_gateway")

    def _state(self, scope: str) -> RiskState:
        known = self._known.risk_states.get(scope)
        if known is not None and isinstance(known.data, RiskState):
            return known.data
        return RiskState(
            scope=scope, state=TradingState.ACTIVE, reason="Nobody has set it.", source="operator",
            since=now_timestamp(),
        )  # fmt: skip

    def _account_risk(self, gateway_name: str, of_all: RiskState) -> AccountRisk:
        own = self._state(gateway_name)
        order = list(TradingState)
        effective = max(own.state, of_all.state, key=order.index)
        days = [
            event.data
            for event in self._known.risk_days.values()
            if isinstance(event.data, RiskDay) and event.data.gateway_name == gateway_name
        ]
        day = max(days, key=lambda one: one.day, default=None)
        account = self._known.accounts.get(day.vt_accountid) if day is not None else None
        balance = account.data.balance if account is not None and isinstance(account.data, Account) else None
        lost = fallen = None
        if day is not None and balance is not None:
            lost, fallen = max(day.opening_balance - balance, 0.0), max(day.highest_balance - balance, 0.0)
        return AccountRisk(
            gateway_name=gateway_name, effective_state=effective, state=own, day=day, balance=balance,
            daily_loss=lost, drawdown=fallen,
        )  # fmt: skip

    def _stored_limits(self) -> RiskSettings | None:
        """Return the limits of the API, which hold until it sets others; ``None``: the configuration's."""
        known = self._known.risk_limits.get("limits")
        if known is None or not isinstance(known.data, RiskLimits) or known.data.source != "api":
            return None
        try:
            return RiskSettings.model_validate(msgspec.to_builtins(known.data.limits))
        except ValidationError as error:
            raise Unavailable(
                f"The limits of risk control in the journal cannot be read by this version: {error}"
            ) from error


def _limits_fact(limits: RiskSettings, source: Literal["configuration", "api"], updated: str | None) -> RiskLimits:
    shown = limits.model_dump(mode="json")
    for name in ("symbols", "strategies", "accounts"):
        # What is not set there is that of all, and not unlimited.
        special = getattr(limits, name).items()
        shown[name] = {key: one.model_dump(mode="json", exclude_unset=True) for key, one in special}
    return RiskLimits(limits=shown, source=source, updated=updated)
