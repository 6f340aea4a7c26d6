"""The auth routes: logging in, users, API keys, tickets, and the audit log."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from vnpy_core.enums import Scope
from vnpy_core.errors import Conflict, Forbidden, NotFound
from vnpy_core.routers import auth_answers as answers
from vnpy_core.routers.auth_requests import (
    ApiKeyBody,
    AuditQuery,
    CodeBody,
    ConfirmBody,
    LinkBody,
    LoginBody,
    PasswordBody,
    RefreshBody,
    UserBody,
    UserChangeBody,
)
from vnpy_core.routers.gate import identity_of
from vnpy_core.routers.openapi import answer
from vnpy_core.routers.pages import encoded
from vnpy_core.routers.requests import NO_QUERY
from vnpy_core.routers.service import Service
from vnpy_core.security.authenticator import TICKET_LIFETIME_S
from vnpy_core.security.identity import CredentialKind, Identity
from vnpy_core.security.scopes import SCOPES_OF_ROLE

UserPath = Annotated[str, Path(description="User / 用户名", examples=["desk"])]
KeyPath = Annotated[str, Path(description="API key / API 密钥编号", examples=["9c0de1"])]
SessionPath = Annotated[str, Path(description="Session / 会话编号", examples=["8e1f0a7c"])]


def create_auth_router(service: Service) -> APIRouter:
    """Return the routes under ``/auth``."""
    router = APIRouter(prefix="/auth", tags=["auth"], dependencies=[])
    _add_logins(router, service)
    _add_self(router, service)
    _add_sessions(router, service)
    _add_api_keys(router, service)
    _add_users(router, service)
    _add_audit(router, service)
    return router


def _add_logins(router: APIRouter, service: Service) -> None:
    tokens = answer(answers.TOKENS, "The session's tokens / 会话令牌", 401, 503)

    @router.post(
        "/login",
        operation_id="login",
        summary="Log in / 登录",
        description=(
            "401 `totp_required`: the password was right, give `totp` too. 429 `account_locked`: too many wrong "
            "passwords. 401 `totp_required` 表示还需动态验证码；429 `account_locked` 表示账户已锁定。"
        ),
        responses=tokens,
        dependencies=NO_QUERY,
    )
    async def login(request: Request, body: LoginBody) -> Response:
        logins = service.access.logins
        grant = await logins.login(body.username, body.password, body.totp, *_from(request))
        return encoded(answers.tokens_of(grant))

    @router.post(
        "/login-link",
        operation_id="login_by_link",
        summary="Log in by a one-time link, and set a password / 使用一次性链接登录并设置密码",
        responses=tokens,
        dependencies=NO_QUERY,
    )
    async def login_by_link(request: Request, body: LinkBody) -> Response:
        grant = await service.access.logins.login_by_link(body.token, body.password, *_from(request))
        return encoded(answers.tokens_of(grant))

    @router.post(
        "/refresh",
        operation_id="refresh_tokens",
        summary="Get new tokens for a refresh token / 刷新令牌",
        description=(
            "Each refresh token is good once. A second use ends the session: somebody has copied it. "
            "刷新令牌只能使用一次，重复使用将终止会话。"
        ),
        responses=tokens,
        dependencies=NO_QUERY,
    )
    async def refresh_tokens(body: RefreshBody) -> Response:
        return encoded(answers.tokens_of(await service.access.logins.refresh(body.refresh_token)))


def _add_self(router: APIRouter, service: Service) -> None:
    done = answer(answers.Done(), "It is done / 已完成", 401, 409, 503)

    @router.get(
        "/me",
        operation_id="get_me",
        summary="Who I am, and what I may do / 当前身份与权限",
        responses=answer(answers.ME, "The identity / 身份"),
        dependencies=NO_QUERY,
    )
    async def get_me(request: Request) -> Response:
        identity = identity_of(request.scope)
        return encoded(answers.me_of(identity, service.access.directory.users.get(identity.username)))

    @router.post(
        "/logout",
        operation_id="logout",
        summary="End this session / 退出登录",
        responses=done,
        dependencies=NO_QUERY,
    )
    async def logout(request: Request) -> Response:
        await service.access.logins.end(_session_of(request).credential_id)
        return encoded(answers.Done())

    @router.post(
        "/ws-ticket",
        operation_id="create_ws_ticket",
        summary="Get a ticket for one WebSocket / 获取一次性 WebSocket 票据",
        description="For clients that cannot send headers: `/ws?ticket=…`. 用于无法设置请求头的客户端。",
        responses=answer(answers.Ticket(ticket="vct_1f.c2VjcmV0", expires_in=60), "The ticket / 票据", 503),
        dependencies=NO_QUERY,
    )
    async def create_ws_ticket(request: Request) -> Response:
        ticket = service.access.authenticator.issue_ticket(identity_of(request.scope))
        return encoded(answers.Ticket(ticket=ticket, expires_in=TICKET_LIFETIME_S))

    @router.post(
        "/password",
        operation_id="change_password",
        summary="Change my password; my other sessions end / 修改密码并终止其他会话",
        responses=done,
        dependencies=NO_QUERY,
    )
    async def change_password(request: Request, body: PasswordBody) -> Response:
        identity, logins = _session_of(request), service.access.logins
        await logins.confirm_password(identity.username, body.current_password)
        await logins.set_password(identity.username, body.new_password)
        await logins.end_all(identity.username, but=identity.credential_id)
        return encoded(answers.Done())

    @router.post(
        "/totp",
        operation_id="begin_totp",
        summary="Begin to set up a second factor / 设置双重验证",
        responses=answer(
            answers.TotpSecret(secret="JBSWY3DPEHPK3PXP", uri="otpauth://totp/VnPy%20Core:admin"),  # noqa: S106
            "For the authenticator / 验证器密钥", 401, 409, 503,
        ),
        dependencies=NO_QUERY,
    )  # fmt: skip
    async def begin_totp(request: Request, body: ConfirmBody) -> Response:
        identity, logins = _session_of(request), service.access.logins
        await logins.confirm_password(identity.username, body.password)
        secret, uri = await logins.begin_totp(identity.username)
        return encoded(answers.TotpSecret(secret=secret, uri=uri))

    @router.post(
        "/totp/confirm",
        operation_id="confirm_totp",
        summary="Have the second factor count from now on / 启用双重验证",
        responses=done,
        dependencies=NO_QUERY,
    )
    async def confirm_totp(request: Request, body: CodeBody) -> Response:
        await service.access.logins.confirm_totp(_session_of(request).username, body.code)
        return encoded(answers.Done())

    @router.post(
        "/totp/remove",
        operation_id="remove_totp",
        summary="Do without the second factor / 关闭双重验证",
        responses=done,
        dependencies=NO_QUERY,
    )
    async def remove_totp(request: Request, body: ConfirmBody) -> Response:
        identity, logins = _session_of(request), service.access.logins
        await logins.confirm_password(identity.username, body.password)
        await logins.remove_totp(identity.username)
        return encoded(answers.Done())


def _add_sessions(router: APIRouter, service: Service) -> None:
    @router.get(
        "/sessions",
        operation_id="list_login_sessions",
        summary="List the sessions: mine, or everybody's for an admin / 查询登录会话",
        responses=answer(answers.LoginSessionPage(sessions=[answers.SESSION], next_cursor=None), "Sessions / 会话列表"),
        dependencies=NO_QUERY,
    )
    async def list_login_sessions(request: Request) -> Response:
        owner = _owner(identity_of(request.scope))
        found = [s for s in service.access.directory.sessions.values() if owner in (None, s.username)]
        sessions = [answers.session_of(record) for record in sorted(found, key=lambda record: record.created)]
        return encoded(answers.LoginSessionPage(sessions=sessions, next_cursor=None))

    @router.delete(
        "/sessions/{session_id}",
        operation_id="end_login_session",
        summary="End a session, at once / 终止会话",
        responses=answer(answers.Done(), "It has ended / 已终止", 404, 503),
        dependencies=NO_QUERY,
    )
    async def end_login_session(request: Request, session_id: SessionPath) -> Response:
        owner = _owner(identity_of(request.scope))
        session = service.access.directory.sessions.get(session_id)
        if session is None or owner not in (None, session.username):
            raise NotFound(f"There is no session {session_id!r}.", code="unknown_session")
        await service.access.logins.end(session_id)
        return encoded(answers.Done())


def _add_api_keys(router: APIRouter, service: Service) -> None:
    @router.get(
        "/api-keys",
        operation_id="list_api_keys",
        summary="List the API keys: mine, or everybody's for an admin / 查询 API 密钥",
        responses=answer(answers.ApiKeyPage(api_keys=[answers.API_KEY], next_cursor=None), "The keys / 密钥列表"),
        dependencies=NO_QUERY,
    )
    async def list_api_keys(request: Request) -> Response:
        keys = service.access.administration.api_keys(_owner(identity_of(request.scope)))
        return encoded(answers.ApiKeyPage(api_keys=[answers.api_key_of(key) for key in keys], next_cursor=None))

    @router.post(
        "/api-keys",
        status_code=201,
        operation_id="create_api_key",
        summary="Make an API key / 创建 API 密钥",
        description="The key is shown this once. Its scopes are among yours. 密钥只显示一次，权限不超过你的权限。",
        responses=answer(answers.NEW_API_KEY, "The key / 新密钥", 404, 503, status=201),
        dependencies=NO_QUERY,
    )
    async def create_api_key(request: Request, body: ApiKeyBody) -> Response:
        identity = identity_of(request.scope)
        if identity.kind is CredentialKind.API_KEY:
            # What is revoked must not live on in what it has made.
            identity.require(Scope.ADMIN)
        username = body.username or identity.username
        if username != identity.username:
            identity.require(Scope.ADMIN)
        key, record = await service.access.administration.add_api_key(
            username, body.name, within=identity.scopes, scopes=body.scopes, networks=body.networks,
            expires=body.expires,
        )  # fmt: skip
        return encoded(answers.new_api_key_of(record, key), 201)

    @router.delete(
        "/api-keys/{key_id}",
        operation_id="revoke_api_key",
        summary="Revoke an API key, at once / 吊销 API 密钥",
        responses=answer(answers.API_KEY, "It is good for nothing now / 已吊销", 404, 503),
        dependencies=NO_QUERY,
    )
    async def revoke_api_key(request: Request, key_id: KeyPath) -> Response:
        owner = _owner(identity_of(request.scope))
        return encoded(answers.api_key_of(await service.access.administration.revoke_api_key(key_id, of=owner)))


def _add_users(router: APIRouter, service: Service) -> None:
    @router.get(
        "/users",
        operation_id="list_users",
        summary="List the users / 查询用户",
        responses=answer(answers.UserPage(users=[answers.USER], next_cursor=None), "The users / 用户列表"),
        dependencies=NO_QUERY,
    )
    async def list_users() -> Response:
        users = [answers.user_of(user, SCOPES_OF_ROLE[user.role]) for user in service.access.administration.users()]
        return encoded(answers.UserPage(users=users, next_cursor=None))

    @router.post(
        "/users",
        status_code=201,
        operation_id="add_user",
        summary="Add a user / 添加用户",
        responses=answer(answers.USER, "The user / 新用户", 409, 503, status=201),
        dependencies=NO_QUERY,
    )
    async def add_user(body: UserBody) -> Response:
        user = await service.access.administration.add_user(body.username, body.role, body.password)
        link = await service.access.logins.make_link(user.username) if body.password is None else None
        return encoded(answers.user_of(user, SCOPES_OF_ROLE[user.role], link), 201)

    @router.get(
        "/users/{username}",
        operation_id="get_user",
        summary="Get a user / 查询单个用户",
        responses=answer(answers.USER, "The user / 用户", 404),
        dependencies=NO_QUERY,
    )
    async def get_user(username: UserPath) -> Response:
        user = service.access.administration.user(username)
        return encoded(answers.user_of(user, SCOPES_OF_ROLE[user.role]))

    @router.patch(
        "/users/{username}",
        operation_id="change_user",
        summary="Change a user's role or password, disable him / 修改或停用用户",
        description=(
            "Effective at once: sessions and WebSockets of who is disabled or gets a new password end. "
            "立即生效：停用或重置密码会终止其会话与 WebSocket。"
        ),
        responses=answer(answers.USER, "The user now / 修改后的用户", 404, 409, 503),
        dependencies=NO_QUERY,
    )
    async def change_user(username: UserPath, body: UserChangeBody) -> Response:
        user = await service.access.administration.change_user(
            username, role=body.role, disabled=body.disabled, password=body.password
        )
        return encoded(answers.user_of(user, SCOPES_OF_ROLE[user.role]))


def _add_audit(router: APIRouter, service: Service) -> None:
    @router.get(
        "/audit",
        operation_id="list_audit_entries",
        summary="List the audit log, newest first / 查询审计日志",
        description=(
            "Entries come from the journal, usually within a tenth of a second. They cannot be changed or deleted. "
            "记录来自事件日志，不可修改或删除。"
        ),
        responses=answer(answers.AuditPage(entries=[answers.ENTRY], next_cursor=None), "The entries / 审计记录", 503),
    )
    async def list_audit_entries(query: Annotated[AuditQuery, Query()]) -> Response:
        entries = await service.access.entries(query.which(), query.cursor, query.limit + 1)
        more = len(entries) > query.limit
        page = list(entries[: query.limit])
        return encoded(answers.AuditPage(entries=page, next_cursor=page[-1].audit_id if more else None))


def _from(request: Request) -> tuple[str, str]:
    """Return the address that asks, and what program it says it is."""
    return request.client.host if request.client is not None else "", request.headers.get("user-agent", "")


def _session_of(request: Request) -> Identity:
    """Return who asks, if that is somebody who has logged in.

    Raises:
        Forbidden: it is an API key.
    """
    identity = identity_of(request.scope)
    if identity.kind is CredentialKind.NOBODY_ASKED:
        raise Conflict("Nobody logs in: security.authentication is off.", code="authentication_off")
    if identity.kind is not CredentialKind.SESSION:
        raise Forbidden("This is for users who have logged in, not for API keys.", code="session_needed")
    return identity


def _owner(identity: Identity) -> str | None:
    """Return whose things may be seen; ``None``: everybody's."""
    return None if Scope.ADMIN in identity.scopes else identity.username
