"""What clients may ask of ``/auth``: bodies and query parameters."""

from datetime import datetime
from typing import Annotated

from pydantic import ConfigDict, Field

from vnpy_core.data.access import AuditFilter
from vnpy_core.enums import Role, Scope
from vnpy_core.models import to_timestamp
from vnpy_core.routers.requests import Body, Moment, Page, Text
from vnpy_core.security.passwords import MAX_LENGTH, MIN_LENGTH

# Whatever is longer is refused before any of it is hashed.
Secret = Annotated[str, Field(min_length=1, max_length=MAX_LENGTH)]
NewPassword = Annotated[str, Field(min_length=MIN_LENGTH, max_length=MAX_LENGTH)]
Username = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$", examples=["admin"])]
Code = Annotated[str, Field(pattern=r"^[0-9]{6}$", description="Of the authenticator / 动态验证码")]


class LoginBody(Body):
    """Who logs in."""

    username: Annotated[str, Field(min_length=1, max_length=64)]
    password: Secret
    totp: Annotated[Code | None, Field(description="If a second factor is set up / 启用双重验证时必填")] = None

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"username": "admin", "password": "correct horse battery"}]}
    )


class LinkBody(Body):
    """A one-time login link's token, and the password that is to be good from now on."""

    token: Secret
    password: Annotated[NewPassword | None, Field(description="To be set / 要设置的密码")] = None

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"token": "vcl_admin.cGFzc3dvcmQ", "password": "correct horse battery"}]}
    )


class RefreshBody(Body):
    """The refresh token, which is good once."""

    refresh_token: Secret

    model_config = ConfigDict(json_schema_extra={"examples": [{"refresh_token": "vcr_8e1f0a7c.c2VjcmV0"}]})


class PasswordBody(Body):
    """The password as it is, and as it is to be."""

    current_password: Secret
    new_password: NewPassword

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"current_password": "correct horse", "new_password": "battery staple"}]}
    )


class ConfirmBody(Body):
    """The password, to show that it is still the user himself."""

    password: Secret

    model_config = ConfigDict(json_schema_extra={"examples": [{"password": "correct horse battery"}]})


class CodeBody(Body):
    code: Code

    model_config = ConfigDict(json_schema_extra={"examples": [{"code": "123456"}]})


class UserBody(Body):
    """A user to add. Without a password a login link is answered."""

    username: Username
    role: Annotated[Role, Field(strict=False)]
    password: NewPassword | None = None

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"username": "desk", "role": "trader", "password": "correct horse battery"}]}
    )


class UserChangeBody(Body):
    """What is to be different; what is left out stays as it is."""

    role: Annotated[Role | None, Field(strict=False)] = None
    disabled: bool | None = None
    password: NewPassword | None = None

    model_config = ConfigDict(json_schema_extra={"examples": [{"disabled": True}]})


class ApiKeyBody(Body):
    """An API key to make."""

    name: Annotated[str, Field(min_length=1, max_length=64, description="What it is for / 用途", examples=["desk"])]
    scopes: Annotated[
        list[Annotated[Scope, Field(strict=False)]] | None,
        Field(min_length=1, max_length=len(Scope), description="Default: all that you have / 默认：你的全部权限"),
    ] = None
    networks: Annotated[
        list[Text],
        Field(max_length=100, description="Where it may be used: addresses, networks / 允许使用的地址或网段"),
    ] = Field(default_factory=list)
    expires: Annotated[Moment | None, Field(description="Default: never / 默认永不过期")] = None
    username: Annotated[Username | None, Field(description="Its owner; takes admin / 所属用户，需 admin")] = None

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"name": "desk", "scopes": ["trading:read", "trading:write"], "networks": ["10.0.0.0/24"]}]
        }
    )


class AuditQuery(Page):
    """Which entries; every filter given must hold."""

    cursor: Annotated[
        str | None,
        Field(pattern=r"^[0-9a-f-]{1,64}$", description="next_cursor of the page before / 上一页的 next_cursor"),
    ] = None
    actor: Annotated[Text | None, Field(description="Who / 用户")] = None
    action: Annotated[Text | None, Field(description="What it begins with / 操作前缀")] = None
    request_id: Text | None = None
    since: Annotated[Moment | None, Field(description="Not before this moment / 不早于此时刻")] = None
    until: Annotated[Moment | None, Field(description="Before this moment / 早于此时刻")] = None

    def which(self) -> AuditFilter:
        return AuditFilter(
            actor=self.actor, action=self.action, request_id=self.request_id,
            since=_wire(self.since), until=_wire(self.until),
        )  # fmt: skip


def _wire(moment: datetime | None) -> str | None:
    return to_timestamp(moment) if moment is not None else None
