"""What ``/auth`` answers. Secrets are in it only where they have just been made."""

from typing import Annotated, Literal

import msgspec

from vnpy_core.data.access import ApiKeyRecord, SessionRecord, StoredEntry, UserRecord
from vnpy_core.enums import Role, Scope
from vnpy_core.models import Timestamp
from vnpy_core.routers.answers import NextCursor
from vnpy_core.security.identity import CredentialKind, Identity
from vnpy_core.security.logins import Grant

_WHEN = "2026-01-05T01:30:00.000000+00:00"


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    """A session's tokens: the access token for the Authorization header, the refresh token for the next pair."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 -- no secret
    expires_in: Annotated[int, msgspec.Meta(description="Seconds that the access token is good")]
    refresh_token: Annotated[str, msgspec.Meta(description="Good once; a second use ends the session")]
    refresh_expires: Timestamp
    session_id: str
    username: str


class Me(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks, and what that may do."""

    username: str
    role: Role
    scopes: list[Scope]
    credential: Annotated[CredentialKind, msgspec.Meta(description="What was shown")]
    credential_id: Annotated[str, msgspec.Meta(description="The session or the API key")]
    totp: Annotated[bool, msgspec.Meta(description="A second factor is set up")]


class Ticket(msgspec.Struct, frozen=True, kw_only=True):
    """For ``/ws?ticket=``, once."""

    ticket: str
    expires_in: int


class User(msgspec.Struct, frozen=True, kw_only=True):
    username: str
    role: Role
    scopes: list[Scope]
    disabled: bool
    has_password: bool
    totp: Annotated[bool, msgspec.Meta(description="A second factor is set up")]
    created: Timestamp
    password_changed: Timestamp | None
    login_link_token: Annotated[str | None, msgspec.Meta(description="If it was just made; good once")] = None


class UserPage(msgspec.Struct, frozen=True, kw_only=True):
    users: list[User]
    next_cursor: NextCursor


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    key_id: str
    username: str
    name: str
    scopes: list[Scope]
    networks: list[str]
    created: Timestamp
    expires: Timestamp | None
    last_used: Timestamp | None
    revoked: Timestamp | None


class NewApiKey(ApiKey, frozen=True, kw_only=True):
    key: Annotated[str, msgspec.Meta(description="Shown this once; nobody can see it again")]


class ApiKeyPage(msgspec.Struct, frozen=True, kw_only=True):
    api_keys: list[ApiKey]
    next_cursor: NextCursor


class Session(msgspec.Struct, frozen=True, kw_only=True):
    session_id: str
    username: str
    address: str
    client: Annotated[str, msgspec.Meta(description="The User-Agent that logged in")]
    created: Timestamp
    expires: Timestamp
    last_used: Timestamp


class LoginSessionPage(msgspec.Struct, frozen=True, kw_only=True):
    sessions: list[Session]
    next_cursor: NextCursor


class TotpSecret(msgspec.Struct, frozen=True, kw_only=True):
    """For the authenticator. It counts once a code of it has been confirmed."""

    secret: str
    uri: Annotated[str, msgspec.Meta(description="For a QR code")]


class AuditPage(msgspec.Struct, frozen=True, kw_only=True):
    """Newest first."""

    entries: list[StoredEntry]
    next_cursor: NextCursor


class Done(msgspec.Struct, frozen=True, kw_only=True):
    done: bool = True


def tokens_of(grant: Grant) -> Tokens:
    return Tokens(**msgspec.structs.asdict(grant))


def me_of(identity: Identity, user: UserRecord | None) -> Me:
    return Me(
        username=identity.username, role=identity.role, scopes=sorted(identity.scopes), credential=identity.kind,
        credential_id=identity.credential_id, totp=user is not None and user.totp_confirmed,
    )  # fmt: skip


def user_of(record: UserRecord, scopes: frozenset[Scope], link: str | None = None) -> User:
    return User(
        username=record.username, role=record.role, scopes=sorted(scopes), disabled=record.disabled,
        has_password=record.password_hash is not None, totp=record.totp_confirmed, created=record.created,
        password_changed=record.password_changed, login_link_token=link,
    )  # fmt: skip


def api_key_of(record: ApiKeyRecord) -> ApiKey:
    return msgspec.convert(record, ApiKey, from_attributes=True)


def new_api_key_of(record: ApiKeyRecord, key: str) -> NewApiKey:
    return NewApiKey(key=key, **msgspec.structs.asdict(api_key_of(record)))


def session_of(record: SessionRecord) -> Session:
    return msgspec.convert(record, Session, from_attributes=True)


TOKENS = Tokens(
    access_token="eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZG1pbiJ9.c2lnbmF0dXJl", expires_in=900,  # noqa: S106 -- an example
    refresh_token="vcr_8e1f0a7c.c2VjcmV0", refresh_expires=_WHEN, session_id="8e1f0a7c", username="admin",  # noqa: S106
)  # fmt: skip
ME = Me(
    username="admin", role=Role.ADMIN, scopes=sorted(Scope), credential=CredentialKind.SESSION,
    credential_id="8e1f0a7c", totp=False,
)  # fmt: skip
USER = User(
    username="desk", role=Role.VIEWER, scopes=[Scope.TRADING_READ], disabled=False, has_password=True, totp=False,
    created=_WHEN, password_changed=_WHEN,
)  # fmt: skip
API_KEY = ApiKey(
    key_id="9c0de1", username="desk", name="desk", scopes=[Scope.TRADING_READ], networks=["10.0.0.0/24"],
    created=_WHEN, expires=None, last_used=_WHEN, revoked=None,
)  # fmt: skip
NEW_API_KEY = NewApiKey(key="vck_9c0de1.c2VjcmV0", **msgspec.structs.asdict(API_KEY))
SESSION = Session(
    session_id="8e1f0a7c", username="admin", address="127.0.0.1", client="curl/8.5.0", created=_WHEN, expires=_WHEN,
    last_used=_WHEN,
)  # fmt: skip
ENTRY = StoredEntry(
    audit_id="1887f2a1b0c3d4e5-4f1c09000001", actor="admin", credential="session:8e1f0a7c", address="127.0.0.1",
    action="POST /api/v1/trading/orders", status=201, request_id="7f3a09c1-42", detail='{"symbol":"rb2501"}', ts=_WHEN,
)  # fmt: skip
