"""Tokens: what they look like, how access tokens are signed, and random ones that are only kept as hashes."""

import secrets
import time
from collections.abc import Callable, Sequence

import jwt
import msgspec

from vnpy_core.errors import Unauthorized

API_KEY, REFRESH, LINK, TICKET = "vck", "vcr", "vcl", "vct"
_ISSUER = "vnpy-core"
_ALGORITHM = "HS256"
_MAX_LENGTH = 2048


class AccessClaims(msgspec.Struct, frozen=True):
    """What an access token says. Role and scopes are not in it: they are looked up, and so can change at once."""

    username: str
    session_id: str
    expires: float


class AccessTokens:
    """JSON Web Tokens, HS256. Signed with the first key, accepted with any."""

    def __init__(self, keys: Sequence[bytes], lifetime_s: int) -> None:
        self._keys = keys
        self.lifetime_s = lifetime_s

    def issue(self, username: str, session_id: str) -> str:
        now = int(time.time())
        claims = {"iss": _ISSUER, "sub": username, "sid": session_id, "iat": now, "exp": now + self.lifetime_s}
        return jwt.encode(claims, self._keys[0], algorithm=_ALGORITHM)

    def verify(self, token: str) -> AccessClaims:
        """Raises: Unauthorized for one that is malformed, forged, or out of date."""
        if len(token) > _MAX_LENGTH:
            raise Unauthorized("The access token is not one of this service.", code="invalid_token")
        for key in self._keys:
            try:
                claims = jwt.decode(
                    token, key, algorithms=[_ALGORITHM], issuer=_ISSUER,
                    options={"require": ["exp", "iat", "sub", "sid"]},
                )  # fmt: skip
            except jwt.ExpiredSignatureError as error:
                raise Unauthorized("The access token is out of date: refresh it.", code="token_expired") from error
            except jwt.InvalidTokenError:
                continue
            return AccessClaims(str(claims["sub"]), str(claims["sid"]), float(claims["exp"]))
        raise Unauthorized("The access token is not one of this service.", code="invalid_token")


def new_id() -> str:
    return secrets.token_hex(8)


def new_token(kind: str, token_id: str, mark: Callable[[str], str] = lambda secret: "") -> tuple[str, str]:
    """Return a token that names ``token_id``, and its random part (256 bits), of which a hash is to be kept.

    ``mark`` returns what is put at the end of that part, to be told by.
    """
    secret = secrets.token_urlsafe(32)
    secret += mark(secret)
    return f"{kind}_{token_id}.{secret}", secret


def split_token(kind: str, token: str) -> tuple[str, str] | None:
    """Return the id and the random part of a token of ``kind``, or ``None`` if it is none."""
    prefix, _, rest = token.partition("_")
    token_id, _, secret = rest.rpartition(".")
    return (token_id, secret) if prefix == kind and token_id and secret and len(token) <= _MAX_LENGTH else None
