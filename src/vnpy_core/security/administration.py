"""Administration: users and API keys, as the API and the command line change them."""

import ipaddress
import re
from collections.abc import Collection, Sequence
from datetime import UTC, datetime

from vnpy_core.data.access import ApiKeyRecord, UserRecord
from vnpy_core.enums import Role, Scope
from vnpy_core.errors import Conflict, Forbidden, Invalid, NotFound
from vnpy_core.models import now_timestamp, to_timestamp
from vnpy_core.security.directory import Directory
from vnpy_core.security.keys import KeyRing
from vnpy_core.security.logins import Logins
from vnpy_core.security.passwords import require_strength
from vnpy_core.security.scopes import SCOPES_OF_ROLE
from vnpy_core.security.tokens import API_KEY, new_id, new_token

FIRST_USER = "admin"
USERNAME = re.compile(r"^[a-z0-9][a-z0-9._-]{0,63}$")


class Administration:
    """Loop only. Users are disabled and never deleted: the audit log names them."""

    def __init__(self, directory: Directory, keys: KeyRing, logins: Logins) -> None:
        self._directory = directory
        self._keys = keys
        self._logins = logins

    async def ensure_admin(self) -> UserRecord | None:
        """Add the first user if there is none; return the one who has never had a password, if he is the only one."""
        await self._directory.refresh()
        users = self._directory.users
        if not users:
            try:
                await self._directory.add(UserRecord(username=FIRST_USER, role=Role.ADMIN, created=now_timestamp()))
            except Conflict:  # another process was first
                await self._directory.refresh()
        found = list(self._directory.users.values())
        return found[0] if len(found) == 1 and found[0].password_hash is None else None

    def user(self, username: str) -> UserRecord:
        """Raises: NotFound."""
        user = self._directory.users.get(username)
        if user is None:
            raise NotFound(f"There is no user {username!r}.", code="unknown_user")
        return user

    def users(self) -> Sequence[UserRecord]:
        return sorted(self._directory.users.values(), key=lambda user: user.username)

    async def add_user(self, username: str, role: Role, password: str | None) -> UserRecord:
        """Add a user; without a password he comes in by a login link.

        Raises:
            Conflict: there is one of that name. Invalid: the name or the password will not do.
        """
        if not USERNAME.fullmatch(username):
            message = "must be 1 to 64 of a-z, 0-9, dot, hyphen and underscore, and begin with one of the first two"
            raise Invalid(f"username: {message}", errors=[{"field": "username", "message": message}])
        if username in self._directory.users:
            raise Conflict(f"There is a user {username!r} already.", code="duplicate_user")
        now, password_hash = now_timestamp(), None
        if password is not None:
            require_strength(password, username)
            password_hash = await self._logins.passwords.hash(password)
        await self._directory.add(
            UserRecord(
                username=username, role=role, password_hash=password_hash, created=now,
                password_changed=now if password_hash else None,
            )
        )  # fmt: skip
        return self.user(username)

    async def change_user(
        self, username: str, *, role: Role | None = None, disabled: bool | None = None, password: str | None = None
    ) -> UserRecord:
        """Change what is given. Whoever is disabled, or has another role, has no session and no open WebSocket left;
        a new password ends all sessions.

        Raises:
            NotFound: no such user. Conflict: there would be no admin left.
        """
        user = self.user(username)
        changes: dict[str, object] = {}
        if role is not None and role != user.role:
            changes["role"] = role
        if disabled is not None and disabled != user.disabled:
            changes["disabled"] = disabled
        if changes.get("disabled") or changes.get("role"):
            self._require_another_admin(user)
        if password is not None:
            await self._logins.set_password(username, password)
        if changes:
            await self._directory.change(UserRecord, username, changes)
        if password is not None or disabled:
            await self._logins.end_all(username)
        return self.user(username)

    def _require_another_admin(self, user: UserRecord) -> None:
        others = [
            other for other in self._directory.users.values()
            if other.role is Role.ADMIN and not other.disabled and other.username != user.username
        ]  # fmt: skip
        if user.role is Role.ADMIN and not user.disabled and not others:
            raise Conflict("This is the only admin there is.", code="last_admin")

    def api_keys(self, username: str | None = None) -> Sequence[ApiKeyRecord]:
        """Return the keys of a user, or of all, those that are revoked too."""
        found = [key for key in self._directory.api_keys.values() if username in (None, key.username)]
        return sorted(found, key=lambda key: (key.created, key.key_id))

    async def add_api_key(
        self, username: str, name: str, *, within: frozenset[Scope], scopes: Collection[Scope] | None = None,
        networks: Sequence[str] = (), expires: datetime | None = None,
    ) -> tuple[str, ApiKeyRecord]:  # fmt: skip
        """Make a key and return it; nobody can see it again. Without ``scopes`` it has all that may be given.

        Args:
            within: what whoever makes it may do himself.

        Raises:
            Forbidden: scopes beyond that, or beyond the user's role. Invalid: a network that is none, or a past moment.
        """
        user = self.user(username)
        allowed = SCOPES_OF_ROLE[user.role] & within
        wanted = allowed if scopes is None else frozenset(scopes)
        if not wanted:
            raise Invalid("scopes: at least one", errors=[{"field": "scopes", "message": "at least one"}])
        if beyond := wanted - allowed:
            raise Forbidden(f"{', '.join(sorted(beyond))} cannot be given to this key.", code="missing_scope")
        if expires is not None and expires <= datetime.now(UTC):
            raise Invalid("expires: is in the past", errors=[{"field": "expires", "message": "is in the past"}])
        key_id = new_id()
        key, secret = new_token(API_KEY, key_id)
        record = ApiKeyRecord(
            key_id=key_id, username=username, name=name, key_hash=self._keys.hash(secret), scopes=sorted(wanted),
            networks=[_network(text) for text in networks], created=now_timestamp(),
            expires=to_timestamp(expires) if expires is not None else None,
        )  # fmt: skip
        await self._directory.add(record)
        return key, record

    async def revoke_api_key(self, key_id: str, *, of: str | None = None) -> ApiKeyRecord:
        """Make a key good for nothing, at once. ``of``: only if it is that user's.

        Raises:
            NotFound: there is none.
        """
        record = self._directory.api_keys.get(key_id)
        if record is None or of not in (None, record.username):
            raise NotFound(f"There is no API key {key_id!r}.", code="unknown_key")
        await self._directory.change(ApiKeyRecord, key_id, {"revoked": now_timestamp()}, {"revoked": None})
        return self._directory.api_keys[key_id]


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError as error:
        message = f"{text!r} is no address and no network such as 10.0.0.0/24"
        raise Invalid(f"networks: {message}", errors=[{"field": "networks", "message": message}]) from error
