"""A pure ASGI middleware for the contract test: marks event streams and writes down what scopes it sees."""

import os
from pathlib import Path
from typing import Any


class Mark:
    """Given to both servers by `--middleware`; imports nothing of theirs."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        _note(f"{scope['type']} {scope.get('path', '')}\n")
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def mark(message: Any) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], (b"x-marked", b"1")]}
            await send(message)

        await self._app(scope, receive, mark)


def _note(line: str) -> None:
    with Path(os.environ["SEEN_SCOPES"]).open("a") as scopes_file:
        scopes_file.write(line)
