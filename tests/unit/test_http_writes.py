"""JoinedWrites: one piece a turn of the loop, in order, and nothing held back from who closes or writes much."""

import asyncio
from typing import Any

import pytest

from vnpy_core.http_writes import JoinedWrites


class Transport(asyncio.Transport):
    """Notes what reaches it."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1)})
        self.told: list[bytes | str] = []

    def write(self, data: Any) -> None:
        self.told.append(bytes(data))

    def is_closing(self) -> bool:
        return "close" in self.told

    def close(self) -> None:
        self.told.append("close")

    def abort(self) -> None:
        self.told.append("abort")


@pytest.fixture
async def pair() -> tuple[Transport, JoinedWrites]:
    transport = Transport()
    return transport, JoinedWrites(transport, asyncio.get_running_loop())


async def test_what_is_written_in_one_turn_goes_in_one_piece(pair: tuple[Transport, JoinedWrites]) -> None:
    transport, joined = pair
    joined.write(b"head ")
    joined.write(b"body")
    assert transport.told == []
    await asyncio.sleep(0)
    joined.write(b"next")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert transport.told == [b"head body", b"next"]
    assert joined.get_extra_info("peername") == ("127.0.0.1", 1)


async def test_much_waits_for_no_turn(pair: tuple[Transport, JoinedWrites]) -> None:
    transport, joined = pair
    joined.write(b"head")
    joined.write(b"x" * 100_000)
    assert transport.told == [b"head" + b"x" * 100_000]
    joined.write(b"rest")
    await asyncio.sleep(0)
    assert transport.told[1:] == [b"rest"]


async def test_closing_writes_first_and_aborting_does_not(pair: tuple[Transport, JoinedWrites]) -> None:
    transport, joined = pair
    joined.write(b"last")
    joined.close()
    assert (transport.told, joined.is_closing()) == ([b"last", "close"], True)
    joined.write(b"lost")
    joined.abort()
    await asyncio.sleep(0)
    assert transport.told == [b"last", "close", "abort"]


async def test_who_takes_over_the_transport_finds_everything_written(pair: tuple[Transport, JoinedWrites]) -> None:
    transport, joined = pair
    joined.write(b"100 Continue")
    assert joined.released() is transport
    await asyncio.sleep(0)
    assert transport.told == [b"100 Continue"]
