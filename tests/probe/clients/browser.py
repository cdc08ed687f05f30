"""A page in a headless Chromium that asks a model on another origin, and what the page reports as it reads."""

import json
import queue
import subprocess
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.cluster.programs import listed
from tests.engines.running import MODEL, end
from tests.probe.clients import installed
from tests.probe.clients.running import HERE, NO_HEADERS, WAIT_SECONDS

FLAGS = (
    "--headless",
    "--no-sandbox",  # root has none
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-proxy-server",
    "--disable-background-networking",
    "--remote-debugging-port=0",  # without it, it ends when the page has loaded
)


class Page:
    """The page at an origin of its own, open until the end; the same lines as of the other clients."""

    def __init__(
        self,
        base: str,
        tokens: int,
        folder: Path,
        *,
        leave_after: int = 0,
        file: str = "page.html",
        port: int = 0,
        address: str = "~NOTFOUND",
        model: str = MODEL,
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> None:
        """
        *base* is what it asks, with /v1; *port* is that of its own origin, any by default; *address* is where it finds
        every other host, nowhere by default.
        """
        asked = {"base": base, "model": model, "tokens": tokens, "leaveAfter": leave_after}
        asked |= {"headers": dict(headers)}
        self._hosts = f"--host-resolver-rules=MAP * {address}, EXCLUDE 127.0.0.1"
        page = (HERE / file).read_text().replace("ASKED", json.dumps(asked)).encode()
        lines: queue.Queue[dict[str, Any]] = queue.Queue()
        again = threading.Event()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                if self.path == "/again":
                    again.wait(WAIT_SECONDS)
                self._answer(page if self.path == "/" else b"")

            def do_POST(self) -> None:
                lines.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self._answer(b"")

            def _answer(self, body: bytes) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Nothing."""

        self._lines, self._again, self._folder = lines, again, folder
        self._chromium = installed.chromium()
        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self.origin = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self._folder.mkdir()
        self._log = (self._folder / "log").open("wb")
        command = [
            str(self._chromium.program),
            *FLAGS,
            self._hosts,
            f"--user-data-dir={self._folder}/profile",
            f"{self.origin}/",
        ]
        self._process = subprocess.Popen(
            listed(command),
            env=self._chromium.environment(self._folder),
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._again.set()
        end(self._process, WAIT_SECONDS)
        self._log.close()
        self._server.shutdown()
        self._server.server_close()

    def line(self) -> dict[str, Any]:
        """The next line that it reports; fails with the browser's log when none comes."""
        try:
            return self._lines.get(timeout=WAIT_SECONDS)
        except queue.Empty:
            raise AssertionError((self._folder / "log").read_text(errors="replace")) from None

    def ask_again(self) -> None:
        """It has left; now it asks once more, and reads to the end."""
        self._again.set()

    def alive(self) -> bool:
        """Whether the browser goes on, with the page in it."""
        return self._process.poll() is None
