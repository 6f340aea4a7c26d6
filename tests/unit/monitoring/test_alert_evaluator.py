"""Rules hold by what is measured, by how it grows, and by what does not come."""

from typing import Any

import pytest
from tests import facts

from vnpy_core.config.alert_rules import DEFAULT_RULES, RuleSettings, complete
from vnpy_core.config.alert_settings import AlertSettings
from vnpy_core.events import Event
from vnpy_core.monitoring.alerts.evaluator import Evaluator, Finding, Readings
from vnpy_core.monitoring.catalogue import METRICS, full_names


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def rule(**fields: Any) -> RuleSettings:
    return complete(RuleSettings.model_validate({"kind": "threshold", "title": "x"} | fields), None)


def readings(name: str, **by_gateway: float) -> Readings:
    return {(name, (("gateway", gateway),)): value for gateway, value in by_gateway.items()}


def test_a_threshold_holds_for_each_set_of_labels_by_itself() -> None:
    evaluator = Evaluator({"down": rule(metric="m", op=">=", value=2.0)}, Clock())
    found = evaluator.evaluate({**readings("m", A=1.0, B=2.0, C=3.0), **readings("other", D=9.0)})
    assert found == [Finding("down", {"gateway": "B"}, 2.0), Finding("down", {"gateway": "C"}, 3.0)]
    assert [each.alert_id for each in found] == ["down.B", "down.C"]
    assert evaluator.evaluate({}) == []


def test_labels_are_chosen_and_a_disabled_rule_does_not_hold() -> None:
    rules = {"one": rule(metric="m", match={"gateway": "A"}), "off": rule(metric="m", enabled=False)}
    assert Evaluator(rules, Clock()).evaluate(readings("m", A=1.0, B=1.0)) == [Finding("one", {"gateway": "A"}, 1.0)]


def test_growth_counts_within_the_window_from_nothing_and_over_a_restart_of_the_counter() -> None:
    clock = Clock()
    evaluator = Evaluator({"errors": rule(kind="rate", metric="m", value=2.0, window_s=10.0)}, clock)

    def look(**values: float) -> list[float | None]:
        clock.now += 4.0
        return [each.value for each in evaluator.evaluate(readings("m", **values))]

    assert look(A=100.0) == []  # what was before it began to look is no growth
    assert look(A=102.0) == []
    assert look(A=103.0) == [3.0]
    assert look(A=103.0, B=5.0) == [3.0, 5.0]  # a counter that was not there has grown from nothing
    assert look(A=103.0, B=5.0) == [5.0]
    assert look(A=4.0, B=5.0) == [4.0, 5.0]  # A began anew
    assert look(A=4.0, B=5.0) == [4.0]


def test_a_metric_that_is_absent_for_long_enough() -> None:
    clock = Clock()
    evaluator = Evaluator({"gone": rule(kind="absence", metric="m", match={"gateway": "A"}, window_s=10.0)}, clock)
    clock.now += 9.0
    assert evaluator.evaluate(readings("m", B=1.0)) == []
    assert evaluator.evaluate(readings("m", A=1.0)) == []
    clock.now += 11.0
    assert evaluator.evaluate(readings("m", B=1.0)) == [Finding("gone", {"gateway": "A"}, 11.0)]
    assert evaluator.evaluate(readings("m", A=0.0)) == []


def test_events_that_come_too_often_and_events_that_do_not_come() -> None:
    clock = Clock()
    rules = {
        "many": rule(kind="rate", topic="order", match={"status": "REJECTED"}, value=1.0, window_s=10.0),
        "none": rule(kind="absence", topic="tick", match={"gateway_name": "SIM"}, window_s=10.0),
    }
    evaluator = Evaluator(rules, clock)
    rejected = [Event(facts.order(number, facts.OrderStatus.REJECTED)) for number in range(2)]
    evaluator.evaluate({})
    clock.now += 6.0
    evaluator.on_events([*rejected, Event(facts.order(3)), Event(facts.tick())])
    assert evaluator.evaluate({}) == [Finding("many", {"status": "REJECTED"}, 2.0)]
    clock.now += 10.5
    evaluator.evaluate({})
    assert [each.rule for each in evaluator.evaluate({})] == ["none"]
    evaluator.on_events([Event(facts.tick())])
    clock.now += 1.0
    assert evaluator.evaluate({}) == []


def test_other_rules_leave_what_the_same_ones_have_seen() -> None:
    clock = Clock()
    one, other = rule(kind="rate", metric="m", window_s=60.0), rule(metric="other")
    evaluator = Evaluator({"one": one, "two": one}, clock)
    evaluator.evaluate(readings("m", A=1.0))
    evaluator.set_rules({"one": one, "two": rule(kind="rate", metric="m", window_s=61.0), "other": other})
    clock.now += 1.0
    assert [each.rule for each in evaluator.evaluate(readings("m", A=2.0))] == ["one", "two"]


@pytest.mark.parametrize(("name", "made"), DEFAULT_RULES.items(), ids=lambda value: value if type(value) is str else "")
def test_each_default_rule_watches_what_there_is(name: str, made: RuleSettings) -> None:
    samples = {sample for metric in METRICS for sample in full_names(metric)}
    assert made.kind == "raised" or made.topic or made.metric in samples, name
    assert made.title_zh
    assert set(made.suppressed_by) <= DEFAULT_RULES.keys()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"metric": "m", "title": "x"}, "kind is missing"),
        ({"kind": "threshold", "title": "x"}, "either a metric or a topic"),
        ({"kind": "threshold", "topic": "order", "title": "x"}, "rate and absence"),
        ({"kind": "rate", "topic": "order", "window_s": 0, "title": "x"}, "window_s"),
        ({"kind": "rate", "metric": "m"}, "title is missing"),
        ({"kind": "raised", "title": "x"}, "service's own"),
        ({"kind": "rate", "metric": "a b", "title": "x"}, "name of a metric"),
    ],
)
def test_what_is_no_rule_is_refused_with_the_configuration(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        AlertSettings.model_validate({"rules": {"mine": fields}})


def test_the_configuration_changes_a_default_rule_in_part() -> None:
    settings = AlertSettings.model_validate({"rules": {"disk_low": {"value": 5e9}, "drift": {"severity": "warning"}}})
    rules = settings.configured_rules()
    assert (rules["disk_low"].value, rules["disk_low"].op, rules["disk_low"].severity) == (5e9, "<", "critical")
    assert rules["drift"].kind == "raised"
    assert AlertSettings(default_rules=False).configured_rules().keys() == {
        name for name, each in DEFAULT_RULES.items() if each.kind == "raised"
    }
