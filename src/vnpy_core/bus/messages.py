"""What a WebSocket client may say and what it is answered. Events themselves are sent as arrays."""

from typing import Annotated, Any, ClassVar, Protocol, TypeVar

import msgspec

T_co = TypeVar("T_co", covariant=True)

Id = Annotated[
    int | str | None, msgspec.Meta(description="Chosen by the client; the answer carries it", examples=[1])
]
Topics = Annotated[list[str], msgspec.Meta(min_length=1, max_length=1000, examples=[["order", "tick.rb2501"]])]


class Subscribe(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="subscribe"):
    """Send events of ``topics`` from now on.

    ``snapshot``: first the present state, as events. ``since``: first the facts after this ``seq``; if they are gone
    the answer is followed by a ``gap`` message and a snapshot. With both, after the facts the present market data.
    ``throttle_ms``: from now on this session gets of each symbol the latest tick at most so often; 0: every tick. Left
    out, it stays as it is. Facts, bars and log lines are never held back.
    """

    topics: Topics
    id: Id = None
    snapshot: bool = False
    since: Annotated[int, msgspec.Meta(ge=0)] | None = None
    throttle_ms: Annotated[int, msgspec.Meta(ge=0, le=60_000)] | None = None


class Unsubscribe(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="unsubscribe"):
    """Send no more events because of these ``topics``, which were subscribed to exactly so."""

    topics: Topics
    id: Id = None


class Ping(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="ping"):
    id: Id = None


class Ack(msgspec.Struct, frozen=True, tag="ack", omit_defaults=True):
    """``topics``: all that the session is subscribed to now. ``seq``: of the last fact that was published before.

    Without ``since``, the facts that come because of this subscription, and are not of its snapshot, are newer.
    """

    id: Id
    topics: list[str]
    seq: int
    throttle_ms: int = 0


class Pong(msgspec.Struct, frozen=True, tag="pong"):
    """``seq``: the session has been sent everything of its topics up to this fact, so that it may resume from here."""

    id: Id
    ts: str
    seq: int


class Gap(msgspec.Struct, frozen=True, tag="gap"):
    """The facts after ``since`` are gone; the oldest left is ``first_seq``. A snapshot as of ``seq`` follows."""

    id: Id
    since: int
    first_seq: int | None
    seq: int


class Failure(msgspec.Struct, frozen=True, tag="error"):
    id: Id
    code: str
    detail: str


class Refused(Exception):
    """A message that is answered by an error; the session goes on."""

    def __init__(self, code: str, detail: str, id: int | str | None = None) -> None:
        super().__init__(detail)
        self.failure = Failure(id=id, code=code, detail=detail)


Command = Subscribe | Unsubscribe | Ping


class CloseCode:
    """Why the server ends a session (RFC 6455, section 7.4; 4000 and above are ours)."""

    GOING_AWAY: ClassVar[int] = 1001
    INTERNAL: ClassVar[int] = 1011
    TRY_LATER: ClassVar[int] = 1013
    ENDED: ClassVar[int] = 4000
    REVOKED: ClassVar[int] = 4401
    TOO_SLOW: ClassVar[int] = 4008


class _Envelope(msgspec.Struct, frozen=True):
    type: str = ""
    id: int | str | None = None


class _Decoder(Protocol[T_co]):
    def decode(self, data: Any, /) -> T_co: ...


class Reader:
    """Reads commands in one encoding."""

    def __init__(self, language: str, command: _Decoder[Command], envelope: _Decoder[_Envelope]) -> None:
        self._language = language
        self._command = command
        self._envelope = envelope

    def decode(self, data: str | bytes) -> Command:
        """Return the command that ``data`` is.

        Raises:
            Refused: it is none; the failure carries the message's id if there is one.
        """
        try:
            return self._command.decode(data)
        except msgspec.ValidationError as error:
            try:
                envelope = self._envelope.decode(data)
            except msgspec.ValidationError:
                envelope = _Envelope()
            if envelope.type not in ("subscribe", "unsubscribe", "ping"):
                raise Refused(
                    "unknown_type", "'type' is one of subscribe, unsubscribe and ping.", envelope.id
                ) from error
            raise Refused("invalid", f"{error}.", envelope.id) from error
        except msgspec.DecodeError as error:
            raise Refused("malformed", f"Not {self._language}: {error}.") from error


IN_JSON = Reader("JSON", msgspec.json.Decoder(Command), msgspec.json.Decoder(_Envelope))
IN_MSGPACK = Reader("MessagePack", msgspec.msgpack.Decoder(Command), msgspec.msgpack.Decoder(_Envelope))
