"""The peer's web process: vnpy_webtrader's own application, told which event loop it runs in.

vnpy_webtrader takes ``asyncio.get_event_loop()`` when it is imported. That is not the loop today's uvicorn serves it
in, and its WebSocket push then delivers nothing. Setting the loop when the application starts is all that is changed.
"""

import asyncio

from vnpy_webtrader import web

app = web.app


@app.on_event("startup")
async def use_the_running_loop() -> None:
    web.event_loop = asyncio.get_running_loop()
