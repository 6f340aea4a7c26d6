"""Spool: what was written comes out again, in order, whatever happened in between, and what cannot is counted."""

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vnpy_core.data.spool.frames import SEGMENT_HEAD, scan
from vnpy_core.data.spool.spool import Batch, Position, Spool

RECORD = b'{"symbol":"rb2501","last_price":%d.0}'


def spool(folder: Path, **limits: Any) -> Spool:
    limits = {"max_bytes": 1 << 20, "max_age_s": 3600.0, "segment_bytes": 1 << 16} | limits
    return Spool(folder, **limits)


def opened(folder: Path, position: Position | None = None, **limits: Any) -> Spool:
    made = spool(folder, **limits)
    made.open(position or Position())
    return made


def records(first: int, count: int) -> list[bytes]:
    return [RECORD % number for number in range(first, first + count)]


def taken(batch: Batch | None) -> list[bytes]:
    assert batch is not None
    found = [record for part in batch.parts for record in part.split(b"\n")]
    assert len(found) == batch.count
    return found


def everything(from_spool: Spool, limit: int = 7) -> list[bytes]:
    found: list[bytes] = []
    while (batch := from_spool.take(limit)) is not None:
        found += taken(batch)
        from_spool.done(batch)
    return found


def segments(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.segment"))


def test_records_come_out_as_they_went_in_and_their_files_go(tmp_path: Path) -> None:
    queue = opened(tmp_path, segment_bytes=200)
    for first in range(0, 40, 4):
        queue.append(records(first, 4))
    assert queue.waiting == 40
    assert queue.segments > 5
    assert queue.bytes == sum(path.stat().st_size for path in segments(tmp_path))
    assert everything(queue) == records(0, 40)
    assert (queue.waiting, queue.segments, len(segments(tmp_path))) == (0, 1, 1)
    queue.append(records(40, 1))
    assert everything(queue) == records(40, 1)
    queue.close()


def test_nothing_is_written_anywhere_else_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    queue = opened(tmp_path / "spool")
    queue.append(records(0, 1))
    (segment,) = segments(tmp_path / "spool")
    assert segment.stat().st_mode & 0o077 == 0
    assert list(tmp_path.iterdir()) == [tmp_path / "spool"]
    queue.close()


def test_a_new_run_goes_on_where_the_last_one_was_done(tmp_path: Path) -> None:
    first = opened(tmp_path)
    first.append(records(0, 3))
    first.append(records(3, 3))
    batch = first.take(3)
    assert taken(batch) == records(0, 3)
    assert batch is not None
    # No close: as after kill -9. What was taken and not done comes again.
    again = opened(tmp_path)
    assert (again.waiting, taken(again.take(100))) == (6, records(0, 6))
    second = opened(tmp_path, batch.end)
    assert second.waiting == 3
    second.append(records(6, 2))
    rest = second.take(100)
    new = second.take(100)
    assert rest is not None
    assert new is not None
    assert taken(rest) + taken(new) == records(3, 5)
    assert rest.run == batch.run != new.run
    for each in (first, again, second):
        each.close()


@pytest.mark.parametrize("position", [Position(1, 33), Position(1, 10**9), Position(1, 0), Position(0, 50)])
def test_a_position_that_is_none_starts_from_what_is_there(tmp_path: Path, position: Position) -> None:
    first = opened(tmp_path)
    first.append(records(0, 3))
    first.close()
    second = opened(tmp_path, position)
    assert everything(second) == records(0, 3)
    second.close()


def test_numbers_of_segments_are_not_used_again(tmp_path: Path) -> None:
    first = opened(tmp_path)
    first.append(records(0, 3))
    batch = first.take(10)
    assert batch is not None
    first.close()
    segments(tmp_path)[0].unlink()
    second = opened(tmp_path, batch.end)
    second.append(records(3, 1))
    again = second.take(10)
    assert again is not None
    assert again.end.segment > batch.end.segment
    second.close()


# The end of a write that a crash cut off


@pytest.mark.parametrize("left", [0, 1, 20, 28, 30, 60])
def test_a_write_that_was_cut_off_is_cut_off_whole_and_counted(tmp_path: Path, left: int) -> None:
    first = opened(tmp_path)
    first.append(records(0, 3))
    (segment,) = segments(tmp_path)
    whole = segment.stat().st_size
    first.append(records(3, 5))
    first.close()
    os.truncate(segment, whole + left)
    second = opened(tmp_path)
    # The head of the frame is needed to know how many it was to have.
    assert second.torn == (5 if left >= 28 else 0)
    assert segment.stat().st_size == whole
    second.append(records(8, 2))
    assert everything(second) == records(0, 3) + records(8, 2)
    assert (second.damaged, second.quarantine.segments()) == (0, [])
    second.close()


@pytest.mark.parametrize("left", [0, 7, SEGMENT_HEAD.size, SEGMENT_HEAD.size + 40])
def test_a_segment_without_a_whole_frame_goes(tmp_path: Path, left: int) -> None:
    first = opened(tmp_path)
    first.append(records(0, 5))
    first.close()
    os.truncate(segments(tmp_path)[0], left)
    second = opened(tmp_path)
    assert (everything(second), segments(tmp_path), second.quarantine.segments()) == ([], [], [])
    assert second.torn == (5 if left > SEGMENT_HEAD.size else 0)
    second.close()


# Damage


def damaged(folder: Path, place: Callable[[int], int]) -> tuple[Path, Spool]:
    """Return the damaged one of three segments, of which each has three frames of four records, and the spool."""
    first = opened(folder, segment_bytes=580)
    for start in range(0, 36, 4):
        first.append(records(start, 4))
    first.close()
    segment = segments(folder)[1]
    assert len(segments(folder)) == 3
    content = bytearray(segment.read_bytes())
    content[place(len(content))] ^= 1
    segment.write_bytes(content)
    return segment, opened(folder)


def test_a_damaged_record_costs_its_frame_and_its_segment_is_put_aside(tmp_path: Path) -> None:
    segment, queue = damaged(tmp_path, lambda size: size // 2)
    content = segment.read_bytes()
    assert everything(queue) == records(0, 16) + records(20, 16)
    (aside,) = queue.quarantine.segments()
    assert aside.read_bytes() == content
    assert (queue.damaged, segments(tmp_path), queue.waiting) == (4, [], 0)
    queue.close()


def test_behind_a_damaged_head_nothing_can_be_read_but_the_other_segments_can(tmp_path: Path) -> None:
    _, queue = damaged(tmp_path, lambda size: SEGMENT_HEAD.size + (size - SEGMENT_HEAD.size) // 3 + 1)
    assert everything(queue) == records(0, 16) + records(24, 12)
    assert len(queue.quarantine.segments()) == 1
    queue.close()


def test_what_is_no_segment_is_put_aside(tmp_path: Path) -> None:
    _, queue = damaged(tmp_path, lambda size: 3)
    assert everything(queue) == records(0, 12) + records(24, 12)
    assert len(queue.quarantine.segments()) == 1
    queue.close()


def test_a_segment_that_is_damaged_while_it_is_written_is_ended(tmp_path: Path) -> None:
    queue = opened(tmp_path)
    queue.append(records(0, 3))
    queue.append(records(3, 3))
    (segment,) = segments(tmp_path)
    content = segment.read_bytes()
    segment.write_bytes(content[:30] + bytes([content[30] ^ 1]) + content[31:])
    assert everything(queue) == []
    queue.append(records(6, 3))
    assert everything(queue) == records(6, 3)
    assert (queue.damaged, len(queue.quarantine.segments())) == (6, 1)
    queue.close()


def test_a_segment_that_somebody_removed_is_counted(tmp_path: Path) -> None:
    queue = opened(tmp_path, segment_bytes=200)
    for first in range(0, 12, 4):
        queue.append(records(first, 4))
    segments(tmp_path)[1].unlink()
    assert everything(queue) == records(0, 4) + records(8, 4)
    assert (queue.damaged, queue.waiting) == (4, 0)
    queue.close()


def test_quarantine_keeps_the_newest_within_its_limit(tmp_path: Path) -> None:
    queue = opened(tmp_path / "spool", max_bytes=1000)
    for number in range(4):
        segment = tmp_path / f"{number:012}.segment"
        segment.write_bytes(bytes(400))
        queue.quarantine.move(segment)
    assert [path.stem[-1] for path in queue.quarantine.segments()] == ["2", "3"]


def test_refused_records_are_kept_with_the_reason_within_the_limit(tmp_path: Path) -> None:
    queue = opened(tmp_path, max_bytes=80_000)
    for number in range(1000):
        queue.quarantine.refuse(RECORD % number, "no such symbol")
    kept = sorted((tmp_path / "quarantine").iterdir())
    assert [path.name for path in kept] == ["refused-earlier.jsonl", "refused.jsonl"]
    assert '"last_price\\":999.0}' in kept[1].read_text()
    assert "no such symbol" in kept[1].read_text()
    assert sum(path.stat().st_size for path in kept) <= 20_000


# Limits


def test_beyond_the_size_the_oldest_segments_are_dropped_and_counted(tmp_path: Path) -> None:
    queue = opened(tmp_path, max_bytes=2000, segment_bytes=500)
    written = 0
    while queue.dropped == 0:
        queue.append(records(written, 4))
        written += 4
        assert sum(path.stat().st_size for path in segments(tmp_path)) <= 2000
    assert queue.bytes > 1000
    left = everything(queue)
    assert left == records(queue.dropped, written - queue.dropped)
    queue.close()


def test_what_was_taken_of_a_dropped_segment_does_not_count(tmp_path: Path) -> None:
    queue = opened(tmp_path, max_bytes=2000, segment_bytes=500)
    queue.append(records(0, 4))
    queue.append(records(4, 4))
    found = taken(queue.take(4))
    written = 8
    while len(segments(tmp_path)) > 1 or queue.dropped == 0:
        queue.append(records(written, 4))
        written += 4
        if queue.dropped:
            break
    found += everything(queue)
    assert len(found) + queue.dropped == written
    queue.close()


def test_what_is_too_old_is_dropped_and_counted(tmp_path: Path) -> None:
    now = [1_000_000.0]
    queue = Spool(tmp_path, max_bytes=1 << 20, max_age_s=100, segment_bytes=1 << 16, clock=lambda: now[0])
    queue.open(Position())
    for _ in range(10):
        queue.append(records(0, 2))
        now[0] += 9
    queue.expire()
    assert queue.dropped == 0
    assert queue.segments > 3
    now[0] += 60
    queue.expire()
    assert 0 < queue.dropped < 20
    assert len(everything(queue)) == 20 - queue.dropped
    queue.close()


def test_what_waits_long_takes_little_room(tmp_path: Path) -> None:
    queue = opened(tmp_path, segment_bytes=10_000)
    written = 0
    while queue.segments < 6:
        queue.append(records(written, 100))
        written += 100
    first, *_, packed, _ = segments(tmp_path)
    assert packed.read_bytes().count(b"rb2501") < first.read_bytes().count(b"rb2501")
    assert everything(queue) == records(0, written)
    queue.close()


# Whatever happens

OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(1, 5)),
        st.tuples(st.just("take"), st.integers(1, 9)),
        st.tuples(st.just("crash"), st.just(0)),
        st.tuples(st.just("forget"), st.just(0)),
        st.tuples(st.just("cut"), st.integers(0, 150)),
    ),
    max_size=40,
)


class Life:
    """A spool that is written, read, killed and cut, and the list that it is to be like."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.number = 0
        self.lost: set[bytes] = set()
        self.found: list[bytes] = []
        self.position = Position()
        self.queue = opened(folder, segment_bytes=300)

    def append(self, count: int) -> None:
        self.queue.append(records(self.number, count))
        self.number += count

    def take(self, limit: int) -> None:
        batch = self.queue.take(limit)
        if batch is not None:
            self.found += taken(batch)
            self.position = batch.end
            self.queue.done(batch)

    def crash(self, _: int = 0) -> None:
        self.queue.close()
        self.queue = opened(self.folder, self.position, segment_bytes=300)

    def forget(self, _: int) -> None:
        """Lose the position with the life."""
        self.position = Position()
        self.crash()

    def cut(self, left: int) -> None:
        """Die in a write of which ``left`` bytes are done."""
        before = {path: path.stat().st_size for path in segments(self.folder)}
        self.append(3)
        for path in segments(self.folder):
            size = before.get(path, 0)
            if path.stat().st_size > size + left:
                os.truncate(path, size + left)
                self.lost |= set(records(self.number - 3, 3))
        self.crash()


@given(OPERATIONS)
def test_each_record_comes_out_at_least_once_and_in_order(operations: list[tuple[str, int]]) -> None:
    with TemporaryDirectory() as folder:
        life = Life(Path(folder))
        for name, argument in operations:
            getattr(life, name)(argument)
        for _ in range(len(operations) * 5 + 1):
            life.take(9)
        assert life.queue.waiting == 0
        life.queue.close()
    first_seen = list(dict.fromkeys(life.found))
    wanted = [record for record in records(0, life.number) if record not in life.lost]
    assert first_seen == wanted
    assert (life.queue.dropped, life.queue.damaged, life.queue.quarantine.segments()) == (0, 0, [])


@given(st.integers(0, 5000), st.integers(0, 7))
def test_whatever_bit_is_turned_nothing_false_comes_out(place: int, bit: int) -> None:
    with TemporaryDirectory() as folder:
        first = opened(Path(folder), segment_bytes=700)
        for start in range(0, 80, 4):
            first.append(records(start, 4))
        first.close()
        whole = b"".join(path.read_bytes() for path in segments(Path(folder)))
        place %= len(whole)
        for path in segments(Path(folder)):
            size = path.stat().st_size
            if place < size:
                in_it = sum(frame.count for frame in scan(path).frames)
                content = bytearray(path.read_bytes())
                content[place] ^= 1 << bit
                path.write_bytes(content)
                break
            place -= size
        second = opened(Path(folder))
        found = everything(second)
        second.close()
        assert second.torn or len(second.quarantine.segments()) == 1
    assert found == [record for record in records(0, 80) if record in found]
    assert len(found) >= 80 - in_it


def test_what_is_handed_over_counts_until_it_is_done(tmp_path: Path) -> None:
    now = [1000.0]
    queue = Spool(tmp_path, max_bytes=1 << 20, max_age_s=100, segment_bytes=1 << 16, clock=lambda: now[0])
    queue.open(Position())
    for _ in range(3):
        now[0] += 1
        queue.append(records(0, 4))
    seen = [(queue.waiting, queue.handed, queue.oldest)]
    while (batch := queue.take(4)) is not None:
        seen.append((queue.waiting, queue.handed, queue.oldest))
        queue.done(batch)
        seen.append((queue.waiting, queue.handed, queue.oldest))
    first, second = 1_001_000_000, 1_002_000_000
    assert seen[:4] == [(12, 0, first), (8, 4, first), (8, 0, first), (4, 4, first)]
    assert seen[4][2] == second
    assert seen[-1] == (0, 0, 0)
    queue.close()


def test_it_is_written_and_read_at_the_same_time(tmp_path: Path) -> None:
    queue = opened(tmp_path, max_bytes=1 << 24, segment_bytes=4000)
    ended = threading.Event()

    def write() -> None:
        for first in range(0, 20_000, 10):
            queue.append(records(first, 10))
        ended.set()

    writer = threading.Thread(target=write)
    writer.start()
    found: list[bytes] = []
    while not ended.is_set() or queue.waiting:
        found += everything(queue, 50)
    writer.join()
    found += everything(queue)
    assert found == records(0, 20_000)
    queue.close()


# A disk that is full


@pytest.fixture
def full_after(tmp_path: Path) -> Iterator[Callable[[int], None]]:
    """Let a file of this process grow to a size and no further, which fails as a full disk does."""
    resource = pytest.importorskip("resource")
    import signal

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


def test_a_write_that_fails_half_way_leaves_no_trace(tmp_path: Path, full_after: Callable[[int], None]) -> None:
    queue = opened(tmp_path)
    queue.append(records(0, 3))
    (segment,) = segments(tmp_path)
    size = segment.stat().st_size
    full_after(size + 50)
    with pytest.raises(OSError, match="large"):
        queue.append(records(3, 3))
    assert (segment.stat().st_size, queue.waiting) == (size, 3)
    full_after(1 << 30)
    queue.append(records(3, 3))
    assert everything(queue) == records(0, 6)
    queue.close()
    shutil.rmtree(tmp_path)
