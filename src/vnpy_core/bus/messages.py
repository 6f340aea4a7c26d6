"""What a WebSocket client may say and what it is answered. Events themselves are sent as JSON arrays."""

from typing import Annotated, ClassVar

import msgspec

Id = Annotated[
    int | str | None, msgspec.Meta(description="Chosen by the client; the answer carries it", examples=[1])
]
Topics = Annotated[list[str], msgspec.Meta(min_length=1, max_length=1000, examples=[["order", "tick.rb2501"]])]


class Subscribe(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="subscribe"):
    """Send events of ``topics`` from now on.

    ``snapshot``: first the present state, as events. ``since``: first the facts after this ``seq``; if they are gone
    the answer is followed by a ``gap`` message and a snapshot. With both, after the facts the present market data.
    """

    topics: Topics
    id: Id = None
    snapshot: bool = False
    since: Annotated[int, msgspec.Meta(ge=0)] | None = None


class Unsubscribe(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="unsubscribe"):
    """Send no more events because of these ``topics``, which were subscribed to exactly so."""

    topics: Topics
    id: Id = None


class Ping(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="ping"):
    id: Id = None


class Ack(msgspec.Struct, frozen=True, tag="ack"):
    """``topics``: all that the session is subscribed to now."""

    id: Id
    topics: list[str]


class Pong(msgspec.Struct, frozen=True, tag="pong"):
    id: Id
    ts: str


class Gap(msgspec.Struct, frozen=True, tag="gap"):
    """The facts after ``since`` are gone; the oldest that is left is ``first_seq``. A snapshot follows."""

    id: Id
    since: int
    first_seq: int | None


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
    TOO_SLOW: ClassVar[int] = 4008


class _Envelope(msgspec.Struct, frozen=True):
    type: str = ""
    id: int | str | None = None


_decoder = msgspec.json.Decoder(Command)
_envelope = msgspec.json.Decoder(_Envelope)


def decode(text: str) -> Command:
    """Return the command that ``text`` is.

    Raises:
        Refused: it is none; the failure carries the message's id if there is one.
    """
    try:
        command: Command = _decoder.decode(text)
    except msgspec.ValidationError as error:
        try:
            envelope = _envelope.decode(text)
        except msgspec.ValidationError:
            envelope = _Envelope()
        if envelope.type not in ("subscribe", "unsubscribe", "ping"):
            raise Refused(
                "unknown_type", "'type' is one of subscribe, unsubscribe and ping.", envelope.id
            ) from error
        raise Refused("invalid", f"{error}.", envelope.id) from error
    except msgspec.DecodeError as error:
        raise Refused("malformed", f"Not JSON: {error}.") from error
    return command
