"""Ranges as classes declare them, and settings held to them."""

from typing import Annotated, Any, Literal

import pytest
from annotated_types import Gt, MultipleOf
from pydantic import Field

from vnpy_core.engine.parameter_ranges import ranges_of
from vnpy_core.engine.setting_check import checked
from vnpy_core.errors import Invalid


class Declared:
    fast: Annotated[int, Field(ge=2, le=200, description="Bars")] = 10
    ratio: Annotated[float, Gt(0)] = 0.5
    lots: "Annotated[int, MultipleOf(5)]" = 5
    side: Literal["long", "short"] = "long"
    plain: int = 1
    odd: Annotated[Any, "no range"] = None
    unknown: "Annotated[Nowhere, Field(ge=1)]" = 1  # type: ignore[name-defined]  # noqa: F821


class Narrower(Declared):
    fast: Annotated[int, Field(ge=5)] = 10
    side: str = "long"


NAMES = dict.fromkeys(("fast", "ratio", "lots", "side", "plain", "odd", "unknown"))
DEFAULTS = {"fast": 10, "ratio": 0.5, "lots": 5, "side": "long", "plain": 1}


def test_what_a_client_is_told() -> None:
    told = {name: declared.info for name, declared in ranges_of(Declared, NAMES).items()}
    assert told == {
        "fast": {"minimum": 2, "maximum": 200, "description": "Bars"},
        "ratio": {"exclusive_minimum": 0},
        "lots": {"multiple_of": 5},
        "side": {"choices": ["long", "short"]},
        "odd": {},
    }


def test_a_class_below_declares_anew() -> None:
    told = {name: declared.info for name, declared in ranges_of(Narrower, NAMES).items()}
    assert told["fast"] == {"minimum": 5}
    assert "side" not in told


def test_a_setting_is_refused_field_by_field() -> None:
    setting = {"fast": 1, "ratio": 0, "lots": 7, "side": "both", "plain": -5}
    with pytest.raises(Invalid) as refused:
        checked(setting, DEFAULTS, of="it", ranges=ranges_of(Declared, setting))
    assert {error["field"]: error["message"] for error in refused.value.extra["errors"]} == {
        "fast": "must be greater than or equal to 2",
        "ratio": "must be greater than 0",
        "lots": "must be a multiple of 5",
        "side": "must be 'long' or 'short'",
    }


def test_what_is_in_range_is_taken_in_the_type_of_the_default() -> None:
    setting = {"fast": 200.0, "ratio": 1, "lots": 10, "side": "short"}
    found = checked(setting, DEFAULTS, of="it", ranges=ranges_of(Declared, setting))
    assert found == {"fast": 200, "ratio": 1.0, "lots": 10, "side": "short"}
    assert [type(value) for value in found.values()] == [int, float, int, str]
