"""AccessControl: all of the security package, put together from the configuration and a store."""

import asyncio
import logging
from collections.abc import Callable, Sequence

from vnpy_core.config.access_settings import SecuritySettings
from vnpy_core.config.settings import VnPyCoreConfig
from vnpy_core.data.access import AccessRepository, AuditFilter, StoredEntry
from vnpy_core.data.database import DatabaseManager
from vnpy_core.errors import Unavailable
from vnpy_core.models import AuditEntry
from vnpy_core.security.administration import Administration
from vnpy_core.security.audit import AuditTrail
from vnpy_core.security.authenticator import Authenticator
from vnpy_core.security.directory import AccessStore, Directory
from vnpy_core.security.keys import KeyRing
from vnpy_core.security.logins import Logins
from vnpy_core.security.tokens import AccessTokens

logger = logging.getLogger(__name__)


class AccessControl:
    """Loop only. Used until it is closed."""

    def __init__(
        self, settings: SecuritySettings, keys: KeyRing, store: AccessStore, emit: Callable[[AuditEntry], None]
    ) -> None:
        self.settings = settings
        self.first_link: str | None = None
        self._watch: asyncio.Task[None] | None = None
        self.keys = keys
        self.directory = Directory(store)
        tokens = AccessTokens(keys.signing_keys, settings.access_token_s)
        self.authenticator = Authenticator(settings, self.directory, keys, tokens)
        self.logins = Logins(settings, self.directory, keys, tokens)
        self.administration = Administration(self.directory, keys, self.logins)
        self.trail = AuditTrail(emit)

    @classmethod
    def configured(
        cls, config: VnPyCoreConfig, database: DatabaseManager, emit: Callable[[AuditEntry], None]
    ) -> "AccessControl":
        """Raises: ConfigError for a key that will not do."""
        keys = KeyRing.load(config.data_dir, config.security.key)
        return cls(config.security, keys, AccessRepository(database), emit)

    @classmethod
    async def opened(
        cls, config: VnPyCoreConfig, database: DatabaseManager, emit: Callable[[AuditEntry], None]
    ) -> "AccessControl":
        """Make one that knows who may come in, and follows what others change of it until it is closed.

        ``first_link`` is then the token of a login link for the first user, as long as he has no password. Without the
        database nobody can log in; there is ``security.admin_key``.

        Raises:
            ConfigError: a key that will not do.
        """
        access = cls.configured(config, database, emit)
        try:
            newcomer = await access.administration.ensure_admin()
            if newcomer is not None and config.security.authentication == "required":
                access.first_link = await access.logins.make_link(newcomer.username)
        except Unavailable as error:
            logger.warning("Until the database is there, nobody can log in: %s", error.detail)
        access._watch = asyncio.create_task(access.directory.watch(), name="access watch")
        return access

    async def entries(self, which: AuditFilter, before: str | None, limit: int) -> Sequence[StoredEntry]:
        return await self.directory.store.entries(which, before, limit)

    async def close(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        self.logins.passwords.close()
        await self.directory.write_notes()
