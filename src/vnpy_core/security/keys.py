"""KeyRing: the secret of this installation, and the keys that are made of it.

From it come the key that signs access tokens, the one that API keys and refresh tokens are hashed with, and the one
that secrets in the database are encrypted with. The first is used for what is new; what older ones were used for stays
good, until they are taken off.
"""

import base64
import hashlib
import hmac
import os
import re
import secrets
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import SecretStr

from vnpy_core.config.access_settings import MIN_KEY_LENGTH
from vnpy_core.errors import ConfigError, Unavailable

FILE_NAME = "security.key"
MARK_LENGTH = 32
_ADVICE = "Restore it, or delete it: then everybody logs in again, and API keys and encrypted secrets are made anew."


class KeyRing:
    """One or more secrets, the newest first."""

    def __init__(self, secrets_: Sequence[str]) -> None:
        self.signing_keys = [_derive(secret, "access tokens") for secret in secrets_]
        self._hash_keys = [_derive(secret, "token hashes") for secret in secrets_]
        ciphers = [Fernet(base64.urlsafe_b64encode(_derive(secret, "secrets at rest"))) for secret in secrets_]
        self._newest, self._cipher = ciphers[0], MultiFernet(ciphers)

    @classmethod
    def load(cls, data_dir: Path, given: SecretStr | None) -> Self:
        """Take the secrets that are given, one a line or with blanks between, or those of the key file.

        The file is made if there is none.

        Raises:
            ConfigError: a secret is too short, or the file cannot be read, or others can read it.
        """
        if given is not None:
            origin, text = "security.key", given.get_secret_value()
        else:
            path = data_dir / FILE_NAME
            origin, text = str(path), _read(path)
        found = re.split(r"[\s,]+", text.strip())
        if any(len(secret) < MIN_KEY_LENGTH for secret in found):
            raise ConfigError(f"{origin} has a key of less than {MIN_KEY_LENGTH} characters. {_ADVICE}")
        return cls(found)

    def hash(self, secret: str) -> str:
        """Return what is stored of a random secret: HMAC-SHA256, hexadecimal. Passwords are no such secrets."""
        return _hmac(self._hash_keys[0], secret)

    def matches(self, secret: str, stored: str) -> bool:
        return any(hmac.compare_digest(_hmac(key, secret), stored) for key in self._hash_keys)

    def mark(self, secret: str) -> str:
        """Return a seal that tells a secret of ours from a made-up one, also when its hash is no longer kept."""
        return self.hash(f"mark {secret}")[:MARK_LENGTH]

    def is_marked(self, secret: str) -> bool:
        """Tell whether ``secret`` ends by its seal."""
        text, seal = secret[:-MARK_LENGTH], secret[-MARK_LENGTH:]
        return any(hmac.compare_digest(_hmac(key, f"mark {text}")[:MARK_LENGTH], seal) for key in self._hash_keys)

    def encrypt(self, text: str) -> str:
        return self._cipher.encrypt(text.encode()).decode()

    def is_of_newest(self, token: str) -> bool:
        """Tell whether it was encrypted with the first of the keys."""
        try:
            self._newest.decrypt(token.encode())
        except InvalidToken:
            return False
        return True

    def decrypt(self, token: str) -> str:
        """Raises: Unavailable if it was encrypted with a key that is no longer here."""
        try:
            return self._cipher.decrypt(token.encode()).decode()
        except InvalidToken as error:
            raise Unavailable(f"A stored secret was encrypted with another {FILE_NAME}. Restore that file.") from error


def _derive(secret: str, purpose: str) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=f"vnpy-core {purpose}".encode()).derive(secret.encode())


def _hmac(key: bytes, secret: str) -> str:
    return hmac.new(key, secret.encode(), hashlib.sha256).hexdigest()


def _read(path: Path) -> str:
    try:
        _create(path)
        if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise ConfigError(f"{path} can be read by others: chmod 600 {path}")
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}. {_ADVICE}") from error


def _create(path: Path) -> None:
    """Make the file, whole or not at all, unless it is there: the service and a command may both be the first."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(secrets.token_urlsafe(48) + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(temporary, path)
    except FileExistsError:
        pass
    finally:
        temporary.unlink()
