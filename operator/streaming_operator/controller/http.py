"""
The operator's own HTTP side: /livez and /readyz in the main loop, /metrics rendered in a thread beside it.

kopf's liveness endpoint vanishes whenever kopf is restarted, so it is not used. Nothing here decides.
"""

import asyncio
from collections.abc import Callable

from aiohttp import web
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from streaming_operator.metrics import REGISTRY

SHUTDOWN_SECONDS = 2.0
"""Time for a scrape that is under way at stop."""

Check = Callable[[], str | None]
"""Returns what is wrong, or None."""


def application(live: Check, ready: Check) -> web.Application:
    """Build the three routes; each check is asked anew at every request."""

    def answer(check: Check) -> web.Response:
        wrong = check()
        return web.Response(text=f"{wrong or 'ok'}\n", status=503 if wrong else 200)

    async def livez(_: web.Request) -> web.Response:
        return answer(live)

    async def readyz(_: web.Request) -> web.Response:
        return answer(ready)

    async def metrics(_: web.Request) -> web.Response:
        text = await asyncio.to_thread(generate_latest, REGISTRY)  # half a second for thousands of endpoints
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.router.add_get("/livez", livez)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", metrics)
    return app


async def serve(app: web.Application, port: int) -> web.AppRunner:
    """Listen on all addresses; the returned runner is cleaned up by its owner."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)
    await runner.setup()
    await web.TCPSite(runner, port=port).start()
    return runner
