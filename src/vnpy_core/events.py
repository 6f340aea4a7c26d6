"""The event envelope, the topics, how a subscription matches one, and the one encoding of both."""

from urllib.parse import quote

import msgspec

from vnpy_core.models import FACTS, Alert, Bar, Log, Model, OrderIntent, Tick, now_timestamp

_encoder = msgspec.json.Encoder()


class Event:
    """One thing that happened, encoded once: ``payload`` is the JSON of ``data``, ``frame`` of the whole event.

    ``seq`` is the journal's number for a fact and ``None`` for market data and logs. ``frame`` is meant to be read
    only after a fact has its ``seq``.
    """

    __slots__ = ("_frame", "data", "payload", "seq", "topic", "ts")

    def __init__(self, data: Model, *, ts: str | None = None, topic: str | None = None) -> None:
        self.data = data
        self.topic = topic if topic is not None else topic_of(data)
        self.ts = ts if ts is not None else now_timestamp()
        self.payload: bytes = _encoder.encode(data)
        self.seq: int | None = None
        self._frame: bytes | None = None

    @property
    def is_fact(self) -> bool:
        return isinstance(self.data, FACTS)

    @property
    def is_internal(self) -> bool:
        """Journaled for our own recovery, shown to nobody."""
        return isinstance(self.data, OrderIntent)

    @property
    def frame(self) -> bytes:
        if self._frame is None:
            seq = b"null" if self.seq is None else b"%d" % self.seq
            self._frame = b'{"seq":%b,"topic":%b,"ts":"%b","data":%b}' % (
                seq,
                _encoder.encode(self.topic),
                self.ts.encode(),
                self.payload,
            )
        return self._frame

    def __repr__(self) -> str:
        return f"Event({self.topic!r}, seq={self.seq}, data={self.data!r})"


def topic_token(text: str) -> str:
    """Return ``text`` as one token of a topic: dots, blanks and wildcards are percent-encoded."""
    return quote(text, safe="-_&@+=:,()!$'~") if not text.isalnum() else text


def topic_of(data: Model) -> str:
    if isinstance(data, Tick):
        return f"tick.{topic_token(data.symbol)}.{data.exchange}"
    if isinstance(data, Bar):
        return f"bar.{data.interval}.{topic_token(data.symbol)}.{data.exchange}"
    if isinstance(data, Log) and data.strategy_name is not None:
        return "strategy.log"
    if isinstance(data, Alert) and data.resolved:
        return "alert.resolved"
    return data.topic


def matches(subscription: str, topic: str) -> bool:
    """Tell whether ``topic`` is equal to ``subscription`` or below it, token by token; ``*`` is any one token.

    >>> matches("tick.*.SHFE", "tick.rb2501.SHFE"), matches("order", "order.updated"), matches("ord", "order.updated")
    (True, True, False)
    """
    wanted, given = subscription.split("."), topic.split(".")
    return len(wanted) <= len(given) and all(
        w in ("*", g) for w, g in zip(wanted, given[: len(wanted)], strict=True)
    )


_FACT_BY_TOPIC: dict[str, type[Model]] = {kind.topic: kind for kind in FACTS} | {"alert.resolved": Alert}


def decode_fact(topic: str, payload: bytes) -> Model:
    """Return the fact that ``payload`` encodes; the inverse of ``Event.payload``."""
    return msgspec.json.decode(payload, type=_FACT_BY_TOPIC[topic])
