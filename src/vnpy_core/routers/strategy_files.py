"""The routes of uploaded strategy files: their versions, sources and differences."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from vnpy_core.routers.gate import identity_of
from vnpy_core.routers.openapi import answer
from vnpy_core.routers.pages import encoded
from vnpy_core.routers.requests import NO_QUERY
from vnpy_core.routers.service import Service
from vnpy_core.routers.strategy_file_requests import (
    DIFF_EXAMPLE,
    EXAMPLE,
    FILE_EXAMPLE,
    MAX_VERSION,
    SOURCE_EXAMPLE,
    DiffQuery,
    FilesQuery,
    RollbackBody,
    UploadBody,
    VersionsQuery,
)
from vnpy_core.strategies.code_check import FILE_NAME
from vnpy_core.strategy_files import FilePage, VersionPage

FileName = Annotated[
    str, Path(pattern=FILE_NAME, description="Strategy file / 策略文件名", examples=["breakout.py"])
]
VersionPath = Annotated[int, Path(ge=1, le=MAX_VERSION, description="Version / 版本号", examples=[3])]


def create_strategy_files_router(service: Service) -> APIRouter:
    """Return the routes under ``/strategy-files``."""
    router = APIRouter(prefix="/strategy-files", tags=["strategies"])
    _add_reading(router, service)
    _add_changes(router, service)
    return router


def _add_reading(router: APIRouter, service: Service) -> None:
    @router.get(
        "",
        operation_id="list_strategy_files",
        summary="List the uploaded strategy files / 查询已上传的策略文件",
        responses=answer(FilePage(strategy_files=[FILE_EXAMPLE], next_cursor=None), "The files / 文件列表", 503),
    )
    @router.get("/", include_in_schema=False)
    async def list_strategy_files(query: Annotated[FilesQuery, Query()]) -> Response:
        found = list(await service.code.files(query.cursor or "", query.limit + 1))
        more = len(found) > query.limit
        found = found[: query.limit]
        return encoded(FilePage(strategy_files=found, next_cursor=found[-1].file_name if more else None))

    @router.get(
        "/{file_name}/versions",
        operation_id="list_strategy_file_versions",
        summary="List the versions of a strategy file / 查询策略文件的版本",
        responses=answer(VersionPage(versions=[EXAMPLE], next_cursor=None), "Newest first / 由新到旧", 404, 503),
    )
    async def list_strategy_file_versions(file_name: FileName, query: Annotated[VersionsQuery, Query()]) -> Response:
        found = list(await service.code.versions(file_name, query.cursor, query.limit + 1))
        more = len(found) > query.limit
        found = found[: query.limit]
        return encoded(VersionPage(versions=found, next_cursor=str(found[-1].version) if more else None))

    @router.get(
        "/{file_name}",
        operation_id="get_strategy_file",
        summary="Get a strategy file as it is now / 查询策略文件的当前版本",
        responses=answer(SOURCE_EXAMPLE, "Its last version, with source / 最新版本（含源码）", 404, 503),
        dependencies=NO_QUERY,
    )
    async def get_strategy_file(file_name: FileName) -> Response:
        return encoded(await service.code.get(file_name))

    @router.get(
        "/{file_name}/versions/{version}",
        operation_id="get_strategy_file_version",
        summary="Get a version of a strategy file / 查询策略文件的某一版本",
        responses=answer(SOURCE_EXAMPLE, "The version, with source / 该版本（含源码）", 404, 503),
        dependencies=NO_QUERY,
    )
    async def get_strategy_file_version(file_name: FileName, version: VersionPath) -> Response:
        return encoded(await service.code.get(file_name, version))

    @router.get(
        "/{file_name}/diff",
        operation_id="diff_strategy_file",
        summary="Compare two versions of a strategy file / 比较策略文件的两个版本",
        responses=answer(DIFF_EXAMPLE, "A unified diff / 统一格式差异", 404, 503),
    )
    async def diff_strategy_file(file_name: FileName, query: Annotated[DiffQuery, Query()]) -> Response:
        return encoded(await service.code.diff(file_name, query.from_version, query.to_version))


def _add_changes(router: APIRouter, service: Service) -> None:
    checked = (
        "It is imported in a process of its own before it is accepted; 422 says what is wrong, with `traceback`. "
        "Strategies that run go on with the version they have until they are reloaded. "
        "接受前会在独立进程中导入检查；未通过返回 422 与 `traceback`。运行中的策略在重载之前继续使用原版本。"
    )
    errors = (409, 503)

    @router.post(
        "/{file_name}/versions",
        status_code=201,
        operation_id="upload_strategy_file",
        summary="Upload a version of a strategy file / 上传策略文件的新版本",
        description=checked,
        responses=answer(EXAMPLE, "It was accepted / 已接受", *errors, status=201),
        dependencies=NO_QUERY,
    )
    async def upload_strategy_file(request: Request, file_name: FileName, body: UploadBody) -> Response:
        made = await service.code.upload(
            file_name, body.source, comment=body.comment, by=identity_of(request.scope).username,
            replaces=body.replaces,
        )  # fmt: skip
        return encoded(made, 201)

    @router.post(
        "/{file_name}/rollback",
        status_code=201,
        operation_id="rollback_strategy_file",
        summary="Make an earlier version the last one again / 回滚到较早版本",
        description=f"A new version that is equal to it. 生成与其相同的新版本。{checked}",
        responses=answer(EXAMPLE, "The new version / 新版本", 404, *errors, status=201),
        dependencies=NO_QUERY,
    )
    async def rollback_strategy_file(request: Request, file_name: FileName, body: RollbackBody) -> Response:
        by = identity_of(request.scope).username
        return encoded(await service.code.rollback(file_name, body.version, comment=body.comment, by=by), 201)

    @router.delete(
        "/{file_name}",
        operation_id="delete_strategy_file",
        summary="Take a strategy file that nothing uses out of use / 停用未被使用的策略文件",
        description="Its versions are kept. 历史版本会保留。",
        responses=answer(EXAMPLE, "What is noted of it / 删除记录", 404, *errors),
        dependencies=NO_QUERY,
    )
    async def delete_strategy_file(request: Request, file_name: FileName) -> Response:
        by = identity_of(request.scope).username
        return encoded(await service.code.delete(file_name, comment="", by=by))
