"""A process that journals facts and publishes them, for tests that kill it: ``python -m … folder url prefix``."""

import asyncio
import sys
from pathlib import Path

from pydantic import SecretStr

from tests import facts
from vnpy_core.bus.message_bus import MessageBus
from vnpy_core.config.bus_settings import BusSettings
from vnpy_core.data.journal import Journal
from vnpy_core.enums import OrderStatus
from vnpy_core.events import Event
from vnpy_core.models import Model


def burst(number: int) -> list[Model]:
    """Return the facts of one order's life, and what is nobody's business."""
    return [
        facts.intent(number),
        facts.order(number, OrderStatus.SUBMITTING),
        facts.intent(number, "SENT"),
        facts.order(number, OrderStatus.ALLTRADED, traded=5.0),
        facts.trade(number, vt_orderid=f"SIM.{number}"),
        facts.position(volume=float(number)),
        facts.account(float(number)),
    ]


async def write_for_ever(folder: Path, url: str, prefix: str) -> None:
    """Print after each commit how many facts there are and how many the bus has."""
    journal = Journal(folder / "journal.db")
    await journal.open()
    bus = MessageBus(journal, BusSettings(url=SecretStr(url), prefix=prefix))
    await bus.start()
    number = journal.last_seq
    while True:
        number += 1
        events = [Event(model) for model in burst(number)]
        await journal.append(events)
        bus.on_events(events)
        assert bus.sink is not None
        print(journal.last_seq, bus.sink.position, flush=True)
        await asyncio.sleep(0.0005)


if __name__ == "__main__":
    asyncio.run(write_for_ever(Path(sys.argv[1]), sys.argv[2], sys.argv[3]))
