"""
One HTTP response, independent of the version of HTTP: its head, the pieces of its body and how it ended.

The codecs in `http1` and `http2` turn bytes into these parts; nothing else knows how they are framed. Pure.
"""

import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from streaming_operator import foreign_text
from streaming_operator.probe.http import codings
from streaming_operator.probe.http.codings import SLICE, DecodingError, TooLargeError
from streaming_operator.probe.http.request import Request

DECODED_LIMIT = 4 * 1024 * 1024
"""Bytes of decoded body that are parsed: a small compressed body can decode to an enormous one."""
HEADERS = 256
"""Headers of one response."""
INTERIM = 16
"""Interim responses (1xx) before the response."""
FRAMES = 16_384
"""Chunks, or frames of HTTP/2 of every type, of one response: 1,024 tokens take a few thousand."""
MESSAGE_LENGTH = 200
"""Characters of a server's message that are kept."""
_GZIP = 31
"""zlib's window bits for a gzip header and trailer."""
_GZIP_MAGIC = b"\x1f"


TLS_ENDED = "the TLS session ended with "
"""Begins `Timeline.broken` where an alert ended the session after its handshake."""


class Ending(Enum):
    """How the reading of one response ended."""

    COMPLETE = "complete by its own framing"
    CLOSED = "closed by the peer before it was complete"
    RESET = "reset"
    BROKEN = "broken framing"
    SILENT = "no first token in time"
    STALLED = "nothing more for too long"
    LEFT_OPEN = "left open by the peer after the end marker"
    TOO_LONG = "total time used up"
    TOO_LARGE = "size cap reached"


class NoResponse(Enum):
    """Why there was no response to measure."""

    DNS = "dns"
    REFUSED_BY_US = "address not allowed"
    CONNECT = "connect"
    TLS = "tls"
    LOST = "lost before an answer"
    KEY = "key that cannot be sent"
    PROXY = "the HTTP proxy makes no connection"


@dataclass(frozen=True, slots=True)
class Validity:
    """From when to when a certificate is valid, in seconds of Unix time."""

    begins: float
    ends: float


@dataclass(frozen=True, slots=True)
class Head:
    """Status line and headers; names in lower case."""

    status: int
    headers: tuple[tuple[str, str], ...]
    version: str
    """`HTTP/1.0`, `HTTP/1.1` or `HTTP/2`, by the response itself."""

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
    """The peer aborted the message (RST_STREAM, GOAWAY); `why` is its error code in words."""

    why: str


@dataclass(frozen=True, slots=True)
class Broken:
    """The framing is invalid, or more than is read of one response; nothing more can be read."""

    why: str
    too_large: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """Some bytes were parsed, and nothing else came of them: the caller may turn to another response."""


STEP = Step()
Part = Step | Head | Piece | End | Reset | Broken


def broken(error: Exception) -> Broken:
    """The part that ends a response for this error."""
    return Broken(readable(str(error)) or type(error).__name__, isinstance(error, TooLargeError))


class Codec(Protocol):
    """Encodes one request and decodes its response, in one version of HTTP."""

    version: str
    ready: bool
    """Whether the request may be sent now."""

    def opening(self) -> bytes:
        """The bytes that a connection begins with, before the request."""

    def request(self, request: Request, scheme: str) -> bytes:
        """The bytes of the request."""

    def feed(self, data: bytes) -> Iterator[Part]:
        """
        Decode the next bytes (empty: the peer closed) into parts, a bounded piece of work each; what is taken out of
        the iterator decides how far they are decoded.
        """

    def replies(self) -> bytes:
        """Bytes to be sent in reply to those fed so far."""


def readable(text: str) -> str:
    """
    A server's text as one short line that is safe to show.

    JSON can hold escape sequences and unpaired surrogates, a header any byte above 0x7f.
    """
    return foreign_text.readable(text, MESSAGE_LENGTH)


class Body:
    """
    Decodes a body by its Content-Encoding as it comes; raises DecodingError.

    Only gzip is ever accepted; other codings that Python or an installed package can decode are decoded all the same,
    and what is no coding (`none`, a character set) is passed through, as browsers do. Decompression is incremental, so
    that whatever a proxy flushed has its own arrival time.
    """

    def __init__(self, head: Head) -> None:
        self._decoded = 0
        self._members = 1
        self._inflate: zlib._Decompress | None = None
        self._other: Callable[[bytes], Iterator[bytes]] | None = None
        coding = (head.header("content-encoding") or "identity").strip().lower()
        if coding in ("gzip", "x-gzip"):
            self._inflate = zlib.decompressobj(wbits=_GZIP)
        elif coding in codings.CODINGS:
            self._other = codings.decoder(coding)

    def decode(self, data: bytes) -> Iterator[bytes]:
        """
        The decoded bytes, in slices: a small read can decode to an enormous one. One empty slice while a block of the
        compressor is incomplete.
        """
        for plain in self._decoded_slices(data):
            self._decoded += len(plain)
            if self._decoded >= DECODED_LIMIT:
                raise TooLargeError(f"the body is larger than {DECODED_LIMIT} bytes")
            yield plain

    def _decoded_slices(self, data: bytes) -> Iterable[bytes]:
        if self._other is not None:
            return self._other(data)
        return (data,) if self._inflate is None else self._inflated(self._inflate, data)

    def _inflated(self, inflate: "zlib._Decompress", data: bytes) -> Iterator[bytes]:
        while True:
            if (
                inflate.eof
            ):  # a gzip body may have several members; anything else after the last one is padding
                if data[:1] != _GZIP_MAGIC:
                    yield b""
                    return
                self._members += 1
                if self._members > FRAMES:
                    raise TooLargeError(f"the gzip body has more than {FRAMES} members")
                self._inflate = inflate = zlib.decompressobj(wbits=_GZIP)
            try:
                plain = inflate.decompress(data, SLICE)
            except zlib.error as error:
                if not self._decoded and data[:1] != _GZIP_MAGIC:
                    raise DecodingError(
                        "Content-Encoding says gzip, but the body is not compressed"
                    ) from error
                raise DecodingError(f"the gzip body is damaged: {error}") from error
            yield plain
            data = inflate.unused_data if inflate.eof else inflate.unconsumed_tail
            if not data and (inflate.eof or len(plain) < SLICE):
                return
