"""The ``Idempotency-Key`` header: a request that comes again with its key is answered as it was the first time."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated

from fastapi import Header, Response
from starlette.types import Scope

from vnpy_core.errors import Conflict, CoreError
from vnpy_core.models import KeyUse, OrderIntent
from vnpy_core.routers.gate import identity_of
from vnpy_core.routers.problems import MEDIA_TYPE, id_of, problem_of
from vnpy_core.routers.service import Service
from vnpy_core.trading.idempotency import Answer

REPLAYED = "Idempotency-Replayed"

KEY_PATTERN = r"^[\x21-\x7e]{1,128}$"
KeyHeader = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=KEY_PATTERN,
        description=(
            "Your name for this request. Come with it again and you get the first answer again, with the header "
            f"`{REPLAYED}: true`, and nothing is done twice, also after a restart; while the first is under way the "
            "second waits for it. With another body it is refused (409). After a 503 nothing was sent and it may be "
            "used again. 本次请求的标识：重复使用时返回首次的应答且不会重复执行（重启后亦然）；"
            "请求体不同则拒绝（409）；503 后可再用。"
        ),
        examples=["6f1c0e9a-1"],
    ),
]


async def once(
    service: Service,
    scope: Scope,
    key: str | None,
    asked: object,
    do: Callable[[KeyUse | None], Awaitable[Response]],
    again: Callable[[Sequence[OrderIntent]], Response],
) -> Response:
    """Answer what ``do`` answers; with a ``key``, only if ``asked`` has not been answered under it before.

    ``again`` answers for intents of which the outcomes have become known since, or were before a restart.
    """
    if key is None:
        return await do(None)
    request_id = id_of(scope)

    async def first(use: KeyUse) -> Answer:
        try:
            return _answer(await do(use))
        except CoreError as error:
            return _answer(problem_of(request_id, error))

    def later(intents: Sequence[OrderIntent]) -> Answer:
        try:
            if not intents:
                raise Conflict("The request was broken off before it sent anything.", code="idempotency_key_used")
            return _answer(again(intents))
        except CoreError as error:
            return _answer(problem_of(request_id, error))

    answer = await service.idempotency.run(identity_of(scope).username, key, asked, first, later)
    return Response(
        answer.body,
        answer.status,
        headers={REPLAYED: "true"} if answer.replayed else None,
        media_type=MEDIA_TYPE if answer.status >= 400 else "application/json",
    )


def _answer(response: Response) -> Answer:
    return Answer(response.status_code, bytes(response.body))
