"""Whatever is published, asked for and resumed in whatever order: no fact is missing, none comes twice, and the present
state a client has made of what it was sent is the service's."""

import asyncio
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.bus.test_hub import Client, Room, order, tick

from vnpy_core.bus.encoding import JSON, MSGPACK

SYMBOLS = ("rb2501", "ag2506", "IF2501")
Step = tuple[str, int]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("fact"), st.integers(1, 5)),
        st.tuples(st.just("ticks"), st.integers(1, 5)),
        st.tuples(st.just("other"), st.integers(1, 2)),
        st.tuples(st.just("turn"), st.integers(1, 5)),
        st.tuples(st.sampled_from(["stall", "read", "topics", "cut"]), st.just(0)),
    ),
    max_size=40,
)


class Follower:
    """A client that keeps the latest of everything, and comes again where it was cut off."""

    def __init__(self, room: Room, throttle_ms: int, encoding: Any) -> None:
        self._room = room
        self._options: dict[str, Any] = {"throttle_ms": throttle_ms, "snapshot": True}
        self._encoding = encoding
        self.client: Client
        self.latest: dict[str, Any] = {}
        self.facts: list[int] = []
        self.snapshot_of = 0
        self.cursor: int | None = None

    async def come(self) -> None:
        since = {} if self.cursor is None else {"since": self.cursor}
        self.client = await self._room.subscribed(
            "order", "tick", encoding=self._encoding, **self._options, **since
        )

    async def go(self) -> None:
        """Take in what has come, and be gone."""
        self.client.reading.set()
        await self.client.say({"type": "ping", "id": "last"})
        await self.client.until(lambda client: any(answer.get("id") == "last" for answer in client.answers))
        first = self.cursor is None
        for frame in self.client.frames:
            for event in frame if isinstance(frame, list) else ():
                if event["seq"] is None:
                    self.latest[event["topic"]] = event["data"]
                    continue
                self.latest[event["data"]["vt_orderid"]] = event["data"]
                if not first or event["seq"] > self.client.answers[0]["seq"]:
                    self.facts.append(event["seq"])
        if first:
            self.snapshot_of = self.client.answers[0]["seq"]
        self.cursor = self.client.answers[-1]["seq"]
        self._room.hub.discard(self.client.session)


async def play(steps: list[Step], throttle_ms: int, encoding: Any, batch_interval_ms: float) -> None:
    room = Room(batch_interval_ms=batch_interval_ms)
    number = 0
    try:
        await _publish(room, "fact", 2, 0)
        follower = Follower(room, throttle_ms, encoding)
        await follower.come()
        for what, count in steps:
            number += 1
            if what in ("fact", "ticks", "other"):
                await _publish(room, what, count, number)
            elif what == "turn":
                for _ in range(count):
                    await asyncio.sleep(0)
            elif what == "stall":
                follower.client.reading.clear()
            elif what == "read":
                follower.client.reading.set()
            elif what == "topics":
                await follower.client.say({"type": "subscribe", "topics": ["log"]})
                await follower.client.say({"type": "unsubscribe", "topics": ["log"]})
            else:
                await follower.go()
                await _publish(room, "fact", 1, -number)
                await follower.come()
        await follower.client.say({"type": "unsubscribe", "topics": ["order", "tick"]})  # what is held comes before it
        await follower.go()
        all_facts = [record.seq for record in room.history.records if record.topic == "order.updated"]
        assert follower.facts == [seq for seq in all_facts if seq > follower.snapshot_of]
        state = {key: event.data for key, event in room.state.tables.get("orders", {}).items()}
        state |= {event.topic: event.data for event in room.state.tables.get("ticks", {}).values()}
        assert follower.latest == {key: msgspec.to_builtins(data) for key, data in state.items()}
    finally:
        await room.hub.close(timeout_s=0)
        for client in room.clients:
            await client.close()


async def _publish(room: Room, what: str, count: int, number: int) -> None:
    for each in range(count):
        if what == "fact":
            data = msgspec.structs.replace(order(each), traded=float(abs(number)), reference=str(number))
            room.fact(data)
        elif what == "ticks":
            event = tick(SYMBOLS[each % 3], number)
            room.state.tables.setdefault("ticks", {})[event.topic] = event
            room.hub.publish([event])
        else:
            room.fact(_intent())


def _intent() -> Any:
    from tests.unit.bus.test_hub import intent

    return intent()


@pytest.mark.parametrize("encoding", [JSON, MSGPACK], ids=["json", "msgpack"])
@pytest.mark.parametrize("throttle_ms", [0, 5])
@given(steps=STEPS, batch_interval_ms=st.sampled_from([0, 1, 3600_000]))
@settings(max_examples=60, deadline=None)
def test_there_is_no_hole_and_no_overlap(
    encoding: Any, throttle_ms: int, steps: list[Step], batch_interval_ms: float
) -> None:
    asyncio.run(play(steps, throttle_ms, encoding, batch_interval_ms))
