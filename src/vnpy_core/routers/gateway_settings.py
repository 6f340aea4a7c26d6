"""The routes of what was given over the API to connect gateways by: their names, never their values."""

from typing import Annotated

from fastapi import APIRouter, Path, Response

from vnpy_core.routers import examples
from vnpy_core.routers.answers import GivenSettingPage, SettingForgotten
from vnpy_core.routers.openapi import answer
from vnpy_core.routers.pages import encoded
from vnpy_core.routers.requests import NO_QUERY
from vnpy_core.routers.service import Service
from vnpy_core.trading.results import GivenSetting

GatewayPath = Annotated[str, Path(description="Gateway / 接口名", examples=["CTP"])]
EXAMPLE = GivenSetting(
    gateway_name="CTP", names=["密码", "授权编码"], updated=examples.INTENT.created, readable=True
)


def create_gateway_settings_router(service: Service) -> APIRouter:
    """Return the routes under ``/trading/gateway-settings``."""
    router = APIRouter(prefix="/trading/gateway-settings", tags=["trading"])

    @router.get(
        "",
        operation_id="list_gateway_settings",
        summary="List what was given over the API to connect gateways by / 查询经 API 提交的接口连接参数",
        description=(
            "The names alone; values are kept encrypted and are shown nowhere. What connect was given is kept once it "
            "has led to a connection, and goes over the configured setting from then on, also after a restart. "
            "仅返回参数名；参数值加密保存且不会显示。连接成功后保存，重启后继续覆盖配置的参数。"
        ),
        responses=answer(
            GivenSettingPage(gateway_settings=[EXAMPLE], next_cursor=None), "By gateway / 各接口的参数名"
        ),
        dependencies=NO_QUERY,
    )
    async def list_gateway_settings() -> Response:
        return encoded(GivenSettingPage(gateway_settings=list(service.given_settings.kept()), next_cursor=None))

    @router.delete(
        "/{name}",
        operation_id="forget_gateway_setting",
        summary="Forget what was given over the API for a gateway / 删除经 API 提交的接口连接参数",
        description=(
            "It is connected as it is configured, from the next time on; a connection that is there stays. "
            "下次连接起仅使用配置文件中的参数，现有连接不受影响。"
        ),
        responses=answer(SettingForgotten(gateway_name="CTP"), "It is forgotten / 已删除", 404, 503),
        dependencies=NO_QUERY,
    )
    async def forget_gateway_setting(name: GatewayPath) -> Response:
        await service.gateways.forget_setting(name)
        return encoded(SettingForgotten(gateway_name=name))

    return router
