"""The wire between the simulated exchange and its client, and what can go wrong on it (seeded)."""

from collections import deque
from collections.abc import Mapping, Sequence
from copy import copy
from random import Random
from typing import Annotated, Any, Literal

import msgspec

from vnpy_core.engine.sim.exchange import Effect
from vnpy_core.engine.sim.suggest import unknown_key
from vnpy_core.errors import ConfigError

Count = Annotated[int, msgspec.Meta(ge=0)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class Faults(msgspec.Struct, frozen=True, kw_only=True):
    """What goes wrong. Counts are used up; shares are the probability for one event (``reorder``: for one pair)."""

    seed: int = 0
    ack_delay_ms: Annotated[float, msgspec.Meta(ge=0, description="All answers and news arrive this much later")] = 0.0
    lose_acks: Annotated[Count, msgspec.Meta(description="Commands that are obeyed without a word")] = 0
    reject: Annotated[Count, msgspec.Meta(description="Orders refused whatever they are")] = 0
    reject_reason: str = "refused by an injected fault"
    duplicate: Share = 0.0
    reorder: Share = 0.0
    disconnected: Annotated[
        Literal["reject", "raise"], msgspec.Meta(description="What send_order does while the connection is down")
    ] = "reject"
    reconnect_after_ms: Annotated[float, msgspec.Meta(ge=0, description="0: stays down until connect()")] = 0.0


def parse_faults(fields: Mapping[str, Any]) -> Faults:
    """Return the faults that ``fields`` name.

    Raises:
        ConfigError: there is no such fault, or not such a value of it.
    """
    for name in fields:
        if name not in Faults.__struct_fields__:
            raise ConfigError(unknown_key(name, Faults.__struct_fields__, "faults"))
    try:
        return msgspec.convert(dict(fields), Faults, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(f"faults: {error}") from error


class Wire:
    """Carries effects from the exchange to the client: late, twice, in another order, or not at all.

    Without faults it hands over what it is given. While ``is_up`` is false everything is lost.
    """

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self.is_up = False
        self._random = Random(faults.seed)  # noqa: S311 - faults, not secrets
        self._late: deque[tuple[float, Effect]] = deque()

    def inject(self, faults: Faults) -> None:
        """Replace the faults; what is on its way stays on its way."""
        if faults.seed != self.faults.seed:
            self._random = Random(faults.seed)  # noqa: S311 - faults, not secrets
        self.faults = faults

    def cut(self) -> None:
        self.is_up = False
        self._late.clear()

    def takes_reject(self) -> bool:
        """Tell whether the next order is to be refused, and count it."""
        return self._use("reject")

    def answer(self, effects: Sequence[Effect], now: float) -> Sequence[Effect]:
        """Return what of the answer to a command arrives now."""
        return () if self._use("lose_acks") else self.news(effects, now)

    def news(self, effects: Sequence[Effect], now: float) -> Sequence[Effect]:
        """Return what of unasked news arrives now; the rest follows from ``arrived``."""
        if not self.is_up or not effects:
            return ()
        faults = self.faults
        if faults.duplicate or faults.reorder:
            effects = self._jumble(effects)
        if not faults.ack_delay_ms and not self._late:
            return effects
        # One line: nothing overtakes what was sent before it.
        due = now + faults.ack_delay_ms / 1000
        if self._late:
            due = max(due, self._late[-1][0])
        self._late.extend((due, effect) for effect in effects)
        return ()

    def due(self) -> float:
        """Return when the next late effect arrives; infinity: none is on its way."""
        return self._late[0][0] if self._late else float("inf")

    def arrived(self, now: float) -> list[Effect]:
        arrived = []
        while self._late and self._late[0][0] <= now:
            arrived.append(self._late.popleft()[1])
        return arrived

    def _use(self, name: str) -> bool:
        left = getattr(self.faults, name)
        if left:
            self.faults = msgspec.structs.replace(self.faults, **{name: left - 1})
        return bool(left)

    def _jumble(self, effects: Sequence[Effect]) -> list[Effect]:
        faults, jumbled = self.faults, list(effects)
        for index in range(len(jumbled) - 1):
            if faults.reorder and self._random.random() < faults.reorder:
                jumbled[index], jumbled[index + 1] = jumbled[index + 1], jumbled[index]
        if not faults.duplicate:
            return jumbled
        doubled = []
        for effect in jumbled:
            doubled.append(effect)
            if self._random.random() < faults.duplicate:
                doubled.append(copy(effect))
        return doubled
