"""IdempotencyKeys: what came with a key is done once and answered the same again, also after a restart.

The use of a key is on disk before the intents of its request, so a key whose request may have had an effect is known
after any crash. What it was answered follows when it is known; if a crash comes between, the answer is made anew from
what became of the intents. A request of which that is not known is answered so until it is, and never done again.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol

import msgspec

from vnpy_core.data.journal_file import Latest
from vnpy_core.errors import Conflict, Unavailable
from vnpy_core.events import decode_fact
from vnpy_core.models import KeyUse, Model, OrderIntent, now_timestamp, to_timestamp
from vnpy_core.trading.event_thread import retrieve
from vnpy_core.trading.intents import IntentBook

# A body has about 1 kB: those of older keys are read from the journal.
BODIES_KEPT = 20_000
KEYS_RESTORED = 200_000

NOT_SENT = 503


class Answer(msgspec.Struct, frozen=True):
    """What a request is answered; ``replayed``: it was answered so before."""

    status: int
    body: bytes
    replayed: bool = False


Do = Callable[[KeyUse], Awaitable[Answer]]
Again = Callable[[Sequence[OrderIntent]], Answer]


class Commits(Protocol):
    """The pipeline, as far as keys need it."""

    async def commit_all(self, models: Sequence[Model]) -> None: ...
    def emit(self, model: Model) -> None: ...


class KeyHistory(Protocol):
    """The journal, as far as keys need it."""

    async def latest(self, kind: str, newest: int) -> Sequence[Latest]: ...
    async def find(self, kind: str, key: str) -> Latest | None: ...


class _Entry:
    """One key. ``task`` while its request is under way; ``use`` without its body if that is in the journal alone."""

    __slots__ = ("answer", "task", "use")

    def __init__(self, use: KeyUse) -> None:
        self.use = use
        self.answer: Answer | None = None
        self.task: asyncio.Task[Answer] | None = None


class IdempotencyKeys:
    """Loop only. ``restore`` first, once the intents of the journal are in the book."""

    def __init__(
        self,
        pipeline: Commits,
        journal: KeyHistory,
        book: IntentBook,
        *,
        keep: timedelta = timedelta(hours=24),
        bodies_kept: int = BODIES_KEPT,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._pipeline = pipeline
        self._journal = journal
        self._book = book
        self._keep = keep
        self._bodies_kept = bodies_kept
        self._clock = clock
        self._entries: dict[str, _Entry] = {}  # in the order in which they were used
        self._with_body: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self._entries)

    async def restore(self, intents: Iterable[OrderIntent]) -> None:
        """Take up the keys that were used before the restart; ``intents``: the latest state of each, as restored."""
        known = {intent.intent_id: intent for intent in intents}
        since = to_timestamp(self._clock() - self._keep)
        for latest in await self._journal.latest(KeyUse.topic, KEYS_RESTORED):
            use = decode_fact(latest.record.topic, latest.record.payload)
            if not isinstance(use, KeyUse) or use.status == NOT_SENT or (use.is_final and use.used < since):
                continue
            brought_about = [known[intent_id] for intent_id in use.intent_ids if intent_id in known]
            if not use.is_final and all(  # also if there is none: then nothing can have been sent
                intent.outcome == "NOT_SENT" for intent in brought_about
            ):
                self._pipeline.emit(msgspec.structs.replace(use, status=NOT_SENT))
                continue
            entry = self._entries[use.key] = _Entry(use)
            if use.is_final:
                self._keep_answer(entry, Answer(use.status or 0, (use.body or "").encode()))
            else:
                self._book.follow(use.key, brought_about)

    async def run(self, owner: str, key: str, request: object, do: Do, again: Again) -> Answer:
        """Return what ``do`` answers, or what it answered when the same ``owner`` used ``key`` before.

        ``request`` is what was asked for, by which another one with the same key is told. ``do`` is given what it must
        journal with its intents, and goes on to its end even if the caller is cancelled; who asks again meanwhile
        waits for it. ``again`` makes the answer to intents whose outcomes have become known since.

        Raises:
            Conflict: the key was used for another request (``idempotency_key_reused``).
        """
        self._forget_old()
        use = KeyUse(owner=owner, idempotency_key=key, digest=_digest(request), used=now_timestamp())
        entry = self._entries.get(use.key)
        if entry is None:
            entry = self._entries[use.key] = _Entry(use)
            entry.task = asyncio.create_task(self._do(entry, do))
            entry.task.add_done_callback(retrieve)
            return await asyncio.shield(entry.task)
        if entry.use.digest != use.digest:
            raise Conflict(
                f"Idempotency-Key {key!r} was used for another request. Take a new key for each order, and the same "
                "one only to repeat the same request.",
                code="idempotency_key_reused",
            )
        if entry.task is not None:
            answer = await asyncio.shield(entry.task)
        else:
            answer = await self._repeated(entry, again)
        return msgspec.structs.replace(answer, replayed=True)

    async def _do(self, entry: _Entry, do: Do) -> Answer:
        try:
            answer = await do(entry.use)
        except BaseException:
            # Nobody foresaw it. If there are intents the key stays used, and their outcomes tell the rest.
            if not self._book.followed(entry.use.key):
                self._entries.pop(entry.use.key, None)
            raise
        finally:
            entry.task = None
        await self._answered(entry, answer)
        return answer

    async def _repeated(self, entry: _Entry, again: Again) -> Answer:
        if entry.use.is_final:
            return entry.answer or await self._from_journal(entry)
        intents = self._book.followed(entry.use.key)
        answer = again(intents)
        if _is_unresolved(intents):
            return entry.answer or answer
        await self._answered(entry, answer)
        return answer

    async def _answered(self, entry: _Entry, answer: Answer) -> None:
        """Remember what was answered, if that is the last word."""
        key = entry.use.key
        intents = self._book.followed(key)
        if answer.status != NOT_SENT and _is_unresolved(intents):
            entry.answer = answer
            return
        self._book.unfollow(key)
        final = msgspec.structs.replace(
            entry.use,
            intent_ids=[intent.intent_id for intent in intents],
            status=answer.status,
            body=answer.body.decode() if answer.status != NOT_SENT else None,
        )
        if answer.status == NOT_SENT:
            self._entries.pop(key, None)
        else:
            self._keep_answer(entry, answer)
        if intents:
            # Not waited for: without it a restart makes the answer from the intents, which are on disk.
            self._pipeline.emit(final)
        elif answer.status != NOT_SENT:
            try:
                await self._pipeline.commit_all([final])
            except Unavailable:
                self._pipeline.emit(final)

    async def _from_journal(self, entry: _Entry) -> Answer:
        latest = await self._journal.find(KeyUse.topic, entry.use.key)
        use = decode_fact(latest.record.topic, latest.record.payload) if latest is not None else None
        if not isinstance(use, KeyUse) or use.status is None:
            raise Conflict("The request was done; its answer is not kept any more.", code="idempotency_key_used")
        return Answer(use.status, (use.body or "").encode())

    def _keep_answer(self, entry: _Entry, answer: Answer) -> None:
        entry.answer = answer
        entry.use = msgspec.structs.replace(entry.use, status=answer.status, body=None)
        self._with_body[entry.use.key] = None
        if len(self._with_body) > self._bodies_kept:
            oldest = next(iter(self._with_body))
            del self._with_body[oldest]
            if oldest in self._entries:
                self._entries[oldest].answer = None

    def _forget_old(self) -> None:
        since = to_timestamp(self._clock() - self._keep)
        for _ in range(len(self._entries)):
            key, entry = next(iter(self._entries.items()))
            if entry.use.used >= since:
                return
            del self._entries[key]
            if entry.use.is_final:
                self._with_body.pop(key, None)
            else:
                self._entries[key] = entry  # until it is resolved


def _is_unresolved(intents: Sequence[OrderIntent]) -> bool:
    return any(intent.outcome in (None, "UNKNOWN") for intent in intents)


def _digest(request: object) -> str:
    return hashlib.sha256(msgspec.json.encode(request)).hexdigest()
