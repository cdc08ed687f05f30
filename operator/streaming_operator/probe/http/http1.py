"""
Codec of HTTP/1.1: decodes incrementally into head, body pieces and end, with the chunk that carried each piece.

h11 does the parsing (docs/decisions/0020): it is maintained, does no I/O, and reports where each chunk begins and ends,
which client libraries hide. Pure; it knows nothing of events or time.
"""

import re
from collections.abc import Iterator

import h11

from streaming_operator.probe.http.codings import DecodingError, TooLargeError
from streaming_operator.probe.http.request import Request
from streaming_operator.probe.http.response import (
    FRAMES,
    HEADERS,
    INTERIM,
    STEP,
    Body,
    Broken,
    End,
    Head,
    Part,
    Piece,
    broken,
)

HTTP2_ONLY = "it is a frame of HTTP/2"
SETTINGS_HEAD = bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
"""The first frame of HTTP/2 is SETTINGS of stream 0, without flags; its first three bytes are its length."""

_CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]{1,20}([ \t;\r]|$)")
"""The beginning of a chunk's head, as far as it has come; h11 takes as many digits."""
_INCOMPLETE = 16_384
"""Bytes of a head, a chunk's size or trailers that h11 keeps until they are complete; its own default."""
_TOO_LONG = 431
"""The status that h11 hints at where these are more."""
_SLICE = 4096
"""
Bytes that h11 gets at a time: it parses a head, or the trailers, in one go, of at most its limit and this.
"""


class Http1Codec:
    """One request and its response (`response.Codec`)."""

    version = "HTTP/1.1"
    ready = True

    def __init__(self) -> None:
        self._connection = h11.Connection(our_role=h11.CLIENT, max_incomplete_event_size=_INCOMPLETE)
        # h11 tracks both sides: it decodes a response only after a request went through it.
        self._connection.send(
            h11.Request(method="POST", target="/", headers=[("Host", "probe"), ("Content-Length", "0")])
        )
        self._connection.send(h11.EndOfMessage())
        self._body: Body | None = None
        self._frame = 0
        self._interim = 0
        self._over = False
        self._beginning = b""
        self._chunked = False

    def opening(self) -> bytes:
        """Nothing: a connection of HTTP/1.1 begins with the request."""
        return b""

    def request(self, request: Request, scheme: str) -> bytes:
        """The whole request; the scheme is not part of it."""
        return request.http1()

    def replies(self) -> bytes:
        """Nothing: HTTP/1.1 requires no replies from a client."""
        return b""

    def feed(self, data: bytes) -> Iterator[Part]:
        """Decode the next bytes (empty: the peer closed) into parts."""
        if self._over:
            return
        self._beginning += data[: len(SETTINGS_HEAD) - len(self._beginning)]
        try:
            for start in range(0, max(len(data), 1), _SLICE):
                self._connection.receive_data(data[start : start + _SLICE])
                yield from self._parts()
                if self._over:
                    return
                self._check_first_chunk()
        except (h11.RemoteProtocolError, DecodingError) as error:
            self._over = True
            if self._frame == 0 and self._beginning[3:] == SETTINGS_HEAD[3:]:
                yield Broken(HTTP2_ONLY)
            elif getattr(error, "error_status_hint", None) == _TOO_LONG:
                yield Broken(
                    f"a head, chunk size or trailers of more than {_INCOMPLETE} bytes", too_large=True
                )
            else:
                yield broken(error)

    def _check_first_chunk(self) -> None:
        """Raise DecodingError for a body that is not chunked, though its head says so: h11 waits for a line's end."""
        rest = bytes(self._connection.trailing_data[0])
        if self._frame != 1 or self._chunked or not rest:
            return
        size = _CHUNK_SIZE.match(rest)
        if size is None:
            raise DecodingError(f"the body is not chunked as its head says, but begins with {rest[:40]!r}")
        if size[1]:  # else all that has come are digits, which anything else may follow
            self._chunked = True

    def _parts(self) -> Iterator[Part]:
        while not self._over:
            event = self._connection.next_event()
            if event is h11.NEED_DATA or event is h11.PAUSED or isinstance(event, h11.ConnectionClosed):
                return
            if isinstance(event, h11.InformationalResponse):
                self._interim += 1
                if self._interim > INTERIM:
                    raise TooLargeError(f"more than {INTERIM} interim responses")
                yield STEP
            elif isinstance(event, h11.Response):
                head = self._head(event)
                yield head  # before its coding is checked: the status is known even if the body cannot be decoded
                self._body = Body(head)
            elif isinstance(event, h11.Data) and self._body is not None:
                self._chunked = True
                for data in self._body.decode(bytes(event.data)):
                    yield Piece(data, self._frame)
                # Counted at its end: h11 does not report the start of a chunk whose size line came a read earlier.
                self._frame += event.chunk_end
                if self._frame > FRAMES:
                    raise TooLargeError(f"more than {FRAMES} chunks")
            elif isinstance(event, h11.EndOfMessage):
                self._over = True
                yield End()

    def _head(self, event: h11.Response) -> Head:
        if len(event.headers) > HEADERS:
            raise TooLargeError(f"more than {HEADERS} headers")
        headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in event.headers)
        if any(name == "transfer-encoding" for name, _ in headers):
            self._frame = 1
        return Head(event.status_code, headers, "HTTP/" + event.http_version.decode("latin-1"))
