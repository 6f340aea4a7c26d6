"""What the risk and algo routes answer: lists around the models."""

from typing import Annotated, Any

import msgspec

from vnpy_core.models import Algo, RiskRule
from vnpy_core.routers.answers import NextCursor


class RulePage(msgspec.Struct, frozen=True, kw_only=True):
    rules: list[RiskRule]
    next_cursor: NextCursor


class AlgoPage(msgspec.Struct, frozen=True, kw_only=True):
    algos: list[Algo]
    next_cursor: NextCursor


class AlgoParameter(msgspec.Struct, frozen=True, kw_only=True):
    """One parameter of a template. ``minimum``: what the engine takes at least, where that is known."""

    name: Annotated[str, msgspec.Meta(examples=["interval"])]
    type: Annotated[str, msgspec.Meta(examples=["int", "float", "str", "bool"])]
    default: Any
    minimum: float | None = None
    choices: list[Any] | None = None
    meaning: str | None = None


class AlgoTemplate(msgspec.Struct, frozen=True, kw_only=True):
    """An algorithm that can be started."""

    template: Annotated[str, msgspec.Meta(examples=["TwapAlgo"])]
    display_name: str
    doc: str
    parameters: list[AlgoParameter]


class AlgoTemplatePage(msgspec.Struct, frozen=True, kw_only=True):
    templates: list[AlgoTemplate]
    next_cursor: NextCursor


class AlgosStopped(msgspec.Struct, frozen=True, kw_only=True):
    """The algos that ran, and do no more."""

    stopped: list[str]
