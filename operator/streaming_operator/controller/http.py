"""
The operator's own HTTP side: /livez and /readyz in the main loop, /metrics in a thread beside it, for readers.

kopf's liveness endpoint vanishes whenever kopf is restarted, so it is not used. Nothing here decides.
"""

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable
from functools import partial

from aiohttp import web
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from streaming_operator.cluster import Access
from streaming_operator.errors import OperatorError
from streaming_operator.metrics import REGISTRY

log = logging.getLogger(__name__)

SHUTDOWN_SECONDS = 2.0
"""Time for a scrape that is under way at stop."""

Check = Callable[[], str | None]
"""Returns what is wrong, or None."""
Authorize = Callable[[str | None, str], Awaitable[Access]]
"""Decides by the token of a request and the address that it came from."""
REFUSALS = {
    Access.UNKNOWN: "a token is needed that the API server knows (Authorization: Bearer ...), or "
    "metrics.authentication=false in the operator's chart",
    Access.FORBIDDEN: "the bearer may not get the nonResourceURL /metrics: list the service account in "
    "metrics.readers of the operator's chart",
    Access.UNDECIDED: "the API server has not decided: try again; the operator needs create on tokenreviews and "
    "subjectaccessreviews (with watchNamespaces: rbac.clusterRoles=true in its chart, or metrics.authentication=false)",
}


class Rendering:
    """
    The metrics as text, rendered in a thread and for everybody who asks meanwhile.

    A text is given for `REST` times as long as it took: rendering takes a bounded share of one processor, however many
    ask, and the text for thousands of endpoints is a few seconds old.
    """

    REST = 9.0

    def __init__(
        self,
        render: Callable[[], bytes] | None = None,
        clock: Callable[[], float] = time.monotonic,
        measure: Callable[[], None] = lambda: None,
    ) -> None:
        """*measure* sets the metrics that are read rather than counted; it is called in the main loop."""
        self._render = render or partial(generate_latest, REGISTRY)
        self._measure = measure
        self._clock = clock
        self._text, self._until = b"", -math.inf
        self._task: asyncio.Task[bytes] | None = None

    async def text(self) -> bytes:
        """The newest text; waits for a rendering that is under way."""
        if self._task is None and self._clock() < self._until:
            return self._text
        if self._task is None:
            self._task = asyncio.create_task(self._rendered(), name="metrics")
        return await asyncio.shield(self._task)  # a client that disconnects cancels it for no other

    async def _rendered(self) -> bytes:
        started = self._clock()
        try:
            self._measure()
            self._text = await asyncio.to_thread(self._render)
            ended = self._clock()
            self._until = ended + self.REST * (ended - started)
            return self._text
        finally:
            self._task = None


def application(
    live: Check,
    ready: Check,
    authorize: Authorize | None = None,
    measure: Callable[[], None] = lambda: None,
) -> web.Application:
    """
    Build the three routes; each check is asked anew at every request. /metrics is open without *authorize*.

    *measure* is called before metrics are rendered.
    """
    rendering = Rendering(measure=measure)
    logged: set[Access] = set()

    def answer(check: Check) -> web.Response:
        wrong = check()
        return web.Response(text=f"{wrong or 'ok'}\n", status=503 if wrong else 200)

    async def livez(_: web.Request) -> web.Response:
        return answer(live)

    async def readyz(_: web.Request) -> web.Response:
        return answer(ready)

    async def metrics(request: web.Request) -> web.Response:
        access = Access.ALLOWED
        if authorize is not None:
            access = await authorize(_token(request), request.remote or "")
        if access is not Access.ALLOWED:
            if access not in logged:  # once: who scrapes asks again
                logged.add(access)
                log.warning("a scrape of /metrics was refused", extra={"cause": REFUSALS[access]})
            headers = {"WWW-Authenticate": "Bearer"} if access is Access.UNKNOWN else {}
            return web.Response(text=f"{REFUSALS[access]}\n", status=access.value, headers=headers)
        return web.Response(body=await rendering.text(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.router.add_get("/livez", livez)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", metrics)
    return app


def _token(request: web.Request) -> str | None:
    """The bearer's token."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None


async def serve(app: web.Application, port: int) -> web.AppRunner:
    """Listen on all addresses; the returned runner is cleaned up by its owner. Raises where *port* cannot be had."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)
    await runner.setup()
    try:
        await web.TCPSite(runner, port=port).start()
    except OSError as error:
        await runner.cleanup()
        raise OperatorError(f"cannot listen on port {port}: {error.strerror}") from error
    return runner
