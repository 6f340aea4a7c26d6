"""RuleBook: the rules that hold: the default ones, what the configuration says otherwise, and what the API has set."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import ValidationError

from vnpy_core.config.alert_rules import DEFAULT_RULES, RuleSettings, complete
from vnpy_core.config.alert_settings import AlertSettings
from vnpy_core.errors import Invalid, NotFound
from vnpy_core.models import AlertRule
from vnpy_core.reports import RuleStatus


class RuleBook:
    """Loop only. What is set over the API holds until it is removed, also if the configuration changes meanwhile."""

    def __init__(self, settings: AlertSettings) -> None:
        self._named = frozenset(settings.rules)
        self._configured = settings.configured_rules()
        self._set: dict[str, AlertRule] = {}
        self._effective: dict[str, RuleSettings] = dict(self._configured)

    @property
    def rules(self) -> Mapping[str, RuleSettings]:
        """All that hold, by name."""
        return self._effective

    def take(self, facts: Iterable[AlertRule]) -> None:
        """Go by ``facts`` from now on. One that this version does not understand is passed over."""
        for fact in facts:
            if fact.removed:
                self._set.pop(fact.name, None)
            else:
                self._set[fact.name] = fact
        self._effective = dict(self._configured)
        for name, fact in self._set.items():
            try:
                self._effective[name] = self.checked(name, fact.rule)
            except Invalid:
                continue

    def checked(self, name: str, given: Mapping[str, Any]) -> RuleSettings:
        """Return the rule that ``given`` makes of the configured one of this name, if there is one.

        Raises:
            Invalid: it makes none; ``errors`` says why.
        """
        try:
            return complete(RuleSettings.model_validate(dict(given)), self._configured.get(name))
        except ValidationError as error:
            errors = [
                {"field": ".".join(map(str, each["loc"])), "message": each["msg"]}
                for each in error.errors(include_input=False, include_url=False)
            ]
            raise Invalid("The rule is not valid.", errors=errors) from error
        except ValueError as error:
            raise Invalid(f"The rule is not valid: {error}.", errors=[{"field": "", "message": str(error)}]) from error

    def status(self, name: str) -> RuleStatus:
        """Raises:
        NotFound: no such rule.
        """
        rule = self._effective.get(name)
        if rule is None:
            raise NotFound(f"There is no rule {name!r}.", code="unknown_rule")
        fact = self._set.get(name)
        fields = rule.model_dump()
        fields["suppressed_by"] = list(rule.suppressed_by)
        return RuleStatus(
            name=name, source=self._source(name), updated=fact.updated if fact is not None else None,
            updated_by=fact.updated_by if fact is not None else None, **fields,
        )  # fmt: skip

    def statuses(self) -> list[RuleStatus]:
        return [self.status(name) for name in sorted(self._effective)]

    def is_set(self, name: str) -> bool:
        """Tell whether the API has set it."""
        return name in self._set

    def is_changed(self, name: str) -> bool:
        """Tell whether anybody has said anything of it: then its severity counts before that of who raises it."""
        return name in self._set or name in self._named

    def _source(self, name: str) -> Literal["default", "configuration", "api"]:
        if name in self._set:
            return "api"
        return "configuration" if name in self._named or name not in DEFAULT_RULES else "default"
