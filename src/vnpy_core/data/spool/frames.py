"""Frames: how records lie in a segment of a spool, with what proves that they are whole.

A segment is its head (magic, run, checksum) and then frames. A frame is its head (length of the body, how many records,
checksum of the body, moment of the writing in microseconds, whether the body is packed, checksum of this head) and its
body: the records, with a line break between them. A write that was cut off leaves a part of a frame at the end.
"""

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO
from zlib import compress, crc32, decompress, error

import msgspec

SEGMENT_HEAD = struct.Struct("<8sQI")
_FRAME_HEAD = struct.Struct("<IIIQ?I")
_MAGIC = b"VNSPOOL1"
_CHECK_BYTES = 4
# No record and no clock of ours makes a larger frame: what says so is no head.
_LONGEST = 1 << 28


class Frame(msgspec.Struct, frozen=True, gc=False):
    """A frame's place and what its head says; ``start`` and ``end`` are offsets of the file."""

    start: int
    end: int
    count: int
    checksum: int
    moment: int
    packed: bool


def segment_head(run: int) -> bytes:
    """Return what a segment begins with; ``run`` names the run of the program that writes it."""
    checked = SEGMENT_HEAD.pack(_MAGIC, run, 0)[:-_CHECK_BYTES]
    return checked + crc32(checked).to_bytes(_CHECK_BYTES, "little")


def run_of(head: bytes) -> int | None:
    """Return the run that the segment's head names, or ``None`` if it is not one."""
    if len(head) < SEGMENT_HEAD.size or head[:8] != _MAGIC:
        return None
    _, run, checksum = SEGMENT_HEAD.unpack_from(head)
    return int(run) if checksum == crc32(head[: SEGMENT_HEAD.size - _CHECK_BYTES]) else None


def pack(records: Sequence[bytes], moment: int, *, packed: bool) -> tuple[bytes, bytes]:
    """Return the head and the body of a frame of ``records``, at least one, none of which holds a line break."""
    body = b"\n".join(records)
    if packed:
        body = compress(body, 1)
    checked = _FRAME_HEAD.pack(len(body), len(records), crc32(body), moment, packed, 0)[:-_CHECK_BYTES]
    return checked + crc32(checked).to_bytes(_CHECK_BYTES, "little"), body


def frame_at(head: bytes, start: int) -> Frame | None:
    """Return the frame whose head ``head`` begins with, or ``None`` if that is damaged or too short."""
    if len(head) < _FRAME_HEAD.size:
        return None
    length, count, checksum, moment, packed, check = _FRAME_HEAD.unpack_from(head)
    if check != crc32(head[: _FRAME_HEAD.size - _CHECK_BYTES]) or length > _LONGEST:
        return None
    return Frame(start, start + _FRAME_HEAD.size + length, count, checksum, moment, packed)


def _records_of(frame: Frame, body: memoryview) -> bytes | None:
    if crc32(body) != frame.checksum:
        return None
    try:
        return decompress(body) if frame.packed else bytes(body)
    except error:
        return None


def frames_in(content: bytes, start: int) -> Iterator[tuple[Frame, bytes | None]]:
    """Give the whole frames of a part of the file from ``start`` on, each with its records, or ``None`` if damaged.

    Between the records is a line break. It ends at what is no head, or belongs to a frame that is not whole there.
    """
    offset, view = 0, memoryview(content)
    while (frame := frame_at(content[offset : offset + _FRAME_HEAD.size], start + offset)) is not None:
        until = frame.end - start
        if until > len(content):
            return
        yield frame, _records_of(frame, view[offset + _FRAME_HEAD.size : until])
        offset = until


class Scan(msgspec.Struct):
    """What the heads of a segment say. ``torn``: how many records a write that was cut off at its end would have had.

    ``run`` is ``None``: it is no segment. ``size`` is where it ends, without what was cut off.
    """

    run: int | None = None
    frames: list[Frame] = []
    size: int = 0
    is_cut: bool = False
    torn: int = 0


def scan(path: Path) -> Scan:
    """Read the heads of a segment, not the records; beyond a damaged head nothing is known."""
    with path.open("rb") as file:
        found = Scan(run_of(file.read(SEGMENT_HEAD.size)), size=path.stat().st_size)
        if found.run is not None:
            _scan_frames(file, found)
    return found


def _scan_frames(file: BinaryIO, found: Scan) -> None:
    whole, end = found.size, SEGMENT_HEAD.size
    while end < whole:
        file.seek(end)
        head = file.read(_FRAME_HEAD.size)
        frame = frame_at(head, end)
        if frame is None:
            found.is_cut = len(head) < _FRAME_HEAD.size
            break
        if frame.end > whole:
            found.is_cut, found.torn = True, frame.count
            break
        found.frames.append(frame)
        end = frame.end
    if found.is_cut:
        found.size = end
