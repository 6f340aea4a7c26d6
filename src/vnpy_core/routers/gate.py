"""AccessGate: the middleware that every request passes before anything else is done for it.

It looks at where the request was meant to go and what page it came from, finds out who asks, and whether that may be
done and how often. Who asks is then ``scope["vnpy_core.identity"]``.
"""

import ipaddress
import re
import time
from collections.abc import Iterable
from urllib.parse import parse_qs

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vnpy_core.errors import CoreError, Forbidden, TooManyRequests, Unauthorized
from vnpy_core.routers.problems import AllowedMethods, headers_of, id_of, respond
from vnpy_core.routers.rules import Rule, Rules
from vnpy_core.security.access import AccessControl
from vnpy_core.security.audit import field_of
from vnpy_core.security.identity import Identity, acting
from vnpy_core.security.throttle import Bucket, Buckets

# Of a body, for the audit log; what is longer is not looked at.
_MAX_BODY = 64 << 10
_MAX_HOSTS = 256
_PREFLIGHT_HEADERS = {
    "Access-Control-Allow-Methods": "GET, POST, PUT, PATCH, DELETE",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Idempotency-Key, X-Request-ID",
    "Access-Control-Max-Age": "600",
    "Vary": "Origin",
}
_HOST = re.compile(rb"([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")
_LOCAL_NAMES = frozenset({"localhost"})


class AccessGate:
    """Stands below ``RequestContext``, which bounds what comes in, and above everything that could give an answer."""

    def __init__(self, app: ASGIApp, access: AccessControl, allowed: AllowedMethods) -> None:
        self._app = app
        self._allowed = allowed
        self._access = access
        self._authenticator = access.authenticator
        self._rules = Rules()
        settings = access.settings
        self._names = _LOCAL_NAMES | {name.lower() for name in settings.allowed_hosts}
        self._origins = frozenset(origin.lower().rstrip("/").encode() for origin in settings.cors_origins)
        self._good_hosts: set[bytes] = set()
        per_minute = settings.logins_per_minute
        self._logins = Buckets(lambda: [Bucket(per_minute / 60, per_minute)])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind == "lifespan":
            await self._app(scope, receive, send)
            return
        authorization = host = origin = None
        for name, value in scope["headers"]:
            if name == b"authorization":
                # Two of them must not mean one thing here and another to somebody else.
                authorization = value if authorization is None else b""
            elif name == b"host":
                host = value
            elif name == b"origin":
                origin = value
        method = scope["method"] if kind == "http" else "GET"
        rule = self._rules.of(method, scope["path"])
        foreign = False
        try:
            # Whether it lives must be told by any name: whoever probes may know it by none of ours.
            if host not in self._good_hosts and not scope["path"].startswith("/health/"):
                self._require_host(host)
            if origin is not None:
                foreign = self._require_origin(origin, host, scope["scheme"])
                if foreign and method == "OPTIONS" and kind == "http":
                    await _preflight(origin)(scope, receive, send)
                    return
            identity = self._recognise(authorization)
            if identity is None:
                identity = await self._identify(scope, authorization, rule)
            scope["vnpy_core.identity"] = identity
            acting.set(identity.username if identity is not None else "")
            self._require(scope, identity, rule)
        except CoreError as error:
            await self._refuse(error, rule, scope, receive, send, origin if foreign else None)
            return
        if foreign and origin is not None:
            send = _with_origin(send, origin)
        if rule is not None and rule.audited and kind == "http":
            await self._audited(identity, scope, receive, send)
        else:
            await self._app(scope, receive, send)

    # -- who asks

    def _recognise(self, authorization: bytes | None) -> Identity | None:
        if authorization is None or self._authenticator.anybody is not None:
            return self._authenticator.anybody
        return self._authenticator.recognise(authorization)

    async def _identify(self, scope: Scope, authorization: bytes | None, rule: Rule | None) -> Identity | None:
        """Return who asks; where nobody needs to be known, ``None`` if nobody is.

        Raises:
            Unauthorized: nobody that is known.
        """
        is_open = rule is not None and rule.open
        if is_open and authorization is None:
            return None
        try:
            if authorization is not None:
                return await self._authenticator.identify(authorization)
            if scope["type"] == "websocket" and (ticket := _ticket(scope["query_string"])) is not None:
                return self._authenticator.redeem(ticket)
            raise Unauthorized("Say who asks: `Authorization: Bearer` and an access token or an API key.")
        except CoreError:
            if is_open:
                return None
            raise

    def _require(self, scope: Scope, identity: Identity | None, rule: Rule | None) -> None:
        """Raises: Forbidden, TooManyRequests."""
        if identity is not None and identity.networks and not identity.may_come_from(_address(scope)):
            raise Forbidden("This API key may not be used from here.", code="address_not_allowed")
        if rule is None:
            if scope["type"] != "http" or scope["method"] in self._allowed.at(scope["path"]):
                raise Forbidden("Nobody may do this: no rule says who.", code="missing_scope")
            # No such route, or none that this method goes with: the application says which.
            return
        if rule.scopes and (identity is None or identity.scopes.isdisjoint(rule.scopes)):
            raise Forbidden(f"This takes the scope {' or '.join(sorted(rule.scopes))}.", code="missing_scope")
        if rule.login:
            wait_s = self._logins.of(_address(scope))[0].take(time.monotonic())
        elif identity is not None:
            wait_s = identity.limits[rule.limit].take(time.monotonic())
        else:
            return
        if wait_s:
            raise TooManyRequests(f"Too many {rule.limit.name.lower()}: slow down.", retry_after_s=wait_s)

    # -- from where

    def _require_host(self, host: bytes | None) -> None:
        """Raises: Forbidden for a name that is not ours: a page elsewhere may have made it mean this machine."""
        if host is None:
            return
        parts = _HOST.fullmatch(host.lower())
        name = parts[1].decode().strip("[]") if parts is not None else ""
        if name not in self._names and not _is_address(name):
            raise Forbidden(
                "It is not known by this name. security.allowed_hosts lists those it is.", code="unknown_host"
            )
        if len(self._good_hosts) < _MAX_HOSTS:
            self._good_hosts.add(host)

    def _require_origin(self, origin: bytes, host: bytes | None, scheme: str) -> bool:
        """Return whether the page that asks is another site's, which is allowed.

        Raises:
            Forbidden: it is not allowed.
        """
        scheme = {"ws": "http", "wss": "https"}.get(scheme, scheme)
        if origin == b"%b://%b" % (scheme.encode(), host or b""):
            return False
        if origin.lower() in self._origins:
            return True
        raise Forbidden(
            "This was asked by a page of another site. security.cors_origins lists those that may.",
            code="origin_not_allowed",
        )

    # -- what is answered, and written down

    async def _refuse(
        self, error: CoreError, rule: Rule | None, scope: Scope, receive: Receive, send: Send, origin: bytes | None
    ) -> None:
        response = _problem(error, scope)
        if scope["type"] == "websocket":
            if "websocket.http.response" not in scope.get("extensions", {}):
                await send({"type": "websocket.close", "code": 4403 if error.status == 403 else 4401})
                return
        elif rule is not None and rule.audited and error.status == 403:
            identity = scope.get("vnpy_core.identity")
            self._write_down(identity, scope, b"", 403, error.error_code)
        if origin is not None:
            send = _with_origin(send, origin)
        await response(scope, receive, send)

    async def _audited(self, identity: Identity | None, scope: Scope, receive: Receive, send: Send) -> None:
        body: list[bytes] = []
        refusal = b""
        size = status = 0

        async def receive_noted() -> Message:
            nonlocal size
            message = await receive()
            if part := message.get("body"):
                size += len(part)
                if size <= _MAX_BODY:
                    body.append(part)
            return message

        async def send_noted(message: Message) -> None:
            nonlocal status, refusal
            if message["type"] == "http.response.start":
                status = message["status"]
            elif status >= 400 and not refusal:
                refusal = message.get("body", b"")
            await send(message)

        try:
            await self._app(scope, receive_noted, send_noted)
        finally:
            code = field_of(refusal, "code") if refusal else None
            self._write_down(identity, scope, b"".join(body) if size <= _MAX_BODY else b"", status, code or None)

    def _write_down(
        self, identity: Identity | None, scope: Scope, body: bytes, status: int, code: str | None
    ) -> None:
        self._access.trail.record(
            actor=identity.username if identity is not None else field_of(body, "username"),
            credential=identity.credential if identity is not None else "",
            address=_address(scope),
            action=f"{scope['method']} {scope['path']}",
            status=status,
            code=code,
            request_id=id_of(scope),
            body=body,
        )


def identity_of(scope: Scope) -> Identity:
    """Return who asks. Only behind a rule that asks."""
    identity = scope["vnpy_core.identity"]
    if not isinstance(identity, Identity):
        raise Unauthorized("Say who asks.")
    return identity


def _problem(error: CoreError, scope: Scope) -> Response:
    return respond(
        id_of(scope), error.status, error.error_code, error.title, error.detail, headers=headers_of(error)
    )


def _preflight(origin: bytes) -> Response:
    return Response(
        status_code=204, headers={"Access-Control-Allow-Origin": origin.decode("latin-1"), **_PREFLIGHT_HEADERS}
    )


def _with_origin(send: Send, origin: bytes) -> Send:
    """Return ``send`` with what lets the page of an allowed site read the answer."""
    extra: Iterable[tuple[bytes, bytes]] = (
        (b"access-control-allow-origin", origin),
        (b"access-control-expose-headers", b"X-Request-ID, Retry-After"),
        (b"vary", b"Origin"),
    )

    async def send_with_origin(message: Message) -> None:
        if message["type"] in ("http.response.start", "websocket.http.response.start"):
            message["headers"] = [*message["headers"], *extra]
        await send(message)

    return send_with_origin


def _ticket(query: bytes) -> str | None:
    found = parse_qs(query.decode("latin-1")).get("ticket")
    return found[0] if found is not None and len(found) == 1 else None


def _address(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
