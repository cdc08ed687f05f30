"""Small proxies that each do one thing wrong, between a probe and a model server; real ones are in `zoo`.

They work on raw bytes of one HTTP/1.1 exchange a connection, so nothing of the answer is lost or mended.
"""

import contextlib
import gzip
import select
import socket
import ssl
import struct
import time
from collections.abc import Callable

from tests.probe.listener import Listener

Relay = Callable[[socket.socket, socket.socket], None]
"""Passes the upstream's answer on to the client, in its own bad way."""

LAST_CHUNK = b"0\r\n\r\n"


class Proxy(Listener):
    """Listens on a port of 127.0.0.1; `requests` holds what clients sent. `tls` serves https."""

    def __init__(self, upstream: int, relay: Relay, tls: ssl.SSLContext | None = None) -> None:
        super().__init__()
        self.requests: list[bytes] = []
        self._upstream, self._relay, self._tls = upstream, relay, tls

    def serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client:
            if self._tls is not None:
                client = self._tls.wrap_socket(client, server_side=True)
            request = _request(client)
            if not request:
                return  # a connect that only measures the path
            self.requests.append(request)
            with client, socket.create_connection(("127.0.0.1", self._upstream)) as upstream:
                upstream.sendall(request)
                self._relay(upstream, client)


def _request(client: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        more = client.recv(65536)
        if not more:
            return b""
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    missing = int(lengths[0].partition(b":")[2]) - len(body) if lengths else 0
    while missing > 0:
        more = client.recv(65536)
        data, missing = data + more, missing - len(more)
    return data


def _all(upstream: socket.socket) -> bytes:
    data = b""
    while not data.endswith(LAST_CHUNK):
        more = upstream.recv(65536)
        if not more:
            break
        data += more
    return data


def _body(rest: bytes) -> bytes:
    """A chunked body without its frames."""
    body = b""
    while rest and not rest.startswith(LAST_CHUNK):
        size, _, rest = rest.partition(b"\r\n")
        body, rest = body + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
    return body


def healthy(upstream: socket.socket, client: socket.socket) -> None:
    """Every byte as it comes."""
    while data := upstream.recv(65536):
        client.sendall(data)


def store_and_forward(upstream: socket.socket, client: socket.socket) -> None:
    """The whole answer, then all of it."""
    client.sendall(_all(upstream))


def with_length(upstream: socket.socket, client: socket.socket) -> None:
    """The whole answer with a Content-Length, as filters do that look at bodies."""
    head, _, rest = _all(upstream).partition(b"\r\n\r\n")
    body = _body(rest)
    lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"transfer-encoding")]
    client.sendall(b"\r\n".join([*lines, b"Content-Length: %d" % len(body)]) + b"\r\n\r\n" + body)


def corked(seconds: float) -> Relay:
    """Sends what came once a period."""

    def relay(upstream: socket.socket, client: socket.socket) -> None:
        last = time.monotonic()
        held = b""
        while True:
            ready, _, _ = select.select([upstream], [], [], max(0.0, last + seconds - time.monotonic()))
            data = upstream.recv(65536) if ready else b""
            held += data
            over = (ready and not data) or held.endswith(LAST_CHUNK)
            if over or time.monotonic() >= last + seconds:
                client.sendall(held)
                held, last = b"", time.monotonic()
            if over:
                return

    return relay


def _copy(upstream: socket.socket, client: socket.socket, size: int) -> None:
    """The first *size* bytes of the response."""
    while size > 0 and (data := upstream.recv(size)):
        client.sendall(data)
        size -= len(data)


def cut(after: int, *, reset: bool = False, silence: float = 0.0) -> Relay:
    """The answer ends after so many bytes."""

    def relay(upstream: socket.socket, client: socket.socket) -> None:
        _copy(upstream, client, after)
        time.sleep(silence)
        if reset:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    return relay


def zipped(upstream: socket.socket, client: socket.socket) -> None:
    """The whole answer in one gzip block, whatever the client accepts."""
    head, _, rest = _all(upstream).partition(b"\r\n\r\n")
    body = gzip.compress(_body(rest))
    client.sendall(
        head + b"\r\nContent-Encoding: gzip\r\n\r\n%x\r\n" % len(body) + body + b"\r\n" + LAST_CHUNK
    )


def hold(size: int) -> Relay:
    """The first so many bytes at once, then every byte as it comes."""

    def relay(upstream: socket.socket, client: socket.socket) -> None:
        held = b""
        while len(held) < size and (data := upstream.recv(65536)):
            held += data
        client.sendall(held)
        healthy(upstream, client)

    return relay


def filled(size: int) -> Relay:
    """Blocks of one size, whenever so much is there."""

    def relay(upstream: socket.socket, client: socket.socket) -> None:
        held = b""
        while data := upstream.recv(65536):
            held += data
            while len(held) >= size:
                client.sendall(held[:size])
                held = held[size:]
            if held.endswith(LAST_CHUNK):
                break
        client.sendall(held)

    return relay


def pause(after: int, seconds: float) -> Relay:
    """So many bytes, a pause, then every byte as it comes again."""

    def relay(upstream: socket.socket, client: socket.socket) -> None:
        _copy(upstream, client, after)
        time.sleep(seconds)
        healthy(upstream, client)

    return relay


def hang(after: int) -> Relay:
    """So many bytes, then nothing and no end, until the client leaves."""

    def relay(upstream: socket.socket, client: socket.socket) -> None:
        _copy(upstream, client, after)
        client.recv(1)

    return relay


def answer(data: bytes) -> Relay:
    """The proxy's own answer, whatever the upstream says."""

    def relay(upstream: socket.socket, client: socket.socket) -> None:
        client.sendall(data)

    return relay


def comments(upstream: socket.socket, client: socket.socket) -> None:
    """The head of a stream and signs of life, but no token."""
    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
    while True:  # until the client closes
        client.sendall(b": keep-alive\n\n")
        time.sleep(0.2)


def mute(upstream: socket.socket, client: socket.socket) -> None:
    """Not a byte, until the client leaves."""
    client.recv(1)


def page(status: str, body: str) -> Relay:
    """An error page like nginx's."""
    text = f"<html><center>{body}</center><hr><center>nginx</center></html>"
    head = f"HTTP/1.1 {status}\r\nContent-Type: text/html\r\nContent-Length: {len(text)}\r\n\r\n"
    return answer((head + text).encode())
