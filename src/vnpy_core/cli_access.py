"""The commands about users and API keys. They work on the database itself, also while the service runs: it follows
within a second. Whoever can read the data folder may use them."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from getpass import getuser
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from vnpy_core.config.settings import DEFAULT_FILE, load_config
from vnpy_core.data.database import DatabaseManager
from vnpy_core.enums import Role, Scope
from vnpy_core.errors import Invalid, NotFound
from vnpy_core.models import AuditEntry, now_timestamp
from vnpy_core.security.access import AccessControl
from vnpy_core.security.logins import LINK_LIFETIME_S

user_app = typer.Typer(help="Who may log in.", no_args_is_help=True)
token_app = typer.Typer(help="API keys, for programs.", no_args_is_help=True)

out = Console()
err = Console(stderr=True)
T = TypeVar("T")

ConfigOption = Annotated[Path | None, typer.Option("--config", "-c", help=f"Default: {DEFAULT_FILE} if there is one")]
DataDirOption = Annotated[Path | None, typer.Option("--data-dir", help="Where everything is kept")]
NameArgument = Annotated[str, typer.Argument(help="The user's name")]
PasswordStdin = Annotated[bool, typer.Option("--password-stdin", help="Read the password from standard input")]


def _with_access(
    config: Path | None, data_dir: Path | None, action: str, work: Callable[[AccessControl], Awaitable[T]]
) -> T:
    """Do ``work`` on the database, and put ``action`` into the audit log, unless it is empty."""
    settings = load_config(config, overrides={} if data_dir is None else {"data_dir": data_dir})

    async def run() -> T:
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        database = DatabaseManager.configured(settings)
        await database.open()
        try:
            entries: list[AuditEntry] = []
            access = AccessControl.configured(settings, database, entries.append)
            try:
                await access.administration.ensure_admin()
                result = await work(access)
                if action:
                    access.trail.record(actor=_operator(), credential="cli", address="", action=action, status=200)
                    for entry in entries:
                        await access.directory.store.append(entry, now_timestamp())
                return result
            finally:
                await access.close()
        finally:
            await database.close()

    return asyncio.run(run())


def _operator() -> str:
    try:
        return getuser()
    except (OSError, KeyError):  # a container may know its user by number only
        return "operator"


def _password(from_stdin: bool) -> str:
    if from_stdin:
        return typer.get_text_stream("stdin").readline().rstrip("\r\n")
    return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))


@user_app.command("add")
def user_add(
    name: NameArgument,
    role: Annotated[Role, typer.Option(help="What the user may do")] = Role.VIEWER,
    link: Annotated[bool, typer.Option("--link", help="No password: print a login link, by which one is set")] = False,
    password_stdin: PasswordStdin = False,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Add a user; asks for the password."""
    password = None if link else _password(password_stdin)

    async def work(access: AccessControl) -> str | None:
        await access.administration.add_user(name, role, password)
        return await access.logins.make_link(name) if link else None

    token = _with_access(config, data_dir, f"user add {name} --role {role}", work)
    out.print(f"Added {name}, {role}.", highlight=False)
    if token is not None:
        _print_link(token)


@user_app.command("list")
def user_list(config: ConfigOption = None, data_dir: DataDirOption = None) -> None:
    """List the users."""

    async def work(access: AccessControl) -> Any:
        return access.administration.users()

    table = Table("user", "role", "state", "second factor", "created", box=None, pad_edge=False)
    for user in _with_access(config, data_dir, "", work):
        state = "disabled" if user.disabled else "active" if user.password_hash else "no password yet"
        table.add_row(user.username, user.role, state, "yes" if user.totp_confirmed else "no", user.created[:19])
    out.print(table)


@user_app.command("password")
def user_password(
    name: NameArgument,
    password_stdin: PasswordStdin = False,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Set a user's password; the user's sessions end."""
    password = _password(password_stdin)

    async def work(access: AccessControl) -> None:
        await access.administration.change_user(name, password=password)

    _with_access(config, data_dir, f"user password {name}", work)
    out.print(f"The password of {name} is set.", highlight=False)


@user_app.command("role")
def user_role(
    name: NameArgument,
    role: Annotated[Role, typer.Argument(help="What the user may do")],
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Give a user another role."""

    async def work(access: AccessControl) -> None:
        await access.administration.change_user(name, role=role)

    _with_access(config, data_dir, f"user role {name} {role}", work)
    out.print(f"{name} is {role} now.", highlight=False)


@user_app.command("disable")
def user_disable(name: NameArgument, config: ConfigOption = None, data_dir: DataDirOption = None) -> None:
    """Let a user in no more; sessions end, API keys are good for nothing."""
    _set_disabled(name, True, config, data_dir)


@user_app.command("enable")
def user_enable(name: NameArgument, config: ConfigOption = None, data_dir: DataDirOption = None) -> None:
    """Let a user in again."""
    _set_disabled(name, False, config, data_dir)


def _set_disabled(name: str, disabled: bool, config: Path | None, data_dir: Path | None) -> None:
    word = "disable" if disabled else "enable"

    async def work(access: AccessControl) -> None:
        await access.administration.change_user(name, disabled=disabled)

    _with_access(config, data_dir, f"user {word} {name}", work)
    out.print(f"{name} is {word}d.", highlight=False)


@user_app.command("link")
def user_link(name: NameArgument, config: ConfigOption = None, data_dir: DataDirOption = None) -> None:
    """Print a one-time login link, by which a new password can be set."""

    async def work(access: AccessControl) -> str:
        access.administration.user(name)
        return await access.logins.make_link(name)

    _print_link(_with_access(config, data_dir, f"user link {name}", work))


def _print_link(token: str) -> None:
    err.print(f"Once, within {LINK_LIFETIME_S // 60} minutes, at the address of the service:", highlight=False)
    out.print(f"/login#token={token}", highlight=False, soft_wrap=True)


@user_app.command("totp-remove")
def user_totp_remove(name: NameArgument, config: ConfigOption = None, data_dir: DataDirOption = None) -> None:
    """Take the second factor off a user who has lost it. It is set up over the API: POST /api/v1/auth/totp."""

    async def work(access: AccessControl) -> None:
        access.administration.user(name)
        await access.logins.remove_totp(name)

    _with_access(config, data_dir, f"user totp-remove {name}", work)
    out.print(f"{name} logs in by the password alone.", highlight=False)


@token_app.command("create")
def token_create(
    name: Annotated[str, typer.Argument(help="What it is for")],
    user: Annotated[str | None, typer.Option(help="Whose it is; default: the only admin")] = None,
    scope: Annotated[
        list[Scope] | None, typer.Option(help="What it may do; repeatable. Default: all that the user may")
    ] = None,
    network: Annotated[
        list[str] | None, typer.Option(help="Where it may be used: an address or network; repeatable")
    ] = None,
    days: Annotated[float | None, typer.Option(min=0.001, help="How long it is good; default: for ever")] = None,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Make an API key and print it, this once: KEY=$(vnpy-core token create tour)."""
    expires = None if days is None else datetime.fromtimestamp(time.time(), UTC) + timedelta(days=days)

    async def work(access: AccessControl) -> tuple[str, Any]:
        return await access.administration.add_api_key(
            user or _only_admin(access), name, within=frozenset(Scope), scopes=scope or None, networks=network or (),
            expires=expires,
        )  # fmt: skip

    key, record = _with_access(config, data_dir, f"token create {name}", work)
    scopes = ", ".join(record.scopes)
    err.print(f"API key {record.key_id} of {record.username}: {scopes}", highlight=False, soft_wrap=True)
    out.print(key, highlight=False, soft_wrap=True)


def _only_admin(access: AccessControl) -> str:
    admins = [u.username for u in access.administration.users() if u.role is Role.ADMIN and not u.disabled]
    if len(admins) != 1:
        raise Invalid(f"--user: say whose it is to be; there are {', '.join(admins) or 'no admins'}.")
    return admins[0]


@token_app.command("list")
def token_list(config: ConfigOption = None, data_dir: DataDirOption = None) -> None:
    """List the API keys; the keys themselves are not kept."""

    async def work(access: AccessControl) -> Any:
        return access.administration.api_keys()

    table = Table("id", "name", "user", "scopes", "expires", "last used", "state", box=None, pad_edge=False)
    for key in _with_access(config, data_dir, "", work):
        state = "revoked" if key.revoked else "expired" if (key.expires or "9") <= now_timestamp() else "good"
        table.add_row(
            key.key_id, escape(key.name), key.username, " ".join(key.scopes), (key.expires or "never")[:19],
            (key.last_used or "never")[:19], state,
        )  # fmt: skip
    out.print(table)


@token_app.command("revoke")
def token_revoke(
    key_id: Annotated[str, typer.Argument(help="Its id, or its name if that is only one's")],
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Make an API key good for nothing."""

    async def work(access: AccessControl) -> Any:
        keys = access.administration.api_keys()
        found = [k.key_id for k in keys if k.key_id == key_id or (k.name == key_id and k.revoked is None)]
        if len(found) != 1:
            raise NotFound(f"{len(found)} API keys are {key_id!r}. `vnpy-core token list` shows them.")
        return await access.administration.revoke_api_key(found[0])

    record = _with_access(config, data_dir, f"token revoke {key_id}", work)
    out.print(f"API key {record.key_id} ({escape(record.name)}) is revoked.", highlight=False, soft_wrap=True)
