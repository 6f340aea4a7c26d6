"""Technical indicators by TA-Lib: what there are, with the ranges of their parameters, and their values over bars.

An indicator is asked for as ``NAME``, ``NAME:30`` or ``MACD:12,26,9``: the parameters in TA-Lib's order, those left out
or empty by default; or by name, ``BBANDS:timeperiod=30,matype=1``.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from typing import Annotated, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

# Their types leave out what is used here.
_talib: Any = import_module("talib")
_abstract: Any = import_module("talib.abstract")

_INPUTS = ("open", "high", "low", "close", "volume")
_COLUMNS = {name: name if name == "volume" else f"{name}_price" for name in _INPUTS}
_UNSTABLE = "Function has an unstable period"
# Averages that go on for ever are the same as over all there is by then; TA-Lib flags some of these alone.
_SETTLING = 300
_SPEC = re.compile(r"[A-Za-z0-9_]{1,32}(:[A-Za-z0-9_=.,+-]{0,128})?")
_LARGEST = 100_000
MAX_INDICATORS = 20


class IndicatorParameter(msgspec.Struct, frozen=True, kw_only=True):
    name: Annotated[str, msgspec.Meta(examples=["timeperiod"])]
    type: Annotated[str, msgspec.Meta(examples=["int", "float"])]
    default: float
    minimum: Annotated[float, msgspec.Meta(description="With the others at their defaults")]
    maximum: float


class Indicator(msgspec.Struct, frozen=True, kw_only=True):
    """A function of TA-Lib over bars."""

    name: Annotated[str, msgspec.Meta(examples=["SMA"])]
    title: str
    group: Annotated[str, msgspec.Meta(examples=["Overlap Studies"])]
    inputs: Annotated[list[str], msgspec.Meta(description="What of a bar it takes", examples=[["close"]])]
    parameters: list[IndicatorParameter]
    outputs: Annotated[list[str], msgspec.Meta(examples=[["macd", "macdsignal", "macdhist"]])]
    overlay: Annotated[bool, msgspec.Meta(description="On the scale of the prices")]
    settles: Annotated[bool, msgspec.Meta(description="It goes on changing with the bars before, by less and less")]


class IndicatorValues(msgspec.Struct, frozen=True, kw_only=True):
    """One value for each bar of the chart; null where there is none. With ``code`` there are none at all."""

    indicator: Annotated[str, msgspec.Meta(description="As it was asked for", examples=["SMA:30"])]
    name: str | None = None
    parameters: Mapping[str, float] = {}
    outputs: Mapping[str, list[float | None]] = {}
    code: Annotated[
        str | None, msgspec.Meta(description="Why not", examples=["unknown_indicator", "bad_parameters"])
    ] = None
    detail: str | None = None


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """An indicator that can be computed. ``lookback``: bars that it takes before its first value."""

    text: str
    name: str
    parameters: Mapping[str, float]
    lookback: int


class Refused(Exception):
    """It cannot be computed; ``code`` says why."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


@cache
def catalogue() -> Mapping[str, Indicator]:
    """Return every function that can be computed of bars, by name. The first call takes a moment."""
    found = (_described(name) for name in sorted(_talib.get_functions()))
    return {indicator.name: indicator for indicator in found if indicator is not None}


def parse(text: str) -> Asked:
    """Raises:
    Refused: there is no such indicator, or not with such parameters.
    """
    if not _SPEC.fullmatch(text):
        raise Refused("malformed", "It must be NAME, NAME:30 or NAME:fast=12,slow=26.")
    name, _, given = text.partition(":")
    indicator = catalogue().get(name.upper())
    if indicator is None:
        raise Refused("unknown_indicator", f"There is no indicator {name!r}: see GET /charts/indicators.")
    values = _values(indicator, given)
    lookback = _lookback(indicator.name, values)
    if lookback is None:
        raise Refused("bad_parameters", f"{indicator.name} takes no {values}.")
    return Asked(
        text=text, name=indicator.name, parameters=values, lookback=lookback + _SETTLING if lookback else 0
    )


def compute(asked: Asked, columns: Mapping[str, NDArray[Any]], keep: int) -> IndicatorValues:
    """Return the values for the last ``keep`` of the bars. CPU only, for a thread of its own."""
    inputs = {name: np.ascontiguousarray(columns[column], dtype=np.float64) for name, column in _COLUMNS.items()}
    outputs = catalogue()[asked.name].outputs
    if not len(inputs["close"]):
        return _of(asked, {output: [] for output in outputs})
    try:
        function = _abstract.Function(asked.name)
        made = function(inputs, **_typed(asked.name, asked.parameters))
    except Exception as error:  # noqa: BLE001 -- TA-Lib raises Exception itself
        return refused(asked.text, Refused("not_computed", str(error)))
    arrays = made if isinstance(made, list | tuple) else [made]
    return _of(asked, {name: _plain(array[-keep:]) for name, array in zip(outputs, arrays, strict=True)})


def refused(text: str, error: Refused) -> IndicatorValues:
    return IndicatorValues(indicator=text, code=error.code, detail=str(error))


def _of(asked: Asked, outputs: Mapping[str, list[float | None]]) -> IndicatorValues:
    return IndicatorValues(indicator=asked.text, name=asked.name, parameters=asked.parameters, outputs=outputs)


def _plain(array: NDArray[Any]) -> list[float | None]:
    values: list[float | None] = array.astype(np.float64).tolist()
    for place in np.flatnonzero(~np.isfinite(array)).tolist():
        values[place] = None
    return values


def _described(name: str) -> Indicator | None:
    info = _abstract.Function(name).info
    inputs: list[str] = []
    for given in info["input_names"].values():
        inputs += [given] if isinstance(given, str) else list(given)
    if not set(inputs) <= set(_INPUTS):
        return None
    flags = info["function_flags"] or []
    return Indicator(
        name=name,
        title=info["display_name"],
        group=info["group"],
        inputs=inputs,
        parameters=[_parameter(name, parameter, default) for parameter, default in info["parameters"].items()],
        outputs=list(info["output_names"]),
        overlay="Output scale same as input" in flags,
        settles=_UNSTABLE in flags,
    )


def _parameter(function: str, name: str, default: float) -> IndicatorParameter:
    """Find the range, which TA-Lib does not tell: it refuses what is outside. Looked for among whole numbers."""
    takes = lambda value: _lookback(function, {name: value}) is not None  # noqa: E731
    start = int(default)
    low = _edge(takes, start, -_LARGEST - 1)
    high = _edge(takes, start, _LARGEST + 1)
    return IndicatorParameter(
        name=name, type="int" if isinstance(default, int) else "float", default=default, minimum=low, maximum=high
    )


def _edge(takes: Any, inside: int, outside: int) -> int:
    """Return the last number that is taken on the way from ``inside``, which is, to ``outside``."""
    while abs(outside - inside) > 1:
        middle = (inside + outside) // 2
        if takes(middle):
            inside = middle
        else:
            outside = middle
    return inside


def _values(indicator: Indicator, given: str) -> dict[str, float]:
    values = {parameter.name: parameter.default for parameter in indicator.parameters}
    parts = given.split(",") if given else []
    if len(parts) > len(values):
        raise Refused("bad_parameters", f"{indicator.name} has {len(values)} parameters: {', '.join(values)}.")
    for parameter, part in zip(indicator.parameters, parts, strict=False):
        name, equals, text = part.partition("=")
        if not equals:
            name, text = parameter.name, name
        elif name not in values:
            raise Refused("bad_parameters", f"{indicator.name} has no parameter {name!r}, but {', '.join(values)}.")
        if not text and not equals:
            continue
        values[name] = _number(indicator, name, text)
    return values


def _number(indicator: Indicator, name: str, text: str) -> float:
    parameter = next(each for each in indicator.parameters if each.name == name)
    try:
        value = int(text) if parameter.type == "int" else float(text)
    except ValueError:
        raise Refused("bad_parameters", f"{name} of {indicator.name} must be of type {parameter.type}.") from None
    if not parameter.minimum <= value <= parameter.maximum:
        detail = f"{name} of {indicator.name} must be from {parameter.minimum:g} to {parameter.maximum:g}."
        raise Refused("bad_parameters", detail)
    return value


def _typed(name: str, values: Mapping[str, float]) -> dict[str, Any]:
    defaults = _abstract.Function(name).info["parameters"]
    return {each: type(defaults[each])(value) for each, value in values.items()}


def _lookback(name: str, values: Mapping[str, float]) -> int | None:
    """Return how many bars come before the first value; ``None``: TA-Lib takes no such parameters."""
    function = _abstract.Function(name)
    try:
        function.parameters = _typed(name, values)
        found = int(function.lookback)
    except Exception:  # noqa: BLE001 -- TA-Lib raises Exception itself
        return None
    return found if found >= 0 else None


def warm_up(asked: Sequence[Asked]) -> int:
    """Return how many bars before the chart's first are to be loaded."""
    return max((each.lookback for each in asked), default=0)
