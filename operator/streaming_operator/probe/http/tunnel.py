"""
A tunnel through an HTTP proxy: CONNECT (RFC 9110, 9.3.6), before any byte of TLS or of the request. Blocks.
"""

import base64
import re
import socket
import time
from dataclasses import dataclass, field

from streaming_operator.probe.http.request import USER_AGENT, ApiKey
from streaming_operator.probe.http.response import readable

_LARGEST_HEAD = 16 * 1024
_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3})(?: ([^\r\n]*))?\r\n")


@dataclass(frozen=True, slots=True)
class HttpProxy:
    """A proxy that clients are told to use; `address` is a name, or the IP that it was pinned to."""

    address: str
    port: int
    authorization: ApiKey | None = field(default=None, repr=False)
    """User and password as base64 of `user:password`."""
    named_by: str = "HTTPS_PROXY"
    """The environment variable."""

    def __str__(self) -> str:
        return f"the proxy http://{f'[{self.address}]' if ':' in self.address else self.address}:{self.port}"


def basic(user: str, password: str) -> ApiKey:
    """The credentials of Proxy-Authorization: Basic."""
    return ApiKey(base64.b64encode(f"{user}:{password}".encode()).decode())


def open_through(sock: socket.socket, proxy: HttpProxy, authority: str, patience: float) -> None:
    """Ask the proxy behind this socket for a connection to *authority*; raises OSError where it makes none."""
    lines = [f"CONNECT {authority} HTTP/1.1", f"Host: {authority}", f"User-Agent: {USER_AGENT}"]
    if proxy.authorization is not None:
        lines.append(f"Proxy-Authorization: Basic {proxy.authorization.secret}")
    sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
    head, deadline = b"", time.monotonic() + patience
    while b"\r\n\r\n" not in head:
        sock.settimeout(max(deadline - time.monotonic(), 0.001))
        data = sock.recv(4096)
        head += data
        if not data or len(head) > _LARGEST_HEAD:
            raise ConnectionRefusedError("the proxy's answer to CONNECT is no HTTP")
    status = _STATUS.match(head)
    if status is None:
        raise ConnectionRefusedError("the proxy's answer to CONNECT is no HTTP")
    if not status[1].startswith(b"2"):
        reason = readable((status[2] or b"").decode("latin-1"))
        raise ConnectionRefusedError(f"the proxy refuses CONNECT with {status[1].decode()} {reason}".rstrip())
