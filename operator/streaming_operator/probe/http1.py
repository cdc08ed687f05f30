"""
An HTTP/1.1 response, incrementally: bytes in, head, body pieces and the end out; chunk frames stay visible.

h11 does the parsing (docs/decisions/): it is maintained, does no I/O, and tells where each chunk begins and
ends, which client libraries hide. Pure; it knows nothing of events or time.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import h11

DECODED_LIMIT = 32 * 1024 * 1024
"""Bytes of decoded body that are looked at: a small compressed body can be an enormous one."""


@dataclass(frozen=True, slots=True)
class Head:
    """Status line and headers; names in lower case."""

    status: int
    headers: tuple[tuple[str, str], ...]
    version: str

    def header(self, name: str) -> str | None:
        """The first header of that lower-case name."""
        return next((value for key, value in self.headers if key == name), None)


@dataclass(frozen=True, slots=True)
class Piece:
    """
    Decoded body bytes, with the number of the chunk frame that carried them (0 where there are no chunks).
    """

    data: bytes
    frame: int


@dataclass(frozen=True, slots=True)
class End:
    """
    The message is complete by its own framing: last chunk, all of Content-Length, or the peer's close without
    either.
    """


@dataclass(frozen=True, slots=True)
class Broken:
    """The framing was violated; nothing more can be read."""

    why: str


Part = Head | Piece | End | Broken


class Response:
    """The answer to one POST."""

    def __init__(self) -> None:
        self._connection = h11.Connection(our_role=h11.CLIENT)
        # h11 is a state machine of both sides: it must believe that it sent the request.
        self._connection.send(
            h11.Request(method="POST", target="/", headers=[("Host", "probe"), ("Content-Length", "0")])
        )
        self._connection.send(h11.EndOfMessage())
        self._inflate: zlib._Decompress | None = None
        self._decoded = 0
        self._frame = 0
        self._over = False

    def feed(self, data: bytes) -> Iterator[Part]:
        """Take the next bytes (empty: the peer closed); give what they hold."""
        if self._over:
            return
        try:
            self._connection.receive_data(data)
            yield from self._parts()
        except (h11.RemoteProtocolError, zlib.error) as error:
            self._over = True
            yield Broken(str(error))

    def _parts(self) -> Iterator[Part]:
        while not self._over:
            event = self._connection.next_event()
            if event is h11.NEED_DATA or event is h11.PAUSED or isinstance(event, h11.ConnectionClosed):
                return
            if isinstance(event, h11.Response):
                yield self._head(event)
            elif isinstance(event, h11.Data):
                yield Piece(self._decode(bytes(event.data)), self._frame)
                # Counted at its end: h11 forgets the start of a chunk whose size line came a read earlier.
                self._frame += event.chunk_end
            elif isinstance(event, h11.EndOfMessage):
                self._over = True
                yield End()

    def _head(self, event: h11.Response) -> Head:
        headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in event.headers)
        if any(name == "transfer-encoding" for name, _ in headers):
            self._frame = 1
        head = Head(event.status_code, headers, "HTTP/" + event.http_version.decode("latin-1"))
        coding = (head.header("content-encoding") or "identity").strip().lower()
        if coding in ("gzip", "x-gzip"):
            self._inflate = zlib.decompressobj(wbits=31)
        elif coding != "identity":
            raise h11.RemoteProtocolError(f"content-encoding {coding[:32]!r} was not asked for")
        return head

    def _decode(self, data: bytes) -> bytes:
        if self._inflate is not None:
            data = self._inflate.decompress(data, DECODED_LIMIT - self._decoded)
        self._decoded += len(data)
        if self._decoded >= DECODED_LIMIT:
            raise h11.RemoteProtocolError(f"the body is larger than {DECODED_LIMIT} bytes")
        return data
