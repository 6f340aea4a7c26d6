"""CommandDesk: commands that other services send by the bus, checked, done once, and answered as REST would.

A command is signed over its full topic and its body, so that it is good for nothing else; it is refused when it is old;
and when it comes again it is answered as before, also after a restart. An order goes out under the command's id as its
idempotency key, and as its ``client_order_id`` if it has none of its own: so even a crash between order and answer does
not let it out twice, and one whose outcome was unknown is answered with what has become known.
"""

import asyncio
import hashlib
import hmac
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Protocol, TypeVar

import msgspec
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vnpy_core.config.bus_settings import BusSettings
from vnpy_core.data.journal_file import Latest
from vnpy_core.errors import (
    Conflict,
    CoreError,
    Invalid,
    NotFound,
    OrderRefused,
    OutcomeUnknown,
    Unauthorized,
    Unavailable,
)
from vnpy_core.events import Event, decode_fact
from vnpy_core.models import CommandRecord, KeyUse, Model, OrderIntent, Timestamp, now_timestamp
from vnpy_core.ports import BusCommand
from vnpy_core.routers.order_requests import OrderBody
from vnpy_core.routers.orders import only_gateway, vt_orderid_of
from vnpy_core.routers.problems import FieldError, Problem
from vnpy_core.routers.requests import GatewayName, StrategyName, Text
from vnpy_core.routers.service import Service
from vnpy_core.trading.idempotency import Answer
from vnpy_core.trading.results import SubmitResult

logger = logging.getLogger(__name__)

REMEMBERED = 20_000
_OWNER = "command bus"  # no user has a blank in the name
_ERRORS: Mapping[int, type[CoreError]] = {
    kind.status: kind for kind in (NotFound, OrderRefused, Unavailable, OutcomeUnknown)
}
_WARN_INTERVAL_S = 60.0

B = TypeVar("B", bound=BaseModel)
CommandId = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[A-Za-z0-9._:-]{1,64}$",
        description="Good for one command ever; a second one with it gets the first one's answer",
        examples=["desk-1-000042"],
    ),
]


class CommandEnvelope(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A command. ``ts`` is when it was made; ``data`` is what the topic's name asks for."""

    command_id: CommandId
    ts: Timestamp
    data: msgspec.Raw


class CommandAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """``status`` is what REST answers to the same; with it comes ``data``, or from 400 on ``problem``."""

    command_id: str | None
    status: Annotated[int, msgspec.Meta(examples=[201])]
    data: msgspec.Raw | None = None
    problem: Problem | None = None


class _Status(msgspec.Struct):
    """An answer, as far as it matters whether it is the last word."""

    status: int


class CancelCommand(BaseModel):
    """The order to cancel: its ``vt_orderid``, or its plain orderid and its gateway."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    order_id: Annotated[Text, Field(min_length=1, examples=["SIM.26010500001"])]
    gateway_name: GatewayName | None = None


class StrategyCommand(BaseModel):
    """The strategy that is meant."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    strategy_name: StrategyName


class Commits(Protocol):
    """The pipeline, as far as commands need it."""

    async def commit(self, model: Model) -> Event: ...
    def emit(self, model: Model) -> None: ...


class CommandHistory(Protocol):
    """The journal, as far as commands need it."""

    async def latest(self, kind: str, newest: int) -> Sequence[Latest]: ...


class CommandDesk:
    """Loop only. To be given to ``MessageBus.serve``, after ``restore``."""

    def __init__(self, service: Service, pipeline: Commits, settings: BusSettings) -> None:
        self._service = service
        self._pipeline = pipeline
        self._prefix = settings.prefix
        self._max_age_s = settings.command_max_age_s
        self._secret: bytes | None = None
        if settings.authorization == "secret":
            self._secret = (settings.secret.get_secret_value() if settings.secret else "").encode()
        self._answered: OrderedDict[str, CommandRecord] = OrderedDict()
        self._under_way: dict[str, tuple[str, asyncio.Task[bytes]]] = {}
        self._warn_at = 0.0
        self._handlers: Mapping[str, Callable[[CommandEnvelope], Awaitable[tuple[int, msgspec.Struct]]]] = {
            "command.order.submit": self._submit,
            "command.order.cancel": self._cancel,
            "command.strategy.start": self._start,
            "command.strategy.stop": self._stop,
        }

    async def restore(self, journal: CommandHistory) -> None:
        """Take up what was answered before the restart."""
        for latest in await journal.latest(CommandRecord.topic, REMEMBERED):
            record = decode_fact(latest.record.topic, latest.record.payload)
            if isinstance(record, CommandRecord):
                self._remember(record)

    async def __call__(self, command: BusCommand) -> bytes:
        """Do what the command says, unless it was done before, and return the answer."""
        command_id = None
        try:
            self._authorise(command)
            envelope = _envelope(command.body)
            command_id = envelope.command_id
            digest = hashlib.sha256(command.topic.encode() + b"\n" + command.body).hexdigest()
            if (record := self._answered.get(command_id)) is not None:
                _require_same(command_id, record.digest, digest)
                if not _may_be_known_now(command.topic, record):
                    return record.answer.encode()
            if (running := self._under_way.get(command_id)) is None:
                if record is None:
                    self._require_fresh(envelope)
                task = asyncio.create_task(self._do(command.topic, envelope, digest))
                running = self._under_way[command_id] = digest, task
                task.add_done_callback(lambda _: self._under_way.pop(envelope.command_id, None))
            _require_same(command_id, running[0], digest)
            return await asyncio.shield(running[1])
        except CoreError as error:
            return msgspec.json.encode(_refusal(command_id, error))

    def _authorise(self, command: BusCommand) -> None:
        if self._secret is None:
            return
        expected = sign(self._secret, f"{self._prefix}.{command.topic}", command.body)
        if not hmac.compare_digest(expected.encode(), command.signature.encode()):
            if time.monotonic() >= self._warn_at:
                self._warn_at = time.monotonic() + _WARN_INTERVAL_S
                logger.warning("A %s without a valid signature was refused", command.topic)
            raise Unauthorized("The signature is missing or is not that of this topic and body.")

    def _require_fresh(self, envelope: CommandEnvelope) -> None:
        try:
            moment = datetime.fromisoformat(envelope.ts)
            age_s = (datetime.now(UTC) - moment).total_seconds()
        except (ValueError, TypeError) as error:
            raise _invalid([FieldError(field="ts", message="must be ISO 8601 with an offset")]) from error
        if abs(age_s) > self._max_age_s:
            raise Conflict(
                f"The command is {age_s:.1f} s old, and at most {self._max_age_s:g} s are allowed. Send a new one; if "
                "it was new, see to the clocks.",
                code="command_expired",
            )

    async def _do(self, topic: str, envelope: CommandEnvelope, digest: str) -> bytes:
        lasting = True
        try:
            handler = self._handlers.get(topic)
            if handler is None:
                raise NotFound(f"There is no command {topic!r}.", code="unknown_command")
            status, result = await handler(envelope)
            data = msgspec.Raw(msgspec.json.encode(result))
            answer = CommandAnswer(command_id=envelope.command_id, status=status, data=data)
        except CoreError as error:
            # Unavailable says that nothing was done: it may be tried again under the same id.
            lasting = not isinstance(error, Unavailable)
            answer = _refusal(envelope.command_id, error)
        except Exception:
            logger.exception("Command %s failed", envelope.command_id)
            unexpected = CoreError(
                f"Something went wrong in the service; its log says what, under command id {envelope.command_id}."
            )
            answer = _refusal(envelope.command_id, unexpected)
        body = msgspec.json.encode(answer)
        self._service.access.trail.record(
            actor="bus", credential="bus", address="", action=topic, status=answer.status,
            code=answer.problem.code if answer.problem is not None else None, request_id=envelope.command_id,
            body=bytes(envelope.data),
        )  # fmt: skip
        if lasting:
            await self._record(CommandRecord(
                command_id=envelope.command_id, digest=digest, answer=body.decode(), answered=now_timestamp()
            ))  # fmt: skip
        return body

    async def _record(self, record: CommandRecord) -> None:
        self._remember(record)
        try:
            await self._pipeline.commit(record)
        except Unavailable:
            self._pipeline.emit(record)

    def _remember(self, record: CommandRecord) -> None:
        self._answered[record.command_id] = record
        while len(self._answered) > REMEMBERED:
            self._answered.popitem(last=False)

    async def _submit(self, envelope: CommandEnvelope) -> tuple[int, msgspec.Struct]:
        body = _body(OrderBody, envelope)
        spec = body.spec()
        gateway_name = body.gateway_name or only_gateway(self._service.read_model, spec.vt_symbol)
        client_order_id = body.client_order_id or envelope.command_id
        errors: list[CoreError] = []

        async def send(key: KeyUse) -> Answer:
            try:
                sent = await self._service.orders.submit(spec, gateway_name, client_order_id, key)
            except CoreError as error:
                errors.append(error)
                return _problem_answer(error)
            return Answer(201, msgspec.json.encode(sent))

        def sent_again(intents: Sequence[OrderIntent]) -> Answer:
            result = self._service.orders.result_of(intents[0])
            if isinstance(result, CoreError):
                return _problem_answer(result)
            return Answer(201, msgspec.json.encode(result))

        asked = ("command.order.submit", spec, gateway_name, client_order_id)
        answer = await self._service.idempotency.run(_OWNER, envelope.command_id, asked, send, sent_again)
        if errors:
            raise errors[0]
        if answer.status != 201:
            raise _error_of(answer)
        return 201, msgspec.json.decode(answer.body, type=SubmitResult)

    async def _cancel(self, envelope: CommandEnvelope) -> tuple[int, msgspec.Struct]:
        body = _body(CancelCommand, envelope)
        return 200, await self._service.orders.cancel(vt_orderid_of(body.order_id, body.gateway_name))

    async def _start(self, envelope: CommandEnvelope) -> tuple[int, msgspec.Struct]:
        return 200, await self._service.strategies.start(_body(StrategyCommand, envelope).strategy_name)

    async def _stop(self, envelope: CommandEnvelope) -> tuple[int, msgspec.Struct]:
        return 200, await self._service.strategies.stop(_body(StrategyCommand, envelope).strategy_name)


def _may_be_known_now(topic: str, record: CommandRecord) -> bool:
    """Tell whether the outcome of an order was unknown when it was answered: then its key is asked again."""
    if topic != "command.order.submit":
        return False
    return msgspec.json.decode(record.answer, type=_Status).status == OutcomeUnknown.status


def _problem_answer(error: CoreError) -> Answer:
    """Return what the key keeps of an order that was not sent, or is not known to be."""
    return Answer(error.status, msgspec.json.encode(_refusal(None, error).problem))


def _error_of(answer: Answer) -> CoreError:
    problem = msgspec.json.decode(answer.body, type=Problem)
    kind = _ERRORS.get(answer.status, CoreError)
    return kind(problem.detail, code=problem.code, vt_orderid=problem.vt_orderid, intent_id=problem.intent_id)


def sign(secret: bytes, full_topic: str, body: bytes) -> str:
    """Return the signature of a command: HMAC-SHA256 over topic with prefix, a line feed and body, hexadecimal."""
    return hmac.new(secret, full_topic.encode() + b"\n" + body, hashlib.sha256).hexdigest()


def _envelope(body: bytes) -> CommandEnvelope:
    try:
        return msgspec.json.decode(body, type=CommandEnvelope)
    except msgspec.MsgspecError as error:
        raise Invalid(f"The command is malformed: {error}.") from error
    except UnicodeDecodeError as error:
        raise Invalid("The command is not JSON in UTF-8.") from error


def _body(kind: type[B], envelope: CommandEnvelope) -> B:
    try:
        return kind.model_validate_json(bytes(envelope.data))
    except ValidationError as error:
        problems: Sequence[Any] = error.errors(include_url=False, include_input=False, include_context=False)
        raise _invalid(
            [
                FieldError(
                    field=".".join(("data", *map(str, one["loc"]))),
                    message=str(one["msg"]).removeprefix("Value error, "),
                )
                for one in problems
            ]
        ) from error


def _invalid(errors: list[FieldError]) -> Invalid:
    return Invalid("; ".join(f"{one.field}: {one.message}" for one in errors[:5]), errors=errors)


def _require_same(command_id: str, known: str, digest: str) -> None:
    if known != digest:
        raise Conflict(f"command_id {command_id!r} was used for another command.", code="command_id_reused")


def _refusal(command_id: str | None, error: CoreError) -> CommandAnswer:
    known = {name: value for name, value in error.extra.items() if name in Problem.__struct_fields__}
    problem = Problem(
        type=f"urn:vnpy-core:problem:{error.error_code}",
        title=error.title,
        status=error.status,
        detail=error.detail,
        code=error.error_code,
        request_id=command_id or "",
        **known,
    )
    return CommandAnswer(command_id=command_id, status=error.status, problem=problem)
