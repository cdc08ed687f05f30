"""Answers of a pod that wants to harm the probe, and servers on 127.0.0.1 that give them."""

import contextlib
import gzip
import socket
import threading
from collections.abc import Callable, Iterator

MEBIBYTE = 1 << 20
CHUNKED = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
PLAIN = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
GZIP = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-encoding: gzip\r\nconnection: close\r\n\r\n"
TEXT = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nconnection: close\r\n\r\n"
EVENT = b'data: {"choices":[{"index":0,"delta":{"content":"x"}}]}\n\n'


def _packed(body: bytes) -> bytes:
    return GZIP + gzip.compress(body, 9)


def _brackets(depth: int) -> bytes:
    unit = b"[" * depth + b"]" * depth + b","
    return b"data: [" + unit * (8 * MEBIBYTE // len(unit)) + b"0]\n\n"


def _small_brackets() -> bytes:
    unit = b"data: [" + b"[]," * 21_000 + b"0]\n\n"
    return unit * (8 * MEBIBYTE // len(unit))


LAST_EVENTS = (
    b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"length"}]}\n\n'
    b'data: {"choices":[],"usage":{"completion_tokens":4000}}\n\ndata: [DONE]\n\n'
)


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


COSTLIEST = (CHUNKED, *(_chunk(EVENT * 8) for _ in range(500)), _chunk(LAST_EVENTS) + _chunk(b""))
"""
A complete stream of as many token events as are read, in many writes: most is kept of it. It ends by its own framing:
for the end of one that is left open the probe waits 2 s each time, and keeps no more of it.
"""
ANSWERS: dict[str, Callable[[], bytes]] = {
    "one event of nested brackets, gzipped": lambda: _packed(_brackets(900)),
    "events of 64 KiB of brackets, gzipped": lambda: _packed(_small_brackets()),
    "a million tiny events, gzipped": lambda: _packed(b"data:1\n\n" * MEBIBYTE),
    "token events without end": lambda: PLAIN + EVENT * 100_000,
    "one line without end": lambda: PLAIN + b"data: " + b"x" * (8 * MEBIBYTE),
    "many lines in one event": lambda: PLAIN + b"data\n" * (2 * MEBIBYTE),
    "comments without end": lambda: PLAIN + b":\n" * (4 * MEBIBYTE),
    "empty lines, gzipped": lambda: _packed(b"\n" * (8 * MEBIBYTE)),
    "header lines without end": lambda: b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * MEBIBYTE,
    "sixty thousand headers": lambda: b"HTTP/1.1 200 OK\r\n" + b"a:\r\n" * 15_000 + b"\r\n",
    "interim responses without end": lambda: b"HTTP/1.1 100 Continue\r\n\r\n" * 300_000,
    "chunks of one byte": lambda: CHUNKED + b"1\r\nx\r\n" * MEBIBYTE,
    "a chunk extension without end": lambda: CHUNKED + b"5;" + b"x" * (8 * MEBIBYTE),
    "trailers without end": lambda: CHUNKED + b"0\r\n" + b"a: b\r\n" * MEBIBYTE,
    "a status line without end": lambda: b"HTTP/1.1 200 " + b"x" * (8 * MEBIBYTE),
    "empty members of gzip": lambda: GZIP + gzip.compress(b"") * 400_000,
}


def frame(kind: int, flags: int, payload: bytes, stream: int = 0) -> bytes:
    """A frame of HTTP/2."""
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


SETTINGS = frame(4, 0, b"")
HEADERS = frame(1, 4, b"\x88\x5f\x11text/event-stream", 1)
HTTP2: dict[str, Callable[[], bytes]] = {
    "PING without end": lambda: SETTINGS + frame(6, 0, bytes(8)) * 500_000,
    "SETTINGS without end": lambda: SETTINGS + frame(4, 0, b"\x00\x04\x00\x10\x00\x00") * 500_000,
    "WINDOW_UPDATE without end": lambda: SETTINGS + frame(8, 0, b"\x00\x00\x00\x01") * 500_000,
    "PRIORITY without end": lambda: SETTINGS + frame(2, 0, b"\x00\x00\x00\x03\x01", 1) * 500_000,
    "unknown frames without end": lambda: SETTINGS + frame(0xEE, 0, b"") * 800_000,
    "CONTINUATION without end": lambda: SETTINGS + frame(1, 0, b"\x88", 1) + frame(9, 0, b"", 1) * 800_000,
    "empty DATA without end": lambda: SETTINGS + HEADERS + frame(0, 0, b"", 1) * 800_000,
    "a header list of 4 KiB times 4,000": lambda: (
        SETTINGS + frame(1, 4, b"\x88\x40\x01a\x7f\xa1\x1e" + b"x" * 4000 + b"\xbe" * 8000, 1)
    ),
}


@contextlib.contextmanager
def serving(answer: bytes | tuple[bytes, ...]) -> Iterator[int]:
    """The port of a server that gives this answer to whoever asks, as quickly as it is read, in so many writes."""
    writes = answer if isinstance(answer, tuple) else (answer,)
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listener:
        threading.Thread(target=_serve, args=(listener, writes), daemon=True).start()
        yield listener.getsockname()[1]
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)


def _serve(listener: socket.socket, writes: tuple[bytes, ...]) -> None:
    with contextlib.suppress(OSError):
        while True:
            client, _ = listener.accept()
            threading.Thread(target=_answer, args=(client, writes), daemon=True).start()


def _answer(client: socket.socket, writes: tuple[bytes, ...]) -> None:
    with contextlib.suppress(OSError), client:
        client.settimeout(60)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if client.recv(65_536):
            first, *more = writes
            if first.startswith(SETTINGS):
                client.sendall(SETTINGS)
                client.recv(65_536)  # their acknowledgement, upon which the client sends its request
                first = first.removeprefix(SETTINGS)
            for data in (first, *more):
                client.sendall(data)
            while client.recv(65_536):
                pass  # open until the probe has had enough
