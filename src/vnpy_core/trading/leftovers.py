"""What a process that was killed has left as running in the journal, and took with it: it lived in memory alone."""

from collections.abc import Iterable, Iterator
from typing import Protocol

from msgspec.structs import replace

from vnpy_core.events import Event
from vnpy_core.models import Alert, Algo, Model, now_timestamp


class KnownTable(Protocol):
    def values(self) -> Iterable[Event]: ...


class Known(Protocol):
    """The read model, as the journal has filled it."""

    @property
    def algos(self) -> KnownTable: ...
    @property
    def alerts(self) -> KnownTable: ...


def ends_of_leftovers(known: Known) -> Iterator[Model]:
    """Yield the last to be told of each; to be told before an engine of this process can tell anything of its own.

    An algo that runs would be watched by nobody. What an alert was about is over, or will be told again. The stop
    orders of strategies are given back to them.
    """
    for event in known.algos.values():
        if isinstance(event.data, Algo) and not event.data.is_final:
            yield replace(event.data, status="STOPPED", error="The service ended while it ran.")
    for event in known.alerts.values():
        if isinstance(event.data, Alert) and not event.data.resolved:
            yield replace(event.data, resolved=True, datetime=now_timestamp())
