"""AlgoDesk: the algo engine in our own words: enums by name, templates with their parameters, states as models."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from vnpy_algotrading.template import AlgoTemplate

from vnpy_core.engine import translate
from vnpy_core.engine.algo import CoreAlgoEngine
from vnpy_core.engine.plain import jsonable
from vnpy_core.engine.setting_check import type_name
from vnpy_core.engine.vn_enums import to_vn
from vnpy_core.errors import NotFound
from vnpy_core.models import Algo, AlgoSpec

# What vn.py's own templates do with their parameters, which they say nowhere in English: meaning and smallest value.
_KNOWN: Mapping[tuple[str, str], tuple[str, float | None]] = {
    ("TwapAlgo", "time"): ("Seconds that it takes, in all", 1),
    ("TwapAlgo", "interval"): ("Seconds between two orders; at most the whole time", 1),
    ("IcebergAlgo", "display_volume"): ("Volume of one order; at least the contract's minimum", 0),
    ("IcebergAlgo", "interval"): ("Seconds between two looks at the market", 0),
    ("StopAlgo", "price_add"): ("How far beyond the stop price the order may be filled", None),
    ("BestLimitAlgo", "min_volume"): ("Smallest volume of one order", 1),
    ("BestLimitAlgo", "max_volume"): ("Largest volume of one order; the volumes between are drawn by lot", 1),
}


class AlgoDesk:
    """For the event thread, except for ``templates``."""

    def __init__(self, engine: CoreAlgoEngine) -> None:
        self._engine = engine

    def templates(self) -> Sequence[Mapping[str, Any]]:
        """Return each template with its parameters, types and defaults."""
        return [_described(name, kind) for name, kind in sorted(self._engine.algo_templates.items())]

    def reserve_names(self, algo_names: Iterable[str]) -> None:
        self._engine.reserve_names(algo_names)

    def start(self, spec: AlgoSpec) -> Algo:
        name = self._engine.start_algo(
            spec.template, spec.vt_symbol, to_vn(spec.direction), to_vn(spec.offset), spec.price, spec.volume,
            spec.setting,
        )  # fmt: skip
        algo = self._engine.algos.get(name)
        if algo is None:  # it sent its order and ended at once; its last event is on the way
            raise NotFound(f"{name} has ended already.", code="algo_ended")
        return self._state(algo)

    def pause(self, algo_name: str) -> Algo:
        algo = self._running(algo_name)
        self._engine.pause_algo(algo_name)
        return self._state(algo)

    def resume(self, algo_name: str) -> Algo:
        algo = self._running(algo_name)
        self._engine.resume_algo(algo_name)
        return self._state(algo)

    def stop(self, algo_name: str) -> Algo:
        algo = self._running(algo_name)
        self._engine.stop_algo(algo_name)
        return self._state(algo)

    def stop_running(self) -> list[Algo]:
        running = tuple(self._engine.algos.values())
        self._engine.stop_all()
        return [self._state(algo) for algo in running]

    def _running(self, algo_name: str) -> AlgoTemplate:
        algo: AlgoTemplate | None = self._engine.algos.get(algo_name)
        if algo is None:
            raise NotFound(f"No algo {algo_name!r} is running.", code="unknown_algo")
        return algo

    def _state(self, algo: AlgoTemplate) -> Algo:
        return translate.algo(self._engine.state_of(algo))


def _described(name: str, kind: type[AlgoTemplate]) -> Mapping[str, Any]:
    parameters = []
    for parameter, default in kind.default_setting.items():
        meaning, minimum = _KNOWN.get((name, parameter), (None, None))
        # A list of a template's defaults is what vn.py's own window shows as a choice.
        choices = jsonable(default) if isinstance(default, list | tuple) else None
        value = choices[0] if choices else jsonable(default)
        parameters.append(
            {
                "name": parameter, "type": type_name(value), "default": value, "minimum": minimum,
                "choices": choices, "meaning": meaning,
            }
        )  # fmt: skip
    return {
        "template": name, "display_name": kind.display_name, "doc": (kind.__doc__ or "").strip(),
        "parameters": parameters,
    }  # fmt: skip
