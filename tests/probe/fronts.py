"""
Doubles of the services that people put in front of a cluster: none of them can be run here.

Each writes the marks and keeps the limits that its documentation names, with a second or two where the real one has ten
to a hundred. They show that the probe recognises the marks and says the remedy, not that the services behave so.
"""

import socket
from collections.abc import Mapping

from tests.probe import proxies

CLOUDFLARE = {"Server": "cloudflare", "CF-RAY": "8f3a1c2b4d5e6f70-FRA"}
API_GATEWAY = {
    "x-amzn-RequestId": "5f2e7b4c-0000-4000-8000-000000000000",
    "x-amz-apigw-id": "QkX1aF2bIAMEXAMPLE=",
}
VERCEL = {"Server": "Vercel", "X-Vercel-Id": "fra1::iad1::abcde-1700000000000-0123456789ab"}
NETLIFY = {"Server": "Netlify", "X-Nf-Request-Id": "01HEXAMPLEEXAMPLEEXAMPLEX"}
ALB = {"Server": "awselb/2.0"}

Marks = Mapping[str, str]


class _Marked:
    """The upstream's answer with other headers in its head."""

    def __init__(self, upstream: socket.socket, marks: Marks) -> None:
        self._upstream, self._marks = upstream, marks
        self._held: bytes | None = None

    def recv(self, size: int) -> bytes:
        """As of a socket; the head comes whole."""
        if self._held is None:
            self._held = self._head()
        data, self._held = self._held[:size], self._held[size:]
        return data or self._upstream.recv(size)

    def _head(self) -> bytes:
        data = b""
        while b"\r\n\r\n" not in data:
            more = self._upstream.recv(65536)
            if not more:
                return data
            data += more
        head, _, rest = data.partition(b"\r\n\r\n")
        replaced = tuple(f"{name}:".lower().encode() for name in self._marks)
        lines = [line for line in head.split(b"\r\n") if not line.lower().startswith((b"server:", *replaced))]
        lines += [f"{name}: {value}".encode() for name, value in self._marks.items()]
        return b"\r\n".join(lines) + b"\r\n\r\n" + rest


def before(marks: Marks, relay: proxies.Relay) -> proxies.Relay:
    """What the relay does, with the marks of a service."""

    def marked(upstream: socket.socket, client: socket.socket) -> None:
        relay(_Marked(upstream, marks), client)  # type: ignore[arg-type]

    return marked


def page(status: str, marks: Marks, body: str = "", kind: str = "text/plain") -> proxies.Relay:
    """An answer of the service itself."""
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {kind}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in marks.items()]
    return proxies.answer(("\r\n".join(lines) + "\r\n\r\n" + body).encode())
