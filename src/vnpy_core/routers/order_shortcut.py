"""OrderShortcut: takes an order that is written plainly past the framework, which is half of what a POST costs.

It takes nothing that the route would refuse or understand otherwise: whatever is not plain goes to the route, which
answers it. Both end in the same ``submit``.
"""

import math
import re
from typing import Annotated

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vnpy_core.enums import Direction, Exchange, Offset, OrderType
from vnpy_core.errors import CoreError
from vnpy_core.models import OrderSpec
from vnpy_core.routers.idempotency import KEY_PATTERN
from vnpy_core.routers.orders import submit
from vnpy_core.routers.problems import id_of, problem_of
from vnpy_core.routers.service import Service

_MAX_BYTES = 4096
_KEY = re.compile(KEY_PATTERN.removeprefix("^").removesuffix("$").encode())

_Name = Annotated[str, msgspec.Meta(pattern=r"\A[^\x00-\x1f\x7f]{1,64}\Z")]


class PlainOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The fields of ``OrderBody``, each in the one form that needs no translation."""

    symbol: _Name
    exchange: Exchange
    direction: Direction
    type: OrderType
    price: float
    volume: Annotated[float, msgspec.Meta(gt=0)]
    offset: Offset = Offset.NONE
    gateway_name: _Name | None = None
    reference: Annotated[str, msgspec.Meta(max_length=128)] = ""
    client_order_id: Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9._:-]{1,64}\Z")] | None = None

    def spec(self) -> OrderSpec:
        return OrderSpec(
            symbol=self.symbol, exchange=self.exchange, direction=self.direction, type=self.type, volume=self.volume,
            price=self.price, offset=self.offset, reference=self.reference,
        )  # fmt: skip


_decoder = msgspec.json.Decoder(PlainOrder)


def plain_order(body: bytes) -> PlainOrder | None:
    """Return the order in ``body``, or ``None`` for anything that the route should look at."""
    try:
        order = _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    is_plain = order.direction is not Direction.NET and math.isfinite(order.price) and math.isfinite(order.volume)
    return order if is_plain else None


class OrderShortcut:
    """Middleware, the innermost: whatever decides who may ask stands before it."""

    def __init__(self, app: ASGIApp, service: Service, path: str) -> None:
        self._app = app
        self._service = service
        self._path = path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != self._path or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        is_short, key = _read_headers(scope)
        if not is_short or scope["query_string"]:
            await self._app(scope, receive, send)
            return
        first = await receive()
        order = None if first.get("more_body", True) else plain_order(first.get("body", b""))
        if order is None:
            await self._app(scope, _beginning_with(first, receive), send)
            return
        try:
            response = await submit(
                self._service, scope, order.spec(), order.gateway_name, order.client_order_id, key
            )
        except CoreError as error:
            response = problem_of(id_of(scope), error)
        await response(scope, receive, send)


def _read_headers(scope: Scope) -> tuple[bool, str | None]:
    """Tell whether the body is JSON and short, and every header as it should be; and return the ``Idempotency-Key``."""
    length, is_json, keys = _MAX_BYTES + 1, False, []
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            length = int(value)
        elif name == b"content-type":
            is_json = value == b"application/json"
        elif name == b"idempotency-key":
            keys.append(value)
    if length > _MAX_BYTES or not is_json or len(keys) > 1 or not all(map(_KEY.fullmatch, keys)):
        return False, None
    return True, keys[0].decode() if keys else None


def _beginning_with(first: Message, receive: Receive) -> Receive:
    """Return ``receive`` with ``first`` before what it has still to come."""
    waiting = [first]

    async def receive_again() -> Message:
        return waiting.pop() if waiting else await receive()

    return receive_again
