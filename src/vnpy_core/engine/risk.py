"""CoreRiskEngine: vn.py's risk manager, with reasons, days, limits that hold in a burst, and checked settings."""

from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

from vnpy.event import EVENT_TIMER, Event
from vnpy.trader import database, utility
from vnpy.trader.object import OrderRequest
from vnpy_riskmanager import RiskManagerApp
from vnpy_riskmanager.base import EVENT_RISK_NOTIFY, EVENT_RISK_RULE
from vnpy_riskmanager.template import RuleTemplate

from vnpy_core.engine import translate
from vnpy_core.engine.event_engine import CoreEventEngine
from vnpy_core.engine.main_engine import CoreMainEngine
from vnpy_core.engine.plain import jsonable
from vnpy_core.engine.risk_front import RiskFront
from vnpy_core.engine.risk_rules import ActiveOrderRule, RuleLoading, checked_rule_setting, english
from vnpy_core.engine.single_writer import on_event_thread
from vnpy_core.errors import ConfigError, Invalid
from vnpy_core.models import RiskRejection, RiskRule, now_timestamp

_RESET_DAILY = ("DailyLimitRule", "DuplicateOrderRule")
# A rule counts by order or by symbol; only the largest counts are shown, or each order would show all before it.
_COUNTS_SHOWN = 100
RULE_CODE = "risk_manager"
# vn.py's rules of size and count; what is left for an order that closes are those of its validity, and the user's.
_SPARED = frozenset({"OrderSizeRule", "DailyLimitRule", "ActiveOrderRule", "DuplicateOrderRule"})


class CoreRiskEngine(RuleLoading):
    """Every order of every app passes ``send_order`` here, on the event thread.

    Before the rules stands ``front``, and is asked first. ``last_refusal`` is why the last order was refused, ``None``
    if it was not, and ``last_code`` by what. Counts of a
    day start again when ``begin_days`` says that it is another one, and at a restart; those of a user's rule too if it
    has ``reset_daily = True``.
    """

    event_engine: CoreEventEngine
    main_engine: CoreMainEngine

    def __init__(self, *args: Any) -> None:
        self.last_refusal: str | None = None
        self.last_code = RULE_CODE
        self._request: tuple[str, OrderRequest, str] | None = None
        self._changed: dict[str, RuleTemplate] = {}
        self._today: Callable[[], str] = lambda: datetime.now(database.DB_TZ).date().isoformat()
        self._day = self._today()
        super().__init__(*args)
        self.front = RiskFront(self.event_engine)
        self.event_engine.register(EVENT_TIMER, self._on_timer)
        for rule in self.rules.values():
            self.put_rule_event(rule)
        self._show_changed()

    def require_in_path(self) -> None:
        """Raises:
        ConfigError: an app that was added later has replaced ``send_order``, and orders go past the rules.
        """
        if getattr(self.main_engine.send_order, "__self__", None) is not self:
            raise ConfigError("An app replaced the risk manager's send_order: add the risk manager after it")

    # -- orders

    def send_order(self, req: OrderRequest, gateway_name: str) -> str:
        # Before the rules: what they count is what is sent.
        self.last_refusal, self.last_code = self.main_engine.refusal(req, gateway_name), RULE_CODE
        if self.last_refusal is not None:
            return ""
        order, guard = self.front.asked(req, gateway_name), self.front.guard
        if guard is not None and (refusal := guard.refusal(order)) is not None:
            self.last_refusal, self.last_code = refusal.reason, refusal.code
            self._reject(req, gateway_name, refusal.reason, refusal.code)
            return ""
        spares = guard is not None and guard.lets_rules_pass and guard.reduces(order)
        if not self.check_allowed(req, gateway_name, spared=_SPARED if spares else ()):
            return ""
        if guard is not None:
            guard.attempt(order)
        vt_orderid: str = self._send_order(req, gateway_name)
        if vt_orderid and guard is not None:
            guard.sent(vt_orderid, order)
        if vt_orderid and self.main_engine.get_order(vt_orderid) is None:
            for rule in self.rules.values():
                if isinstance(rule, ActiveOrderRule):
                    rule.order_sent(vt_orderid)
        return vt_orderid

    def check_allowed(self, req: OrderRequest, gateway_name: str, spared: Collection[str] = ()) -> bool:
        """Ask each active rule whose class is not ``spared``. One that raises refuses: an order is never sent because
        its check is broken."""
        self.last_refusal, self.last_code = None, RULE_CODE
        for rule in self.rules.values():
            name = type(rule).__name__
            if not rule.active or name in spared:
                continue
            self._request = (name, req, gateway_name)
            try:
                if not rule.check_allowed(req, gateway_name):
                    if self.last_refusal is None:
                        self.write_log("it gave no reason")
                    return False
            except BaseException as error:  # noqa: BLE001 - the edge to the user's code
                self._report(name)
                self.write_log(f"it raised {error!r}")
                return False
            finally:
                self._request = None
        return True

    def write_log(self, msg: str) -> None:
        """What a rule calls to refuse an order: log it, tell it, and keep the reason."""
        reason = english(msg)
        if self._request is None:
            self._log(reason)
            return
        name, req, gateway_name = self._request
        self.last_refusal = f"{name}: {reason}"
        self._reject(req, gateway_name, self.last_refusal, RULE_CODE)

    def _reject(self, req: OrderRequest, gateway_name: str, reason: str, code: str) -> None:
        self._log(f"Refused {req.vt_symbol}: {reason}")
        rejection = RiskRejection(
            code=code,
            reason=reason,
            vt_symbol=req.vt_symbol,
            gateway_name=gateway_name,
            reference=req.reference,
            datetime=now_timestamp(),
        )
        self.event_engine.put(Event(EVENT_RISK_NOTIFY, rejection))

    # -- rules and their settings

    @on_event_thread
    def rule_states(self) -> list[dict[str, Any]]:
        """Return what ``translate.risk_rule`` takes, of every rule."""
        return [_state(rule) for rule in self.rules.values()]

    def get_rule_data(self, rule_name: str) -> dict[str, Any]:
        return _state(self.rule_of(rule_name))

    @on_event_thread
    def update_rule_setting(self, rule_name: str, rule_setting: Mapping[str, Any]) -> None:
        """Change the parameters that ``rule_setting`` names, leave the others, and save all.

        Raises:
            NotFound: no such rule.
            Invalid: ``errors`` says what is wrong with which parameter; none was changed.
        """
        rule = self.rule_of(rule_name)
        setting = {**rule.get_data()["parameters"], **checked_rule_setting(rule_setting, rule)}
        rule.update_setting(setting)
        self.setting[next(key for key, value in self.rules.items() if value is rule)] = setting
        self.put_rule_event(rule)
        self._show_changed()
        utility.save_json(self.setting_filename, self.setting)

    @on_event_thread
    def change_rule(self, rule_name: str, rule_setting: Mapping[str, Any]) -> RiskRule:
        """Do as ``update_rule_setting``, and return the rule as it is then."""
        self.update_rule_setting(rule_name, rule_setting)
        return translate.risk_rule(_state(self.rule_of(rule_name)))

    @on_event_thread
    def restore_rules(self, known: Iterable[RiskRule]) -> None:
        """Give the rules of which vn.py's own file says nothing the parameters that they had last."""
        for rule in known:
            try:
                key = next(key for key, value in self.rules.items() if type(value).__name__ == rule.class_name)
                if key not in self.setting and rule.parameters != _state(self.rules[key])["parameters"]:
                    self.update_rule_setting(rule.class_name, rule.parameters)
            except (StopIteration, Invalid):
                self._log(f"{rule.class_name} is no more, or takes other parameters: it has those of its class")

    @on_event_thread
    def begin_days(self, today: Callable[[], str]) -> None:
        """Count by the days that ``today`` names, from this one on."""
        self._today, self._day = today, today()

    @on_event_thread
    def reset_counts(self) -> None:
        """Begin a new day for the rules that count by the day."""
        for rule in self.rules.values():
            if type(rule).__name__ in _RESET_DAILY or getattr(rule, "reset_daily", False):
                parameters = rule.get_data()["parameters"]
                self._guard(rule.on_init)
                rule.update_setting(parameters)
                self.put_rule_event(rule)

    def put_rule_event(self, rule: RuleTemplate) -> None:
        """Show a rule's state at the next timer event: its counts change with every order."""
        self._changed[type(rule).__name__] = rule

    # -- events

    def process_tick_event(self, event: Event) -> None:
        for rule in self.tick_rules:
            self._guard(rule.on_tick, event.data)

    def process_order_event(self, event: Event) -> None:
        for rule in self.order_rules:
            self._guard(rule.on_order, event.data)

    def process_trade_event(self, event: Event) -> None:
        for rule in self.trade_rules:
            self._guard(rule.on_trade, event.data)

    def process_timer_event(self, event: Event) -> None:
        for rule in self.timer_rules:
            self._guard(rule.on_timer)

    def _on_timer(self, event: Event) -> None:
        if (today := self._today()) != self._day:
            self._day = today
            self.reset_counts()
        self._show_changed()

    def _show_changed(self) -> None:
        changed, self._changed = self._changed, {}
        for rule in changed.values():
            self.event_engine.put(Event(EVENT_RISK_RULE, _state(rule)))


class CoreRiskApp(RiskManagerApp):
    """vn.py's app with our engine."""

    engine_class = CoreRiskEngine


def _state(rule: RuleTemplate) -> dict[str, Any]:
    """Return a copy: what ``get_data`` returns holds the rule's live counters."""
    data: dict[str, Any] = rule.get_data()
    variables = {}
    for name, value in data["variables"].items():
        if isinstance(value, dict) and len(value) > _COUNTS_SHOWN:
            value = dict(sorted(value.items(), key=lambda item: item[1], reverse=True)[:_COUNTS_SHOWN])
        variables[name] = jsonable(value)
    return {
        "name": data["name"],
        "class_name": data["class_name"],
        "parameters": jsonable(data["parameters"]),
        "variables": variables,
    }
