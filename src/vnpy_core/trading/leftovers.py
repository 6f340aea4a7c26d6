"""What a process that was killed has left as running in the journal, and took with it: it lived in memory alone."""

from collections.abc import Iterable, Iterator
from typing import Protocol

from msgspec.structs import replace

from vnpy_core.events import Event
from vnpy_core.models import Algo, Model


class KnownTable(Protocol):
    def values(self) -> Iterable[Event]: ...


class Known(Protocol):
    """The read model, as the journal has filled it."""

    @property
    def algos(self) -> KnownTable: ...


def ends_of_leftovers(known: Known) -> Iterator[Model]:
    """Yield the last to be told of each; to be told before an engine of this process can tell anything of its own.

    An algo that runs would be watched by nobody. The stop orders of strategies are given back to them.
    """
    for event in known.algos.values():
        if isinstance(event.data, Algo) and not event.data.is_final:
            yield replace(event.data, status="STOPPED", error="The service ended while it ran.")
