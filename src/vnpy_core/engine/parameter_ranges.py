"""Which values a parameter may have, where the strategy class says so in its annotation.

The declaration is Python's own, and vn.py does not look at it, so that the file runs everywhere::

    fast_window: Annotated[int, Field(ge=2, le=200, description="Bars of the fast average")] = 10
    side: Literal["long", "short", "both"] = "both"

``Field`` is pydantic's; the constraints of ``annotated_types`` will do as well.
"""

import sys
import typing
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypedDict

from pydantic import TypeAdapter, ValidationError

# What a client is told, by the name that JSON Schema has for it.
_TOLD = {
    "minimum": "minimum",
    "maximum": "maximum",
    "exclusiveMinimum": "exclusive_minimum",
    "exclusiveMaximum": "exclusive_maximum",
    "multipleOf": "multiple_of",
    "enum": "choices",
    "description": "description",
}


class RangeInfo(TypedDict, total=False):
    """What a client sees of a range; what is missing is not bounded."""

    minimum: float
    maximum: float
    exclusive_minimum: float
    exclusive_maximum: float
    multiple_of: float
    choices: list[Any]
    description: str


class ParameterRange:
    """The range of one parameter."""

    def __init__(self, hint: Any) -> None:
        """Raises: whatever pydantic does of a hint that it can make nothing of."""
        self._adapter: TypeAdapter[Any] = TypeAdapter(hint)
        schema = self._adapter.json_schema()
        if "const" in schema:
            schema["enum"] = [schema["const"]]
        told: Any = {ours: schema[theirs] for theirs, ours in _TOLD.items() if theirs in schema}
        self.info: RangeInfo = told

    def require(self, value: Any) -> None:
        """Raises: ValueError, with what is wrong with ``value``."""
        try:
            self._adapter.validate_python(value)
        except ValidationError as error:
            told = "; ".join(problem["msg"] for problem in error.errors(include_url=False, include_input=False))
            raise ValueError(told.replace("Input should be ", "must be ")) from None


def ranges_of(kind: type, names: Mapping[str, Any]) -> dict[str, ParameterRange]:
    """Return the ranges of those of ``names`` that ``kind``, or a class above it, declares one for."""
    found: dict[str, ParameterRange] = {}
    for declaring in reversed(kind.__mro__):
        for name, hint in vars(declaring).get("__annotations__", {}).items():
            if name in names:
                found.pop(name, None)
                if (declared := _range(declaring, name, hint)) is not None:
                    found[name] = declared
    return found


def _range(declaring: type, name: str, hint: Any) -> ParameterRange | None:
    """Return what ``hint`` declares; a hint that cannot be understood declares nothing."""
    holder = type("Holder", (), {"__annotations__": {name: hint}})
    names = vars(sys.modules.get(declaring.__module__, typing))
    try:
        resolved = typing.get_type_hints(holder, names, vars(declaring), include_extras=True)[name]
        is_range = typing.get_origin(resolved) in (Annotated, Literal)
        return ParameterRange(resolved) if is_range else None
    except Exception:  # noqa: BLE001 - the edge to the user's code: a hint may be any expression
        return None
