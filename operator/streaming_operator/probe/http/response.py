"""
One HTTP answer, whichever version carried it: its head, the pieces of its body and how it ended.

`http1` and `http2` turn bytes into these parts; nothing else of the probe knows how they are framed. Pure.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from streaming_operator.probe.http.request import Request

DECODED_LIMIT = 8 * 1024 * 1024
"""Bytes of decoded body that are looked at, as many as are read: a small compressed body can be an enormous one."""
SLICE = 64 * 1024
"""Bytes that are decoded before they are looked at: as many as one read has at most."""
SAID_KEPT = 200
"""Characters of a server's own words that are kept."""
_GZIP = 31
"""zlib's window bits for a gzip header and trailer."""
_GZIP_MAGIC = b"\x1f"


class Ending(Enum):
    """How the reading of one answer ended."""

    COMPLETE = "complete by its own framing"
    CLOSED = "closed by the peer before it was complete"
    RESET = "reset"
    BROKEN = "broken framing"
    SILENT = "no first token in time"
    STALLED = "nothing more for too long"
    TOO_LONG = "total time used up"
    TOO_LARGE = "size cap reached"


class NoResponse(Enum):
    """Why there was no answer to measure at all."""

    DNS = "dns"
    REFUSED_BY_US = "address not allowed"
    CONNECT = "connect"
    TLS = "tls"
    LOST = "lost before an answer"
    KEY = "key that cannot be sent"


@dataclass(frozen=True, slots=True)
class Head:
    """Status line and headers; names in lower case."""

    status: int
    headers: tuple[tuple[str, str], ...]
    version: str
    """`HTTP/1.0`, `HTTP/1.1` or `HTTP/2`: what the answer says of itself."""

    def header(self, name: str) -> str | None:
        """The first header of that lower-case name."""
        return next((value for key, value in self.headers if key == name), None)

    @property
    def is_event_stream(self) -> bool:
        """Whether the content type is text/event-stream."""
        return (self.header("content-type") or "").lower().startswith("text/event-stream")


@dataclass(frozen=True, slots=True)
class Piece:
    """
    Decoded body bytes, with the number of the frame that carried them: a chunk of HTTP/1.1 or a DATA frame of
    HTTP/2, counted from 1; 0 where the body has no frames.
    """

    data: bytes
    frame: int


@dataclass(frozen=True, slots=True)
class End:
    """
    The message is complete by its own framing: last chunk, END_STREAM, all of Content-Length, or the peer's
    close where there is none of these.
    """


@dataclass(frozen=True, slots=True)
class Reset:
    """The peer gave the message up (RST_STREAM, GOAWAY); `why` is its error code in words."""

    why: str


@dataclass(frozen=True, slots=True)
class Broken:
    """The framing was violated; nothing more can be read."""

    why: str


Part = Head | Piece | End | Reset | Broken


class Unreadable(Exception):
    """A body that cannot be decoded; `http1` and `http2` make it `Broken`."""


class Codec(Protocol):
    """The answer to one request, of either version: what is to be sent, and the parts of what came."""

    version: str
    ready: bool
    """Whether the request may be sent now."""

    def opening(self) -> bytes:
        """What the connection begins with, before the request."""

    def request(self, request: Request, scheme: str) -> bytes:
        """The request itself."""

    def feed(self, data: bytes) -> Iterator[Part]:
        """Take the next bytes (empty: the peer closed); give what they hold."""

    def replies(self) -> bytes:
        """What the last bytes fed oblige us to send at once."""


def readable(text: str) -> str:
    """
    What a server said, as a short line to be shown: nothing that a terminal obeys or that is no UTF-8.

    JSON can hold escape sequences and halves of surrogate pairs, a header any byte above 0x7f.
    """
    line = " ".join(text.split())[:SAID_KEPT]
    return line if line.isprintable() else "".join(c if c.isprintable() else "\ufffd" for c in line)


class Body:
    """
    Decodes a body by its Content-Encoding as it comes; raises Unreadable.

    Only gzip is ever asked for, so only gzip is known: another coding is a fault of the path. Decompression is
    incremental, so whatever a proxy flushed has its own arrival.
    """

    def __init__(self, head: Head) -> None:
        self._decoded = 0
        self._inflate: zlib._Decompress | None = None
        coding = (head.header("content-encoding") or "identity").strip().lower()
        if coding in ("gzip", "x-gzip"):
            self._inflate = zlib.decompressobj(wbits=_GZIP)
        elif coding != "identity":
            raise Unreadable(f"content-encoding {coding[:32]!r} was not asked for")

    def decode(self, data: bytes) -> Iterator[bytes]:
        """
        What these bytes make, in slices: a small read can unpack to an enormous one. One empty slice where a
        compressor's block goes on.
        """
        for plain in (data,) if self._inflate is None else self._inflated(self._inflate, data):
            self._decoded += len(plain)
            if self._decoded >= DECODED_LIMIT:
                raise Unreadable(f"the body is larger than {DECODED_LIMIT} bytes")
            yield plain

    def _inflated(self, inflate: "zlib._Decompress", data: bytes) -> Iterator[bytes]:
        while True:
            if inflate.eof:  # a gzip body may have several members; what else follows the last one is padding
                if data[:1] != _GZIP_MAGIC:
                    yield b""
                    return
                self._inflate = inflate = zlib.decompressobj(wbits=_GZIP)
            try:
                plain = inflate.decompress(data, SLICE)
            except zlib.error as error:
                raise Unreadable(f"the gzip body is damaged: {error}") from error
            yield plain
            data = inflate.unused_data if inflate.eof else inflate.unconsumed_tail
            if not data and (inflate.eof or len(plain) < SLICE):
                return
