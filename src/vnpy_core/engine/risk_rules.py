"""vn.py's risk rules and the user's: loaded one by one, with settings that are checked, and reasons in English."""

import importlib
import logging
import re
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import vnpy_riskmanager
from vnpy.event import Event
from vnpy.trader.event import EVENT_LOG
from vnpy.trader.object import LogData, OrderData
from vnpy_riskmanager import APP_NAME, RiskEngine
from vnpy_riskmanager.rules.active_order_rule import ActiveOrderRule as VnActiveOrderRule
from vnpy_riskmanager.template import RuleTemplate

from vnpy_core.engine.setting_check import checked, nearest, refuse
from vnpy_core.errors import Invalid, NotFound

_SUFFIXES = (".py", ".pyd", ".so")
# The rules' numbers are C ints.
_MAX_INT = 2**31 - 1

_NUMBER = r"([-+\d.e]+)"
_ENGLISH: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern.replace("#", _NUMBER)), words)
    for pattern, words in (
        ("委托数量#超过上限#", "volume {} is above the limit of {}"),
        ("委托价值#超过上限#", "value {} is above the limit of {}"),
        ("活动委托数量#达到上限#", "{} orders are working, and the limit is {}"),
        ("重复报单笔数#达到上限#", "the same order for the {}th time today, and the limit is {}"),
        ("汇总委托笔数#达到上限#", "{} orders today, and the limit is {}"),
        ("汇总撤单笔数#达到上限#", "{} cancels today, and the limit is {}"),
        ("汇总成交笔数#达到上限#", "{} trades today, and the limit is {}"),
        ("合约委托笔数#达到上限#", "{} orders of this contract today, and the limit is {}"),
        ("合约撤单笔数#达到上限#", "{} cancels of this contract today, and the limit is {}"),
        ("合约成交笔数#达到上限#", "{} trades of this contract today, and the limit is {}"),
        (r"合约代码(\S+)不存在", "there is no contract {}"),
        ("价格#不是合约最小变动价位#的整数倍", "price {} is not a multiple of the price tick {}"),
        ("委托数量#大于合约委托数量上限#", "volume {} is above the contract's maximum of {}"),
        ("委托数量#小于合约委托数量下限#", "volume {} is below the contract's minimum of {}"),
    )
)


class ActiveOrderRule(VnActiveOrderRule):
    """Counts an order from when it was sent, not from its first event, so that a burst cannot pass the limit."""

    def on_init(self) -> None:
        super().on_init()
        self.in_flight: set[str] = set()

    def order_sent(self, vt_orderid: str) -> None:
        if vt_orderid not in self.active_orders:
            self.in_flight.add(vt_orderid)
            self.active_order_count = len(self.active_orders) + len(self.in_flight)

    def on_order(self, order: OrderData) -> None:
        self.in_flight.discard(order.vt_orderid)
        super().on_order(order)
        self.active_order_count += len(self.in_flight)


class RuleLoading(RiskEngine):
    """The part of the risk engine that has the rules, named by their classes; vn.py's own names find them too."""

    def __init__(self, *args: Any) -> None:
        self._broken: dict[str, str] = {}
        super().__init__(*args)

    @property
    def broken_rules(self) -> Mapping[str, str]:
        """The rule files, classes and saved settings that could not be loaded, each with its traceback."""
        return MappingProxyType(self._broken)

    def rule_of(self, name: str) -> RuleTemplate:
        """Raises:
        NotFound: there is no rule of that name.
        """
        for rule in self.rules.values():
            if name in (type(rule).__name__, rule.name):
                return rule
        hint = nearest(name, [type(rule).__name__ for rule in self.rules.values()])
        raise NotFound(f"There is no rule {name!r}{hint}")

    def load_rules(self) -> None:
        self.load_rules_from_folder(Path(vnpy_riskmanager.__file__).parent / "rules", "vnpy_riskmanager.rules")
        self.rule_classes[ActiveOrderRule.__name__] = (ActiveOrderRule, __name__)
        self.load_rules_from_folder(Path.cwd() / "rules", "rules")
        for kind, _ in self.rule_classes.values():
            self.add_rule(kind)

    def load_rules_from_folder(self, folder_path: Path, module_name: str) -> None:
        for file in sorted(folder_path.glob("*")):
            stem = file.name.partition(".")[0]
            if file.suffix in _SUFFIXES and stem != "__init__":
                self.load_rules_from_module(f"{module_name}.{stem}")

    def load_rules_from_module(self, module_name: str) -> None:
        try:
            names = dict(vars(importlib.import_module(module_name)))
        except BaseException:  # noqa: BLE001 - the edge to the user's code: the other rules must be loaded
            self._report(module_name)
            return
        for name, value in names.items():
            if isinstance(value, type) and issubclass(value, RuleTemplate) and name.endswith("Rule"):
                self.rule_classes[name] = (value, module_name)

    def add_rule(self, rule_class: type[RuleTemplate]) -> None:
        """Add a rule with what is saved of its setting; what is not valid of that is left out and reported."""
        try:
            rule = rule_class(self, {})
        except BaseException:  # noqa: BLE001 - the edge to the user's code: the other rules must be loaded
            self._report(rule_class.__name__)
            return
        # vn.py lets a rule that has no name, or one that is taken, replace another.
        key = rule.name if rule.name and rule.name not in self.rules else rule_class.__name__
        saved = self.setting.get(key)
        kept: dict[str, Any] = {}
        for name, value in saved.items() if isinstance(saved, dict) else ():
            try:
                kept |= checked_rule_setting({name: value}, rule)
            except Invalid:
                self._report(f"{rule_class.__name__}, saved setting {name}")
        if kept:
            self.setting[key] = kept
            rule.update_setting(kept)
        self.rules[key] = rule
        self.field_name_map.update(rule.parameters)
        self.field_name_map.update(rule.variables)

    def _guard(self, callback: Callable[..., Any], *args: Any) -> None:
        try:
            callback(*args)
        except BaseException:  # noqa: BLE001 - the edge to the user's code: the other rules must hear of it
            self._log(f"{callback!r} raised:\n{traceback.format_exc()}")

    def _report(self, what: str) -> None:
        self._broken[what] = traceback.format_exc()
        self._log(f"{what}:\n{self._broken[what]}")

    def _log(self, msg: str) -> None:
        log = LogData(msg=msg, gateway_name=APP_NAME, level=logging.ERROR)
        self.event_engine.put(Event(EVENT_LOG, log))


def english(msg: str) -> str:
    """Return the reason of one of vn.py's own rules in English, without the request that it repeats; others as is."""
    msg = msg.partition("：OrderRequest(")[0]
    for pattern, words in _ENGLISH:
        if found := pattern.fullmatch(msg):
            return words.format(*found.groups())
    return msg


def checked_rule_setting(setting: Mapping[str, Any], rule: RuleTemplate) -> dict[str, Any]:
    of = type(rule).__name__
    found = checked(setting, rule.get_data()["parameters"], of=of)
    outside = [
        {"field": name, "message": f"must be from 0 to {_MAX_INT}"}
        for name, value in found.items()
        if isinstance(value, int | float) and not 0 <= value <= _MAX_INT
    ]
    refuse(outside, of=of)
    return found
