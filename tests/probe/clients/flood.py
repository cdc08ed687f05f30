"""
A model server that sends as many bytes as it is asked for, as fast as they are taken. Arguments: port, [middleware].

It tells how many were taken: what of them the client has not read lies in a buffer of somebody's.
"""

import importlib
import sys
from collections.abc import AsyncIterator

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

EVENT = b"data: " + 16_376 * b"x" + b"\n\n"
"""16 KiB."""


class Flood:
    """The application."""

    def __init__(self, middleware: str | None) -> None:
        self._taken = 0
        layers = []
        if middleware:
            module, _, name = middleware.rpartition(".")
            layers.append(Middleware(getattr(importlib.import_module(module), name)))
        routes = [
            Route("/v1/chat/completions", self._answer, methods=["POST"]),
            Route("/taken", self._tell, methods=["GET"]),
        ]
        self.app = Starlette(routes=routes, middleware=layers)

    async def _answer(self, request: Request) -> StreamingResponse:
        self._taken = 0
        return StreamingResponse(self._events(int(await request.body())), media_type="text/event-stream")

    async def _events(self, size: int) -> AsyncIterator[bytes]:
        while self._taken < size:
            yield EVENT
            self._taken += len(EVENT)

    async def _tell(self, request: Request) -> JSONResponse:
        return JSONResponse(self._taken)


if __name__ == "__main__":
    flood = Flood(sys.argv[2] if len(sys.argv) > 2 else None)
    uvicorn.run(flood.app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
