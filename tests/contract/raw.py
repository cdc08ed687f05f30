"""One HTTP/1.1 exchange over one socket, with the chunk frames left visible. Judges nothing."""

import json
import socket
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Self

SECONDS = 60.0
"""Longest silence on the socket before the test fails; no stream here is silent for more than a second."""


class CutError(Exception):
    """The connection ended before the body did."""


class Exchange:
    """A request that was sent; status and headers are there, the body is read when asked for."""

    def __init__(
        self, port: int, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=SECONDS)
        content = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        lines = [f"{method} {path} HTTP/1.1", "Host: engine"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        if body is not None:
            lines += ["Content-Type: application/json", f"Content-Length: {len(content)}"]
        self._socket.sendall("\r\n".join([*lines, "", ""]).encode() + content)
        self._file = self._socket.makefile("rb")
        self.status = int(self._line().split()[1])
        self.headers = list(self._headers())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def header(self, name: str) -> str | None:
        return dict(self.headers).get(name)

    def frames(self) -> Iterator[bytes]:
        """The chunks of a chunked body as they come; CutError if it ends without the last one."""
        while size := int(self._line(), 16):
            yield self._file.read(size)
            self._line()
        self._line()

    def body(self) -> bytes:
        return self._file.read(int(self.header("content-length") or "0"))

    def json(self) -> Any:
        return json.loads(self.body())

    def close(self) -> None:
        self._file.close()
        self._socket.close()

    def _headers(self) -> Iterator[tuple[str, str]]:
        while line := self._line():
            name, _, value = line.partition(": ")
            yield name, value

    def _line(self) -> str:
        line = self._file.readline()
        if not line:
            raise CutError
        return line.decode().rstrip("\r\n")
