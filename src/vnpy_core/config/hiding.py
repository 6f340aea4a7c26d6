"""Hiding: secrets are taken out of every line of the log, whoever wrote it: those that are known, and what looks so."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel, SecretStr

from vnpy_core.config.secret_names import SECRET_NAME

HIDDEN = "***"
# Shorter ones would make confetti of any text.
_MIN_LENGTH = 4
# What stands before a secret is kept: user and host of a URL, the name of a parameter, the scheme of a header. Every
# part begins with something fixed and is bounded: a line may be a megabyte of anything.
_LOOKS_SECRET = re.compile(
    r"""
    (?P<url>://[^\s/:@"']{0,256}:)[^\s/@"']{1,512}(?=@)
    | (?P<header>\b(?:Bearer|Basic)\s{1,8})[A-Za-z0-9._~+/=-]{8,2048}
    | (?P<field>(?:password|passwd|pwd|secret|token|ticket|api_?key|密码|口令|授权编码)
               (?:=["']?|["']\s{0,8}[:=]\s{0,8}["']))
      [^\s"'&,;)}\]]{4,2048}
    | \beyJ[\w-]{8,512}\.[\w-]{8,2048}\.[\w-]{1,512}
    | \bvc[krlt]_[\w-]{1,64}\.[\w-]{8,512}
    """,
    re.VERBOSE | re.IGNORECASE,
)


def hider(secrets: Iterable[str] = ()) -> Callable[[str], str]:
    """Return what takes ``secrets``, and everything that looks like one, out of a text."""
    known = {secret for secret in secrets if len(secret) >= _MIN_LENGTH}
    known |= {json.dumps(secret, ensure_ascii=False)[1:-1] for secret in known}  # as a line of JSON has it
    longest_first = sorted(known, key=len, reverse=True)
    pattern = re.compile("|".join(map(re.escape, longest_first))) if known else None

    def hide(text: str) -> str:
        if pattern is not None:
            text = pattern.sub(HIDDEN, text)
        return _LOOKS_SECRET.sub(_beginning, text)

    return hide


def secrets_of(settings: BaseModel | Mapping[str, Any]) -> Iterator[str]:
    """Yield every secret of a configuration: by its type, and in the settings of gateways by its name."""
    items = settings.items() if isinstance(settings, Mapping) else ((name, value) for name, value in settings)
    for name, value in items:
        if isinstance(value, BaseModel | Mapping):
            yield from secrets_of(value)
        elif isinstance(value, SecretStr):
            yield value.get_secret_value()
        elif isinstance(settings, Mapping) and isinstance(value, str) and SECRET_NAME.search(name):
            yield value


def _beginning(found: re.Match[str]) -> str:
    return f"{found['url'] or found['header'] or found['field'] or ''}{HIDDEN}"
