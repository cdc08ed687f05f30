"""Small model servers that answer in the ways of servers and gateways other than vLLM, written out byte by byte."""

import contextlib
import json
import socket
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from tests.probe.listener import Listener

SEGMENT = 1460
"""Bytes of a TCP segment as on Ethernet: loopback would carry a whole response in one."""
PACE = 0.012
"""Seconds a token: 64 of them take long enough to be judged."""


@dataclass(frozen=True)
class Asked:
    """One request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: dict[str, Any] = field(default_factory=dict)


@dataclass
class Client:
    """The connection to one client, and how to answer on it."""

    sock: socket.socket

    def send(self, data: str | bytes) -> None:
        """These bytes as they are."""
        self.sock.sendall(data.encode() if isinstance(data, str) else data)

    def head(self, status: str = "200 OK", kind: str = "text/event-stream", *more: str) -> None:
        """The head of a chunked response."""
        lines = [
            f"HTTP/1.1 {status}",
            *([f"Content-Type: {kind}"] if kind else []),
            "Transfer-Encoding: chunked",
        ]
        self.send("\r\n".join([*lines, *more, "", ""]))

    def chunk(self, data: str | bytes) -> None:
        """One chunk of the body."""
        raw = data.encode() if isinstance(data, str) else data
        self.send(b"%x\r\n%b\r\n" % (len(raw), raw))

    def events(self, texts: Iterable[str], pause: float = PACE) -> None:
        """These events in a chunk each, evenly."""
        for text in texts:
            self.chunk(text)
            time.sleep(pause)

    def end(self) -> None:
        """The last chunk."""
        self.chunk(b"")

    def plain(self, status: str, body: object, kind: str = "application/json", *more: str) -> None:
        """A whole response: text as it is, anything else as JSON."""
        text = body if isinstance(body, str) else json.dumps(body)
        lines = [
            f"HTTP/1.1 {status}",
            f"Content-Type: {kind}",
            f"Content-Length: {len(text.encode())}",
            *more,
        ]
        self.send("\r\n".join([*lines, "", text]))

    def stream(self, tokens: int, *more: str) -> None:
        """A healthy stream."""
        self.head("200 OK", "text/event-stream", *more)
        self.events(token() for _ in range(tokens))
        self.finish(tokens)

    def finish(self, tokens: int, reason: str = "length") -> None:
        """The end of a healthy stream."""
        for text in (token("", reason), usage(tokens), event("[DONE]")):
            self.chunk(text)
        self.end()


def event(data: object) -> str:
    """One event: text as it is, anything else as JSON."""
    return f"data: {data if isinstance(data, str) else json.dumps(data)}\n\n"


def token(text: str = "7 ", reason: str | None = None, **delta: object) -> str:
    """One chunk of a chat completion: with this text, or with this delta."""
    choice = {"index": 0, "delta": delta or {"content": text}, "finish_reason": reason}
    return event({"model": "m", "choices": [choice]})


def usage(tokens: int) -> str:
    """The chunk with the number of tokens."""
    return event({"model": "m", "choices": [], "usage": {"completion_tokens": tokens}})


Answer = Callable[[Client, Asked], None]


class Server(Listener):
    """Listens on a port of *address*; `asked` holds what clients sent. A GET gets *models*, anything else *answer*."""

    def __init__(self, answer: Answer, models: Answer | None = None, address: str = "127.0.0.1") -> None:
        super().__init__(address)
        self.asked: list[Asked] = []
        self._answer, self._models = answer, models or lists("m")
        self.listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT)

    @property
    def url(self) -> str:
        """Its base."""
        return f"http://127.0.0.1:{self.port}"

    def completions(self) -> list[Asked]:
        """The requests that were no question for the list of models."""
        return [asked for asked in self.asked if asked.method == "POST"]

    def serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError), client:
            asked = _asked(client)
            if asked is not None:
                self.asked.append(asked)
                (self._models if asked.method == "GET" else self._answer)(Client(client), asked)


def _asked(sock: socket.socket) -> Asked | None:
    """One request; None where the client only connected."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = sock.recv(65536)
        if not more:
            return None
        data += more
    top, _, body = data.partition(b"\r\n\r\n")
    first, *lines = top.decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ", 2)
    headers = {
        name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
    }
    while len(body) < int(headers.get("content-length", 0)):
        body += sock.recv(65536)
    return Asked(method, path, headers, json.loads(body) if body else {})


def lists(*names: str) -> Answer:
    """The usual list of models."""
    return lambda client, asked: client.plain("200 OK", {"data": [{"id": name} for name in names]})
