"""The settings of alerts: who is told of what, and how."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, model_validator

from vnpy_core.config.access_settings import Section
from vnpy_core.config.alert_rules import DEFAULT_RULES, RULE_NAME, RuleSettings, Seconds, Severity, complete

Language = Literal["en", "zh"]
ChannelName = Annotated[str, Field(pattern=r"^[\w-]{1,32}$")]


class ChannelSettings(Section):
    """One way out."""

    url: Annotated[
        SecretStr, Field(description="As Apprise reads it, such as tgram://…, dingtalk://…, mailto://…, json://…")
    ]
    min_severity: Annotated[Severity, Field(description="Less severe alerts do not go this way")] = "warning"
    rules: Annotated[tuple[str, ...], Field(description="Of these rules; * stands for anything")] = ("*",)
    resolved: Annotated[bool, Field(description="Tell also when it is over")] = True
    messages: Annotated[bool, Field(description="Also what strategies send by send_email, send_notification")] = True
    language: Annotated[Language | None, Field(description="Default: alerts.language")] = None
    rate_per_min: Annotated[float, Field(gt=0, le=600, description="Messages; what comes meanwhile shares one")] = 20.0
    queue: Annotated[int, Field(ge=1, le=100_000, description="Notices that may wait; then the oldest is given up")] = (
        1000
    )
    timeout_s: Annotated[float, Field(gt=0, le=120, description="To connect, and for each answer")] = 10.0
    retry_s: Annotated[float, Field(gt=0, le=600, description="First pause after a failure; it doubles up to 60 s")] = (
        2.0
    )
    retry_for_s: Annotated[Seconds, Field(description="Then what waits is given up")] = 3600.0


class AlertSettings(Section):
    """What is watched, and who is told."""

    enabled: Annotated[bool, Field(description="Watch the rules and tell the channels")] = True
    language: Annotated[Language, Field(description="Of the texts")] = "en"
    source: Annotated[str, Field(max_length=64, description="Who speaks; default: the host's name")] = ""
    evaluate_s: Annotated[float, Field(ge=0.1, le=60, description="How often the rules are looked at")] = 1.0
    group_s: Annotated[float, Field(ge=0, le=300, description="What comes within this time shares a message")] = 2.0
    repeat_s: Annotated[Seconds, Field(description="Remind of what fires and nobody acknowledged; 0: never")] = 14_400.0
    restart_s: Annotated[Seconds, Field(description="What fired before a restart is not resolved earlier")] = 30.0
    messages_per_min: Annotated[int, Field(ge=1, le=600, description="Of one strategy; more are counted alone")] = 20
    default_rules: Annotated[bool, Field(description="The rules of docs/alerts.md hold")] = True
    channels: Annotated[
        dict[ChannelName, ChannelSettings], Field(description="By a name of yours")
    ] = Field(default_factory=dict)
    rules: Annotated[
        dict[Annotated[str, Field(pattern=RULE_NAME)], RuleSettings],
        Field(description="By name: more rules, and what differs from the default ones"),
    ] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _rules_are_whole(self) -> Self:
        self.configured_rules()
        return self

    def configured_rules(self) -> Mapping[str, RuleSettings]:
        """Return the rules as the configuration has them, by name."""
        rules = {
            name: rule for name, rule in DEFAULT_RULES.items() if self.default_rules or rule.kind == "raised"
        }
        for name, rule in self.rules.items():
            try:
                rules[name] = complete(rule, rules.get(name))
            except ValueError as error:
                raise ValueError(f"rule {name}: {error}") from error
        return rules
