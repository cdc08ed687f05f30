"""
A model server that sends a token when the test says so.

That a token is read before the next one is sent is then a matter of order, and not of how fast this machine is.
"""

import queue
import select
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from tests.engines.double import wire
from tests.engines.running import MODEL

WAIT_SECONDS = 120.0
LOOK_SECONDS = 0.05
"""Time between two looks at whether the client has gone, while nothing is sent."""


class Request:
    """One request under way: what the test orders is written in the server's thread."""

    def __init__(self) -> None:
        self.gone = threading.Event()
        """The connection was closed before the answer's end."""
        self.written = 0
        """Tokens that the server's socket has taken."""
        self._ordered = 0
        self._orders: queue.Queue[tuple[bytes, bool]] = queue.Queue()
        """What to write, and whether it is the last."""
        self._answer = wire.Answer(True, "chatcmpl-1", 0, MODEL, "vllm", 1)

    def send(self, text: str) -> None:
        """One token; before the first one the role, as vLLM does."""
        role = b"" if self._ordered else wire.event(self._answer.role(None))
        self._ordered += 1
        self._orders.put((role + wire.event(self._answer.chunk(text, None, None)), False))

    def finish(self) -> None:
        """The finish reason and the end."""
        self._orders.put((wire.event(self._answer.chunk("", "length", None, last=True)) + wire.DONE, True))

    def serve(self, write: Callable[[bytes], None], connection: socket.socket) -> None:
        """Until the end is ordered, or the client has gone."""
        while not self.gone.is_set():
            try:
                data, last = self._orders.get(timeout=LOOK_SECONDS)
            except queue.Empty:
                if _closed(connection):
                    self.gone.set()
                continue
            try:
                write(data)
            except OSError:
                self.gone.set()
            self.written += 1
            if last:
                return


def _closed(connection: socket.socket) -> bool:
    readable, _, _ = select.select([connection], [], [], 0)
    try:
        return bool(readable) and connection.recv(1, socket.MSG_PEEK) == b""
    except OSError:
        return True


class Stepwise:
    """The server. `chunked` is HTTP/1.1; without it the end of the connection is the end of the answer."""

    def __init__(self, *, chunked: bool = True) -> None:
        requests: queue.Queue[Request] = queue.Queue()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream; charset=utf-8")
                # On one that served another client before, Traefik ended a stream in one of ten runs of all clients.
                self.send_header("Connection", "close")
                if chunked:
                    self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                request = Request()
                requests.put(request)
                request.serve(self._write, self.connection)
                if chunked and not request.gone.is_set():
                    self.wfile.write(b"0\r\n\r\n")

            def _write(self, data: bytes) -> None:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data) if chunked else data)

            def log_message(self, format: str, *args: object) -> None:
                """Nothing."""

        self._requests = requests
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def next(self) -> Request:
        """The next request that comes."""
        return self._requests.get(timeout=WAIT_SECONDS)
