"""Settings as a client gives them, checked field by field against the defaults of the class they are for."""

import math
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any

from vnpy_core.engine.parameter_ranges import ParameterRange
from vnpy_core.engine.plain import jsonable
from vnpy_core.errors import Invalid

# A parameter whose default is none of these (an enum member, a time of day) cannot be given as JSON. A bool is an int.
_JSON_TYPES: tuple[type, ...] = (bool, int, float, str, list, tuple, dict)


def type_name(default: Any) -> str:
    """Return the name a client knows the type of ``default`` by; ``any`` for ``None``."""
    if default is None:
        return "any"
    return next((kind for kind in _JSON_TYPES if isinstance(default, kind)), type(default)).__name__


def checked(
    setting: Mapping[str, Any],
    defaults: Mapping[str, Any],
    *,
    of: str,
    ranges: Mapping[str, ParameterRange] = MappingProxyType({}),
) -> dict[str, Any]:
    """Return a copy of ``setting`` in the types of ``defaults``. ``of`` says in messages what it is the setting of.

    An int takes a whole float, a float takes an int; a bool takes nothing but a bool, and nothing else takes a bool.
    A default of ``None`` says nothing about the type.

    Raises:
        Invalid: ``errors`` has one entry a field: unknown (with the nearest known name), of the wrong type, or out of
            its range.
    """
    found: dict[str, Any] = {}
    errors: list[dict[str, str]] = []
    for name, value in setting.items():
        if name not in defaults:
            errors.append({"field": name, "message": f"unknown parameter{nearest(name, defaults)}"})
            continue
        try:
            found[name] = _converted(value, defaults[name])
            if name in ranges:
                ranges[name].require(found[name])
        except ValueError as error:
            errors.append({"field": name, "message": str(error)})
    refuse(errors, of=of)
    return found


def refuse(errors: list[dict[str, str]], *, of: str) -> None:
    """Raise ``Invalid`` if there are ``errors``, which it carries and its detail repeats."""
    if errors:
        listed = "; ".join(f"{error['field']}: {error['message']}" for error in errors)
        raise Invalid(f"The setting of {of} is not valid: {listed}", errors=errors)


def nearest(name: str, known: Collection[str]) -> str:
    """Return ``; did you mean …?`` or, when nothing is near, what there is."""
    matches = get_close_matches(name, known, n=1)
    if matches:
        return f"; did you mean {matches[0]!r}?"
    return f"; known are {', '.join(sorted(known))}" if known else "; there are none"


def _converted(value: Any, default: Any) -> Any:
    if default is None:
        return jsonable(value)
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise ValueError(f"must be true or false, not {_shown(value)}")
        return value
    if isinstance(default, int | float):
        return _number(value, whole=isinstance(default, int))
    if isinstance(default, tuple):  # JSON has lists alone
        return tuple(_converted(value, list(default)))
    for kind in (str, list, dict):
        if isinstance(default, kind):
            if not isinstance(value, kind):
                raise ValueError(f"must be a {kind.__name__}, not {_shown(value)}")
            return jsonable(value)
    raise ValueError(f"is a {type(default).__name__}, which JSON cannot carry; it can be set in the class alone")


def _number(value: Any, *, whole: bool) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"must be {'a whole number' if whole else 'a number'}, not {_shown(value)}")
    if not whole:
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise ValueError("must be a finite number")
        return number
    if isinstance(value, float) and not value.is_integer():
        raise ValueError(f"must be a whole number, not {_shown(value)}")
    return int(value)


def _shown(value: Any) -> str:
    return "null" if value is None else f"{type_name(value)} {value!r:.60}"
