"""Identity: who asks, by which credential, and what that may do."""

import ipaddress
import math
import time
from collections.abc import Sequence
from contextvars import ContextVar
from enum import StrEnum

import msgspec

from vnpy_core.enums import Role, Scope
from vnpy_core.errors import Forbidden, TooManyRequests
from vnpy_core.security.throttle import Bucket, LimitClass

# Whose request is being answered; empty: the service acts by itself.
acting: ContextVar[str] = ContextVar("acting", default="")
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class CredentialKind(StrEnum):
    SESSION = "session"
    API_KEY = "key"
    ADMIN_KEY = "admin_key"
    NOBODY_ASKED = "off"


class Identity(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Made once for a credential, and used for all its requests until something about it changes.

    ``expires`` is when the credential itself does, by ``time.time``. ``limits`` has a bucket for each ``LimitClass``.
    """

    username: str
    role: Role
    scopes: frozenset[Scope]
    kind: CredentialKind
    credential_id: str = ""
    limits: list[Bucket]
    expires: float = math.inf
    networks: Sequence[Network] = ()

    @property
    def credential(self) -> str:
        """What the audit log calls it."""
        return f"{self.kind}:{self.credential_id}" if self.credential_id else str(self.kind)

    def may_come_from(self, address: str) -> bool:
        """Tell whether the credential may be used from there; no list means anywhere."""
        if not self.networks:
            return True
        try:
            given = ipaddress.ip_address(address)
        except ValueError:
            return False
        mapped = getattr(given, "ipv4_mapped", None)
        return any((mapped or given) in network for network in self.networks)

    def count(self, limit: LimitClass, requests: int) -> None:
        """Count one request, which was counted already, as so many.

        Raises:
            TooManyRequests: that is more than its limit lets through now.
        """
        if requests > 1 and (wait_s := self.limits[limit].take_more(time.monotonic(), requests - 1)):
            raise TooManyRequests(f"Too many {limit.name.lower()}: slow down.", retry_after_s=wait_s)

    def require(self, scope: Scope) -> None:
        """Raises: Forbidden without the scope."""
        if scope not in self.scopes:
            raise Forbidden(f"This takes the scope {scope}.", code="missing_scope")
