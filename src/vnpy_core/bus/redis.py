"""RedisTransport: the bus on Redis Streams, one stream a topic.

Beside the streams a hash tells how far each source has come; the script that adds facts moves it on in the same step.
So a fact is added once, and facts that Redis has lost are noticed.
"""

import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from vnpy_core.data.redis_server import RedisServer
from vnpy_core.errors import Unavailable
from vnpy_core.events import PUBLIC_FACT_TOPICS
from vnpy_core.ports import BusCommand, BusFact, BusMessage

COMMANDS = ("command.order.submit", "command.order.cancel", "command.strategy.start", "command.strategy.stop")
ANSWERS_KEPT = 1_000
ANSWERS_TTL_S = 3_600

# KEYS: the hash, the streams. ARGV: source, the id it has come to as far as we know, how many entries a stream keeps,
# then four for each fact: place of its stream in KEYS, seq, id, event. If it has come further than we know, what is
# there already is passed over; if less far, nothing is done and 0 returned.
_STORE = """
local function seq_of(id) return tonumber(string.match(id, '-(%d+)-') or '0') end
local last = redis.call('HGET', KEYS[1], ARGV[1]) or ''
local at = 0
if last ~= ARGV[2] then
  at = seq_of(last)
  if at < seq_of(ARGV[2]) then return 0 end
end
for i = 4, #ARGV, 4 do
  if tonumber(ARGV[i + 1]) > at then
    last = ARGV[i + 2]
    redis.call('XADD', KEYS[tonumber(ARGV[i])], 'MAXLEN', '~', ARGV[3], '*', 'id', last, 'event', ARGV[i + 3])
  end
end
redis.call('HSET', KEYS[1], ARGV[1], last)
return 1
"""
_BATCH = 500
_TRIM_INTERVAL_S = 60.0
_READ_COMMANDS = 16
_UNANSWERED_COMMANDS = 1_000


class RedisTransport:
    """``max_len`` and ``max_age_s`` bound each stream of facts, ``tick_max_len`` each of market data."""

    kind = "redis"

    def __init__(
        self, server: RedisServer, prefix: str, *, max_age_s: float, max_len: int, tick_max_len: int, timeout_s: float
    ) -> None:
        self.address = server.display_url
        self._server = server
        self._prefix = prefix
        self._max_age_s = max_age_s
        self._max_len = max_len
        self._tick_max_len = tick_max_len
        self._wait_ms = max(1, round(min(1.0, timeout_s / 2) * 1000))
        self._progress = self._key("progress")
        self._known: dict[str, str] = {}
        self._script: Any = None
        self._market_streams: set[str] = set()
        self._trim_at = 0.0

    async def stored(self, source: str) -> str | None:
        async def ask(redis: Redis) -> str:
            found = await redis.execute_command("HGET", self._progress, source)  # type: ignore[no-untyped-call]
            return (found or b"").decode()

        self._known[source] = await self._server.call(ask)
        return self._known[source]

    async def store(self, source: str, facts: Sequence[BusFact]) -> None:
        for start in range(0, len(facts), _BATCH):
            await self._store(source, facts[start : start + _BATCH])
        await self._trim()

    async def _store(self, source: str, facts: Sequence[BusFact]) -> None:
        keys = [self._progress]
        places: dict[str, int] = {}
        arguments: list[Any] = [source, self._known.get(source, ""), self._max_len]
        for fact in facts:
            place = places.get(fact.topic)
            if place is None:
                keys.append(self._key(fact.topic))
                place = places[fact.topic] = len(keys)
            arguments += (place, fact.seq, fact.id, fact.body)

        async def evaluate(redis: Redis) -> bool:
            if self._script is None:
                self._script = redis.register_script(_STORE)
            return bool(await self._script(keys, arguments, client=redis))

        if not await self._server.call(evaluate):
            raise Unavailable(f"Redis at {self.address} has come back with less than it had acknowledged.")
        self._known[source] = facts[-1].id

    async def send(self, messages: Sequence[BusMessage]) -> None:
        async def add(redis: Redis) -> None:
            pipeline = redis.pipeline(transaction=False)
            for message in messages:
                key = self._key(message.topic)
                self._market_streams.add(key)
                pipeline.execute_command("XADD", key, "MAXLEN", "~", self._tick_max_len, "*", "event", message.body)
            await (pipeline.execute() if messages else redis.ping())

        await self._server.call(add)
        await self._trim()

    async def listen(self) -> AsyncGenerator[BusCommand, None]:
        await self._server.call(self._make_groups)
        return self._arrivals()

    async def _arrivals(self) -> AsyncGenerator[BusCommand, None]:
        # First what was given out and not answered: the process before this one may have died over it.
        after = "0"
        while True:
            found = await self._read_commands(after)
            if found is None:
                await self._server.call(self._make_groups)
                continue
            for command in found:
                yield command
            after = ">"

    async def _read_commands(self, after: str) -> list[BusCommand] | None:
        """Return what has come, after a while if nothing has; ``None`` if there is no group to read with."""
        keys = [self._key(topic) for topic in COMMANDS]
        how = ("COUNT", _READ_COMMANDS, "BLOCK", self._wait_ms) if after == ">" else ("COUNT", _UNANSWERED_COMMANDS)

        async def read(redis: Redis) -> Any:
            try:
                return await redis.execute_command(  # type: ignore[no-untyped-call]
                    "XREADGROUP", "GROUP", self._prefix, self._prefix, *how, "STREAMS", *keys, *([after] * len(keys))
                )
            except ResponseError as error:
                if "NOGROUP" in str(error):
                    return None
                raise

        answer = await self._server.call(read)
        if answer is None:
            return None
        return [self._command(key, entry_id, fields or {}) for key, entries in answer for entry_id, fields in entries]

    async def answer(self, command: BusCommand, body: bytes) -> None:
        key, entry_id = command.token

        async def add(redis: Redis) -> None:
            pipeline = redis.pipeline(transaction=True)
            # A stream is the sender's to name, and we may write where the sender may not.
            if command.reply_to.startswith(self._key("reply.")):
                pipeline.execute_command("XADD", command.reply_to, "MAXLEN", "~", ANSWERS_KEPT, "*", "answer", body)
                pipeline.expire(command.reply_to, ANSWERS_TTL_S)
            pipeline.xack(key, self._prefix, entry_id)
            pipeline.xdel(key, entry_id)
            await pipeline.execute()

        await self._server.call(add)

    async def close(self) -> None:
        await self._server.close()

    async def _trim(self) -> None:
        """Remove what is too old, once a minute; streams of symbols that have no more ticks go as a whole."""
        now = time.monotonic()
        if now < self._trim_at:
            return
        self._trim_at = now + _TRIM_INTERVAL_S
        oldest_ms = max(0, round((time.time() - self._max_age_s) * 1000))
        market, self._market_streams = self._market_streams, set()

        async def trim(redis: Redis) -> None:
            pipeline = redis.pipeline(transaction=False)
            for topic in PUBLIC_FACT_TOPICS:
                pipeline.execute_command("XTRIM", self._key(topic), "MINID", "~", oldest_ms)
            for key in market:
                pipeline.expire(key, round(self._max_age_s) + 1)
            await pipeline.execute()

        await self._server.call(trim)

    async def _make_groups(self, redis: Redis) -> None:
        for topic in COMMANDS:
            try:
                # From the beginning of the stream: what is too old says so itself, and is answered so.
                await redis.xgroup_create(self._key(topic), self._prefix, "0", mkstream=True)
            except ResponseError as error:
                if not str(error).startswith("BUSYGROUP"):
                    raise

    def _command(self, key: bytes, entry_id: bytes, fields: Mapping[bytes, bytes]) -> BusCommand:
        return BusCommand(
            topic=key.decode().removeprefix(f"{self._prefix}."),
            body=fields.get(b"body", b""),
            signature=fields.get(b"signature", b"").decode(errors="replace"),
            reply_to=fields.get(b"reply_to", b"").decode(errors="replace"),
            token=(key, entry_id),
        )

    def _key(self, topic: str) -> str:
        return f"{self._prefix}.{topic}"
