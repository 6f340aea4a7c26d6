"""What a process that was killed has left as running in the journal, and took with it: it lived in memory alone."""

from collections.abc import Iterable, Iterator
from typing import Protocol

from msgspec.structs import replace

from vnpy_core.enums import StopOrderStatus
from vnpy_core.events import Event
from vnpy_core.models import Alert, Algo, Model, StopOrder, now_timestamp


class KnownTable(Protocol):
    def values(self) -> Iterable[Event]: ...


class Known(Protocol):
    """The read model, as the journal has filled it."""

    @property
    def stop_orders(self) -> KnownTable: ...
    @property
    def algos(self) -> KnownTable: ...
    @property
    def alerts(self) -> KnownTable: ...


def ends_of_leftovers(known: Known) -> Iterator[Model]:
    """Yield the last to be told of each; to be told before an engine of this process can tell anything of its own.

    A stop order that waits, or an algo that runs, would be watched by nobody. What an alert was about is over, or
    will be told again.
    """
    for event in known.stop_orders.values():
        if isinstance(event.data, StopOrder) and not event.data.is_final:
            yield replace(event.data, status=StopOrderStatus.CANCELLED)
    for event in known.algos.values():
        if isinstance(event.data, Algo) and not event.data.is_final:
            yield replace(event.data, status="STOPPED", error="The service ended while it ran.")
    for event in known.alerts.values():
        if isinstance(event.data, Alert) and not event.data.resolved:
            yield replace(event.data, resolved=True, datetime=now_timestamp())
