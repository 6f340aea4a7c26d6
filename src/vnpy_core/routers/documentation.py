"""``/docs``, which is Swagger UI from our own files, so that it needs no network; and ``/asyncapi.json``."""

from functools import cache
from pathlib import Path

import msgspec
from fastapi import APIRouter
from starlette.responses import HTMLResponse, Response
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


def create_documentation_router() -> APIRouter:
    """Return the routes; ``vendor_mount`` holds the files that the page loads."""
    router = APIRouter(include_in_schema=False)
    headers = content_policy(_SCRIPT, style="'unsafe-inline'")  # Swagger UI sets styles of its own

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
