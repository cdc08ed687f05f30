"""The double's application behind a server that speaks HTTP/2: by ALPN over TLS, with prior knowledge without it."""

import asyncio
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from hypercorn.asyncio import serve
from hypercorn.config import Config

from tests.engines.double.app import Double
from tests.engines.double.args import parse
from tests.engines.running import MODEL, free_port

COMMAND = ["serve", "model", "--served-model-name", MODEL, "--enable-per-request-metrics"]


class Http2Server:
    """Runs in a thread with a loop of its own; `certificate` is a PEM file with key and certificate."""

    def __init__(self, certificate: Path | None = None, alpn: tuple[str, ...] = ("h2", "http/1.1")) -> None:
        self.port = free_port()
        self._config = Config()
        self._config.bind = [f"127.0.0.1:{self.port}"]
        self._config.alpn_protocols = list(alpn)
        self._config.errorlog = self._config.accesslog = None
        if certificate is not None:
            self._config.certfile = self._config.keyfile = str(certificate)
        self._loop = asyncio.new_event_loop()
        self._over = asyncio.Event()
        self._listens = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._listens.wait(30)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        app = Double(parse(COMMAND)).app

        async def shutdown() -> None:
            self._listens.set()  # hypercorn waits for its end once all its sockets listen
            await self._over.wait()

        await serve(app, self._config, shutdown_trigger=shutdown)  # type: ignore[arg-type]
