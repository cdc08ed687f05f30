"""
ASGI middleware of the engine: from outside of the cluster only the paths that are meant for users are answered.

An edge compares the path of a request with its rules after it has resolved `..`, `%2e`, `//` and the like, and sends
the path as the client wrote it; the server resolves it in another way, or matches a part of it. So
`/metrics/../v1/models` passed as /v1 and was answered as /metrics, without a key. Here a path that two programs could
read differently is refused before any routing, so that what the edge compared is what is answered; and what is for
operators (metrics, sleep, adapters, profiles) is closed even where an edge exposes all paths.

A request comes from outside unless its Host is an address or a name of this pod's Service and no proxy forwarded it:
kubelet, Prometheus, the drain script and clients within the cluster ask so. Plain ASGI, standard library only, any
Python from 3.10. Its text is frozen: a change is a new version of the files.
"""

import ipaddress
import json
import os
import re
from collections.abc import Awaitable, Callable, Iterable
from typing import Any
from urllib.parse import unquote_to_bytes

Message = dict[str, Any]
Send = Callable[[Message], Awaitable[None]]
Receive = Callable[[], Awaitable[Message]]
App = Callable[[dict[str, Any], Receive, Send], Awaitable[None]]
Header = tuple[bytes, bytes]

OPEN_VARIABLE = "STREAMING_OPEN_PATHS"
"""Paths, separated by commas, that are answered with all that is below them."""
CLOSED_VARIABLE = "STREAMING_CLOSED_PATHS"
"""Paths below them that are not."""
SERVICE_VARIABLE = "STREAMING_SERVICE"
"""`name.namespace` of the Service, by which clients within the cluster ask."""

FORWARDING = frozenset((b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-real-ip"))
"""Headers that a proxy adds."""
PLAIN = re.compile(rb"/(?:[A-Za-z0-9._~!$&'()*+,=:@/-]|%[0-9A-Fa-f]{2})*")
"""A path without spaces, `;`, backslashes and anything that is not ASCII."""
AMBIGUOUS = frozenset(b"/\\.%;?#\x7f") | frozenset(range(0x20))
"""Characters that mean something else, or are read differently, where they are written as `%XX`."""

REFUSAL = {
    "message": "this path is not open to requests from outside of the cluster: the StreamingEndpoint exposes it where "
    "spec.exposure.pathPrefixes names it, written without //, . and .. segments and needless % codes",
    "type": "NotFoundError",
    "param": None,
    "code": 404,
}
BODY = json.dumps({"error": REFUSAL}).encode()


def listed(variable: str) -> tuple[str, ...]:
    """The paths of a variable."""
    return tuple(path for path in os.environ.get(variable, "").split(",") if path)


def decoded(raw: bytes) -> str | None:
    """The path as every program reads it; None if programs could differ."""
    if not PLAIN.fullmatch(raw) or b"//" in raw or not {b".", b".."}.isdisjoint(raw.split(b"/")):
        return None
    codes = re.findall(rb"%(..)", raw)
    if any(int(code, 16) in AMBIGUOUS for code in codes):
        return None
    try:
        return unquote_to_bytes(raw).decode()
    except UnicodeDecodeError:
        return None


def below(path: str, tops: Iterable[str]) -> bool:
    """Whether a path is one of these or lies below it, segment by segment."""
    return any(f"{path.rstrip('/')}/".startswith(f"{top}/") for top in tops)


def name_of(host: bytes) -> str:
    """The name or address in a Host header, without its port."""
    text = host.decode("latin-1").strip().lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0].rstrip(".")


class ExposedPaths:
    """Named by `--middleware exposed_paths.ExposedPaths`."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.open, self.closed = listed(OPEN_VARIABLE), listed(CLOSED_VARIABLE)
        service = os.environ.get(SERVICE_VARIABLE, "").lower()
        self.service = f"{service}.svc" if service else ""
        self.names = {"localhost", service, self.service, service.partition(".")[0]} - {""}

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Pass on what comes from inside, and what is open."""
        if scope["type"] not in ("http", "websocket") or self.is_inside(scope) or self.is_open(scope):
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send(
                {"type": "websocket.close", "code": 1008, "reason": ""}
            )  # before it is accepted: HTTP 403
        else:
            headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(BODY))]
            await send({"type": "http.response.start", "status": 404, "headers": headers})
            await send({"type": "http.response.body", "body": b"" if scope.get("method") == "HEAD" else BODY})

    def is_inside(self, scope: dict[str, Any]) -> bool:
        """Whether the request was sent within the cluster, to this pod or its Service."""
        names = [name.lower() for name, _ in scope["headers"]]
        if not FORWARDING.isdisjoint(names) or names.count(b"host") != 1:
            return False
        host = name_of(next(value for name, value in scope["headers"] if name.lower() == b"host"))
        if host in self.names or (self.service and host.startswith(f"{self.service}.")):
            return True
        try:
            ipaddress.ip_address(host.partition("%")[0])
        except ValueError:
            return False
        return True

    def is_open(self, scope: dict[str, Any]) -> bool:
        """Whether everybody may ask for the path, and everybody reads it alike."""
        raw = scope.get("raw_path") or scope["path"].encode()
        path = decoded(bytes(raw).partition(b"?")[0])
        return path is not None and below(path, self.open) and not below(path, self.closed)
