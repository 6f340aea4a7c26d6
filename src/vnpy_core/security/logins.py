"""Logins: from a password or a login link to a session, and how a session goes on and ends."""

import time
from datetime import UTC, datetime, timedelta

import msgspec
import pyotp

from vnpy_core.config.access_settings import SecuritySettings
from vnpy_core.data.access import SessionRecord, UserRecord
from vnpy_core.errors import Conflict, Unauthorized, Unavailable
from vnpy_core.models import now_timestamp, to_timestamp
from vnpy_core.security.directory import Directory
from vnpy_core.security.keys import KeyRing
from vnpy_core.security.passwords import Passwords, require_strength
from vnpy_core.security.throttle import Lockout
from vnpy_core.security.tokens import LINK, REFRESH, AccessTokens, new_id, new_token, split_token

LINK_LIFETIME_S = 900
_STEP_S = 30


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """The tokens of a session."""

    access_token: str
    refresh_token: str
    expires_in: int
    refresh_expires: str
    session_id: str
    username: str


class Logins:
    """Loop only."""

    def __init__(
        self, settings: SecuritySettings, directory: Directory, keys: KeyRing, tokens: AccessTokens
    ) -> None:
        self._directory = directory
        self._keys = keys
        self._tokens = tokens
        self._lockout = Lockout(settings.login_attempts, settings.lockout_s)
        self._lifetime = timedelta(days=settings.refresh_token_days)
        self.passwords = Passwords()

    async def login(self, username: str, password: str, totp: str | None, address: str, client: str) -> Grant:
        """Raises: Unauthorized, which says nothing of what was wrong. TooManyRequests: the account is locked."""
        self._lockout.require_open(username)
        await self._current()
        user = self._directory.users.get(username)
        stored = user.password_hash if user is not None and not user.disabled else None
        good = await self.passwords.verify(password, stored)
        if not good or user is None:
            self._lockout.failed(username)
            raise Unauthorized("The user name or the password is wrong.", code="bad_credentials")
        if user.totp_confirmed:
            if totp is None:
                raise Unauthorized("The code of the authenticator is needed, too.", code="totp_required")
            if not await self._take_code(user, totp):
                self._lockout.failed(username)
                raise Unauthorized("The code of the authenticator is wrong, or was used.", code="bad_credentials")
        self._lockout.succeeded(username)
        return await self._begin(username, address, client)

    async def login_by_link(self, link: str, password: str | None, address: str, client: str) -> Grant:
        """Begin a session by a one-time link, and set the password if one is given.

        Raises:
            Unauthorized: the link is not good, was used, or is too old.
        """
        await self._current()
        parts = split_token(LINK, link)
        user = self._directory.users.get(parts[0]) if parts is not None else None
        if (
            parts is None or user is None or user.disabled or user.link_hash is None
            or not self._keys.matches(parts[1], user.link_hash)
            or (user.link_expires or "") <= now_timestamp()
        ):  # fmt: skip
            raise Unauthorized(
                "The link is not good, or is no longer. `vnpy-core user link` makes a new one.", code="invalid_link"
            )
        if password is not None:
            require_strength(password, user.username)
        used = {"link_hash": None, "link_expires": None}
        if not await self._directory.change(UserRecord, user.username, used, {"link_hash": user.link_hash}):
            raise Unauthorized("The link was used already.", code="invalid_link")
        if password is not None:
            await self.set_password(user.username, password)
        return await self._begin(user.username, address, client)

    async def make_link(self, username: str) -> str:
        """Return the token of a login link; one that was made before is void."""
        token, secret = new_token(LINK, username)
        expires = to_timestamp(datetime.now(UTC) + timedelta(seconds=LINK_LIFETIME_S))
        changes = {"link_hash": self._keys.hash(secret), "link_expires": expires}
        await self._directory.change(UserRecord, username, changes)
        return token

    async def refresh(self, token: str) -> Grant:
        """Give new tokens for a refresh token, which is good once.

        Raises:
            Unauthorized: it is not good. If it was, once, somebody has copied it: the session is ended.
        """
        await self._current()
        invalid = Unauthorized("The session has ended: log in again.", code="invalid_token")
        parts = split_token(REFRESH, token)
        session = self._directory.sessions.get(parts[0]) if parts is not None else None
        if parts is None or session is None or session.expires <= now_timestamp():
            raise invalid
        user = self._directory.users.get(session.username)
        if user is None or user.disabled:
            raise invalid
        token, secret = new_token(REFRESH, session.session_id, self._keys.mark)
        changed = False
        if self._keys.matches(parts[1], session.refresh_hash):
            expires, now = self._expires(), now_timestamp()
            changes = {"refresh_hash": self._keys.hash(secret), "expires": expires, "last_used": now}
            changed = await self._directory.change(
                SessionRecord, session.session_id, changes, {"refresh_hash": session.refresh_hash, "revoked": None}
            )
        elif not self._keys.is_marked(parts[1]):
            raise invalid
        if not changed:
            await self.end(session.session_id)
            raise Unauthorized(
                "The refresh token was used before. Somebody may have copied it: the session was ended.",
                code="token_reused",
            )
        return self._grant(user.username, session.session_id, token, expires)

    async def end(self, session_id: str) -> bool:
        """End a session, and return whether there was one."""
        return await self._directory.change(SessionRecord, session_id, {"revoked": now_timestamp()}, {"revoked": None})

    async def end_all(self, username: str, *, but: str | None = None) -> None:
        for session in list(self._directory.sessions.values()):
            if session.username == username and session.session_id != but:
                await self.end(session.session_id)

    async def set_password(self, username: str, password: str) -> None:
        """Raises: Invalid for a weak one."""
        require_strength(password, username)
        changes = {"password_hash": await self.passwords.hash(password), "password_changed": now_timestamp()}
        await self._directory.change(UserRecord, username, changes)
        self._lockout.succeeded(username)

    async def confirm_password(self, username: str, password: str) -> None:
        """Raises: Unauthorized if it is not the user's. TooManyRequests: the account is locked."""
        self._lockout.require_open(username)
        user = self._directory.users.get(username)
        if not await self.passwords.verify(password, user.password_hash if user is not None else None):
            self._lockout.failed(username)
            raise Unauthorized("The password is wrong.", code="bad_credentials")

    def unlock(self, username: str) -> None:
        self._lockout.succeeded(username)

    # -- the second factor

    async def begin_totp(self, username: str) -> tuple[str, str]:
        """Return a new secret for an authenticator, and its otpauth URI. It counts once it is confirmed."""
        if self._directory.users[username].totp_confirmed:
            raise Conflict("A second factor is set up. Remove it first.", code="totp_exists")
        secret = pyotp.random_base32()
        await self._directory.change(
            UserRecord, username, {"totp_secret": self._keys.encrypt(secret), "totp_confirmed": False, "totp_step": 0}
        )
        return secret, pyotp.TOTP(secret).provisioning_uri(name=username, issuer_name="VnPy Core")

    async def confirm_totp(self, username: str, code: str) -> None:
        """Raises: Unauthorized for a wrong code. Conflict if none was begun."""
        self._lockout.require_open(username)
        user = self._directory.users[username]
        if user.totp_secret is None or user.totp_confirmed:
            raise Conflict("No second factor waits to be confirmed.", code="no_totp")
        if not await self._take_code(user, code):
            self._lockout.failed(username)
            raise Unauthorized("The code is wrong. See to the clocks.", code="bad_credentials")
        await self._directory.change(UserRecord, username, {"totp_confirmed": True})

    async def remove_totp(self, username: str) -> None:
        await self._directory.change(
            UserRecord, username, {"totp_secret": None, "totp_confirmed": False, "totp_step": 0}
        )

    async def _take_code(self, user: UserRecord, code: str) -> bool:
        """Tell whether a code is that of now, or one step off, and take care that it is good once."""
        if user.totp_secret is None or not (code.isascii() and code.isdigit()):
            return False
        totp = pyotp.TOTP(self._keys.decrypt(user.totp_secret), interval=_STEP_S)
        now = int(time.time()) // _STEP_S
        for step in (now, now - 1, now + 1):
            if step > user.totp_step and pyotp.utils.strings_equal(totp.generate_otp(step), code):
                return await self._directory.change(
                    UserRecord, user.username, {"totp_step": step}, {"totp_step": user.totp_step}
                )
        return False

    # -- sessions

    async def _current(self) -> None:
        """Read what others have changed; without a database nobody can log in."""
        try:
            await self._directory.refresh()
        except Unavailable as error:
            raise Unavailable("Nobody can log in while the database is not available.") from error

    async def _begin(self, username: str, address: str, client: str) -> Grant:
        session_id = new_id()
        token, secret = new_token(REFRESH, session_id, self._keys.mark)
        now, expires = now_timestamp(), self._expires()
        await self._directory.add(
            SessionRecord(
                session_id=session_id, username=username, refresh_hash=self._keys.hash(secret), address=address[:128],
                client=client[:128], created=now, expires=expires, last_used=now,
            )
        )  # fmt: skip
        return self._grant(username, session_id, token, expires)

    def _expires(self) -> str:
        return to_timestamp(datetime.now(UTC) + self._lifetime)

    def _grant(self, username: str, session_id: str, refresh_token: str, expires: str) -> Grant:
        return Grant(
            access_token=self._tokens.issue(username, session_id), refresh_token=refresh_token,
            expires_in=self._tokens.lifetime_s, refresh_expires=expires, session_id=session_id, username=username,
        )  # fmt: skip
