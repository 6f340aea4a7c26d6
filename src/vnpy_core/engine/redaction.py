"""Redactor: takes the secrets of gateway settings out of texts before anyone sees them."""

import re
from collections.abc import Mapping
from typing import Any

from pydantic import SecretStr

from vnpy_core.config.secret_names import SECRET_NAME

# Shorter ones would make confetti of any text.
_MIN_LENGTH = 4
HIDDEN = "***"


class Redactor:
    """Knows the secrets of this process. ``add`` and ``clean`` may be called from any thread."""

    def __init__(self) -> None:
        self._pattern: re.Pattern[str] | None = None
        self._secrets: frozenset[str] = frozenset()

    def add(self, setting: Mapping[str, Any]) -> None:
        """Take note of what in ``setting`` is secret: by its name, or by its type (SecretStr)."""
        found = set(_secrets(setting))
        if not found <= self._secrets:
            self._secrets |= found
            longest_first = sorted(self._secrets, key=len, reverse=True)
            self._pattern = re.compile("|".join(re.escape(secret) for secret in longest_first))

    def clean(self, text: str) -> str:
        return self._pattern.sub(HIDDEN, text) if self._pattern is not None else text


def plain_setting(setting: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy with each SecretStr replaced by its text, as gateways want it."""
    return {
        name: value.get_secret_value() if isinstance(value, SecretStr) else value for name, value in setting.items()
    }


def _secrets(setting: Mapping[str, Any]) -> list[str]:
    found = []
    for name, value in setting.items():
        if isinstance(value, Mapping):
            found += _secrets(value)
        elif isinstance(value, SecretStr):
            found.append(value.get_secret_value())
        elif isinstance(value, str | int) and not isinstance(value, bool) and SECRET_NAME.search(name):
            found.append(str(value))
    return [secret for secret in found if len(secret) >= _MIN_LENGTH]
