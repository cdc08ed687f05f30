"""
Codec of HTTP/2 for one request a connection: decodes incrementally into head, body pieces and end.

h2 does the parsing (docs/decisions/0020): no I/O, and one event a DATA frame, so that frames can be counted. Pure; what
has to be sent is returned as bytes. Our flow-control windows are larger than any response that is read and are
refilled long before they are used up, so that they never slow the stream down.

GOAWAY frames are removed before h2 gets them: h2 treats the connection as closed at the first, but a proxy that reloads
sends one and then finishes the running stream (RFC 9113, 6.8).
"""

from collections.abc import Iterator
from dataclasses import replace

import h2.events as events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.exceptions import DenialOfServiceError, ProtocolError
from h2.settings import SettingCodes, Settings

from streaming_operator.probe.http.codings import DecodingError, TooLargeError
from streaming_operator.probe.http.request import Request
from streaming_operator.probe.http.response import (
    FRAMES,
    HEADERS,
    STEP,
    Body,
    End,
    Head,
    Part,
    Piece,
    Reset,
    broken,
)

WINDOW = 16 * 1024 * 1024
"""Bytes that the peer may send without an update, on the stream and on the connection: above `Limits.size`."""
_FRAME_HEAD = 9
_SETTINGS, _GOAWAY = 4, 7
_STREAM = 1
"""The only stream of a connection that carries one request."""
_INITIAL_WINDOW = 65_535
"""A connection's window before any update, independent of the settings (RFC 9113, 6.9.2)."""
_DEBUG_KEPT = 80
"""Bytes of a GOAWAY's debug data that are kept."""


class Http2Codec:
    """
    One request and its response (`response.Codec`).

    The request waits for the peer's settings: some servers refuse a body that is sent before them.
    """

    version = "HTTP/2"

    def __init__(self) -> None:
        self.ready = False
        self._connection = H2Connection(H2Configuration(client_side=True, header_encoding=None))
        self._received = bytearray()
        self._unsent = b""
        self._body: Body | None = None
        self._frame = 0
        self._received_frames = 0
        self._over = False

    def opening(self) -> bytes:
        """The preface, our settings and the update of the connection's window."""
        self._connection.local_settings = Settings(
            client=True,
            initial_values={SettingCodes.ENABLE_PUSH: 0, SettingCodes.INITIAL_WINDOW_SIZE: WINDOW},
        )
        self._connection.initiate_connection()
        self._connection.increment_flow_control_window(WINDOW - _INITIAL_WINDOW)
        return self._connection.data_to_send()

    def request(self, request: Request, scheme: str) -> bytes:
        """
        The request: HEADERS, and as much of the body as the peer's window allows (64 KiB unless it sets less).
        """
        pseudo = [
            (":method", request.method),
            (":scheme", scheme),
            (":authority", request.host),
            (":path", request.path),
        ]
        headers = [(name.lower(), value) for name, value in request.headers]
        self._unsent = request.body
        self._connection.send_headers(_STREAM, [*pseudo, *headers], end_stream=not request.body)
        self._send_body()
        return self.replies()

    def replies(self) -> bytes:
        """Acknowledgements, window updates, and the rest of the body."""
        return self._connection.data_to_send()

    def feed(self, data: bytes) -> Iterator[Part]:
        """Decode the next bytes (empty: the peer closed, which does not end a message of HTTP/2)."""
        if self._over:
            return
        self._received += data
        try:
            for frame in self._frames():
                self._received_frames += 1
                if self._received_frames > FRAMES:
                    raise TooLargeError(f"more than {FRAMES} frames")
                yield from self._parts(frame)
                yield STEP
        except DenialOfServiceError as error:  # a header list of more than h2 decodes
            yield self._end(replace(broken(error), too_large=True))
        except (ProtocolError, DecodingError) as error:
            yield self._end(broken(error))

    def _frames(self) -> Iterator[bytes]:
        """The complete frames received so far."""
        while len(self._received) >= _FRAME_HEAD and not self._over:
            if not self.ready and self._received[3] != _SETTINGS:
                # RFC 9113, 3.4: the first frame is SETTINGS; "HTTP/1.1 400" is not.
                raise ProtocolError("the peer does not speak HTTP/2")
            length = _FRAME_HEAD + int.from_bytes(self._received[:3], "big")
            if length > _FRAME_HEAD + self._connection.max_inbound_frame_size:
                raise ProtocolError(f"a frame of {length - _FRAME_HEAD} bytes is larger than we allowed")
            if len(self._received) < length:
                return
            frame = bytes(self._received[:length])
            del self._received[:length]
            yield frame

    def _parts(self, frame: bytes) -> Iterator[Part]:
        if frame[3] == _GOAWAY:
            yield from self._going_away(frame[_FRAME_HEAD:])
            return
        for event in self._connection.receive_data(frame):
            if isinstance(event, events.RemoteSettingsChanged):
                self.ready = True
            elif isinstance(event, events.WindowUpdated):
                self._send_body()
            elif isinstance(event, events.ResponseReceived):
                head = _head(event)
                yield head  # before its coding is checked: the status is known even if the body cannot be decoded
                self._body = Body(head)
            elif isinstance(event, events.DataReceived) and self._body is not None:
                self._frame += 1
                self._connection.acknowledge_received_data(event.flow_controlled_length or 0, _STREAM)
                for data in self._body.decode(event.data) if event.data else ():
                    yield Piece(data, self._frame)
            elif isinstance(event, events.StreamEnded):
                yield self._end(End())
            elif isinstance(event, events.StreamReset):
                yield self._end(Reset(f"RST_STREAM, {_words(event.error_code or 0)}"))

    def _going_away(self, payload: bytes) -> Iterator[Part]:
        last, code = int.from_bytes(payload[:4], "big") & 0x7FFFFFFF, int.from_bytes(payload[4:8], "big")
        if code or last < _STREAM:
            text = payload[8 : 8 + _DEBUG_KEPT].decode("ascii", "replace")
            debug = f" ({text})" if text and text.isprintable() else ""
            yield self._end(Reset(f"GOAWAY, {_words(code)}{debug}"))

    def _end(self, part: Part) -> Part:
        self._over = True
        return part

    def _send_body(self) -> None:
        while self._unsent:
            window = self._connection.local_flow_control_window(_STREAM)
            size = min(window, self._connection.max_outbound_frame_size, len(self._unsent))
            if size <= 0:
                return
            piece, self._unsent = self._unsent[:size], self._unsent[size:]
            self._connection.send_data(_STREAM, piece, end_stream=not self._unsent)


def _head(event: events.ResponseReceived) -> Head:
    fields = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in event.headers or ()]
    status = next((value for name, value in fields if name == ":status"), "0")
    headers = tuple((name, value) for name, value in fields if not name.startswith(":"))
    if len(headers) > HEADERS:
        raise TooLargeError(f"more than {HEADERS} headers")
    return Head(int(status), headers, "HTTP/2")


def _words(code: int) -> str:
    try:
        return ErrorCodes(code).name.lower().replace("_", " ")
    except ValueError:
        return f"error {code}"
