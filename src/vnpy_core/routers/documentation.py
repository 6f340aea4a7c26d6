"""``/docs``, which is Swagger UI from our own files, so that it needs no network; ``/asyncapi.json``; and ``/``."""

from functools import cache
from pathlib import Path

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from vnpy_core.routers.asyncapi import asyncapi_document
from vnpy_core.routers.login_page import content_policy

VENDOR = Path(__file__).parent.parent / "web" / "vendor"

_SCRIPT = """
SwaggerUIBundle({
  url: "/openapi.json", dom_id: "#swagger-ui", deepLinking: true, filter: true, tryItOutEnabled: true,
  docExpansion: "list", defaultModelsExpandDepth: 0, validatorUrl: null
});
"""
_PAGE = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>VnPy Core API</title>
<link rel="stylesheet" href="/vendor/swagger-ui/swagger-ui.css">
<link rel="icon" type="image/png" href="/vendor/swagger-ui/favicon-32x32.png">
</head>
<body>
<div id="swagger-ui"></div>
<script src="/vendor/swagger-ui/swagger-ui-bundle.js"></script>
<script>{_SCRIPT}</script>
</body>
</html>
"""

_ENTRANCE = {
    "service": "vnpy-core", "documentation": "/docs", "login": "/login", "api": "/api/v1", "websocket": "/ws",
    "health": "/health/ready",
}  # fmt: skip


def create_documentation_router() -> APIRouter:
    """Return the routes; ``vendor_mount`` holds the files that the page loads."""
    router = APIRouter(include_in_schema=False)
    headers = content_policy(_SCRIPT, style="'unsafe-inline'")  # Swagger UI sets styles of its own

    @router.get("/")
    async def entrance(request: Request) -> Response:
        """Lead a browser to the documentation, and tell anything else where that is."""
        if "text/html" in request.headers.get("accept", ""):
            return RedirectResponse("/docs", headers={"vary": "accept"})
        return Response(
            msgspec.json.encode(_ENTRANCE), media_type="application/json", headers={"vary": "accept"}
        )

    @router.get("/docs")
    async def documentation() -> HTMLResponse:
        return HTMLResponse(_PAGE, headers=headers)

    @router.get("/asyncapi.json")
    async def asyncapi() -> Response:
        return Response(_asyncapi(), media_type="application/json")

    return router


@cache
def _asyncapi() -> bytes:
    return msgspec.json.encode(asyncapi_document())


def vendor_mount() -> Mount:
    return Mount("/vendor", StaticFiles(directory=VENDOR), name="vendor")
