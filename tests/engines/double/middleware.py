"""The layers around the routes, outermost first: the user's, the key check, CORS, http metrics."""

import hashlib
import hmac
import importlib
import time
from collections.abc import Callable, Iterable
from typing import cast

from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .metrics import HttpMetrics

GUARDED = ("/v1", "/v2", "/inference", "/cohere")
UNCOUNTED = ("/metrics", "/health", "/load", "/ping", "/version")


def layers(
    names: Iterable[str], keys: tuple[str, ...], metrics: HttpMetrics, origins: tuple[str, ...] = ()
) -> list[Middleware]:
    """Outermost first; of the user's own, the one named last is outermost."""
    users = [_imported(name) for name in names]
    guard = [Middleware(ApiKey, keys=keys)] if keys else []
    cors = Middleware(CORSMiddleware, allow_origins=origins, allow_methods=["*"], allow_headers=["*"])
    return [*reversed(users), *guard, cors, Middleware(CountRequests, metrics=metrics)]


def _imported(name: str) -> Middleware:
    module, _, attribute = name.rpartition(".")
    middleware = getattr(importlib.import_module(module), attribute)
    if isinstance(middleware, type):
        return Middleware(cast(Callable[[ASGIApp], ASGIApp], middleware))
    return Middleware(BaseHTTPMiddleware, dispatch=middleware)


class ApiKey:
    """401 without a known key, for the guarded paths only; everything else stays open, as in vLLM."""

    def __init__(self, app: ASGIApp, keys: tuple[str, ...]) -> None:
        self._app, self._digests = app, [_digest(key) for key in keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._app if self._lets_in(scope) else JSONResponse({"error": "Unauthorized"}, 401)
        await app(scope, receive, send)

    def _lets_in(self, scope: Scope) -> bool:
        if scope["type"] not in ("http", "websocket") or scope.get("method") == "OPTIONS":
            return True
        if not scope["path"].startswith(GUARDED):
            return True
        scheme, _, key = Headers(scope=scope).get("authorization", "").partition(" ")
        matches = [hmac.compare_digest(_digest(key), known) for known in self._digests]
        return scheme.lower() == "bearer" and any(matches)


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


class CountRequests:
    """http_*: a request counts when its answer has ended; one that fails after its headers is still 2xx."""

    def __init__(self, app: ASGIApp, metrics: HttpMetrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in UNCOUNTED:
            await self._app(scope, receive, send)
            return
        status, size, began = 500, 0, time.monotonic()

        async def watch(message: Message) -> None:
            nonlocal status, size
            if message["type"] == "http.response.start":
                status = message["status"]
                size = int(Headers(raw=message["headers"]).get("content-length", "0"))
            await send(message)

        try:
            await self._app(scope, receive, watch)
        finally:
            self._count(scope, status, size, time.monotonic() - began)

    def _count(self, scope: Scope, status: int, size: int, seconds: float) -> None:
        handler = scope["path"] if status not in (404, 405) else "none"
        asked = int(Headers(scope=scope).get("content-length", "0"))
        self._metrics.requests.labels(scope["method"], f"{status // 100}xx", handler).inc()
        self._metrics.request_size.labels(handler).observe(asked)
        self._metrics.response_size.labels(handler).observe(size)
        self._metrics.fine.observe(seconds)
        self._metrics.coarse.labels(scope["method"], handler).observe(seconds)
