"""Who one is, and the API keys and sessions that one has."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from vnpy_core.client.connection import segment
from vnpy_core.client.mode import Mode, Resource, operation
from vnpy_core.enums import Role, Scope


class Me(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks, and what that may do. ``credential_id``: the session, or the API key."""

    username: str
    role: Role
    scopes: list[Scope]
    credential_id: str


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """An API key. ``key`` is what is shown to the service, and is told once, when it is made."""

    key_id: str
    username: str
    name: str
    scopes: list[Scope]
    networks: list[str]
    created: str
    expires: str | None
    last_used: str | None
    revoked: str | None
    key: str | None = None


class LoginSession(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who has logged in, and from where."""

    session_id: str
    username: str
    address: str
    client: str
    created: str
    expires: str
    last_used: str


class _Keys(msgspec.Struct, frozen=True):
    api_keys: list[ApiKey]


class _Sessions(msgspec.Struct, frozen=True):
    sessions: list[LoginSession]


class _Done(msgspec.Struct, frozen=True):
    done: bool = True


class Auth(Resource[Mode]):
    """``/auth``. Logging in, and again, is the client's own work; see its constructor."""

    @operation
    async def me(self) -> Me:
        return await self._connection.get("/auth/me", Me)

    @operation
    async def logout(self) -> None:
        """End the session; the next call logs in anew."""
        await self._connection.call("POST", "/auth/logout", _Done)
        self._connection.forget_tokens()

    @operation
    async def change_password(self, current: str, new: str) -> None:
        """Change one's password; one's other sessions end."""
        body = {"current_password": current, "new_password": new}
        await self._connection.call("POST", "/auth/password", _Done, body=body)

    @operation
    async def sessions(self) -> list[LoginSession]:
        """Return the sessions: one's own, or everybody's for an admin."""
        return (await self._connection.get("/auth/sessions", _Sessions)).sessions

    @operation
    async def end_session(self, session_id: str) -> None:
        await self._connection.call("DELETE", f"/auth/sessions/{segment(session_id)}", _Done)

    @operation
    async def api_keys(self) -> list[ApiKey]:
        """Return the API keys: one's own, or everybody's for an admin."""
        return (await self._connection.get("/auth/api-keys", _Keys)).api_keys

    @operation
    async def create_api_key(
        self,
        name: str,
        *,
        scopes: Sequence[Scope] | None = None,
        networks: Sequence[str] = (),
        expires: datetime | None = None,
        username: str | None = None,
    ) -> ApiKey:
        """Make an API key, and return it with its ``key``, this once. Its scopes are among one's own."""
        body = {"name": name, "scopes": scopes, "networks": list(networks), "expires": expires, "username": username}
        return await self._connection.call("POST", "/auth/api-keys", ApiKey, body=body)

    @operation
    async def revoke_api_key(self, key_id: str) -> None:
        await self._connection.call("DELETE", f"/auth/api-keys/{segment(key_id)}", msgspec.Raw)
