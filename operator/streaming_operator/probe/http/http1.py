"""
An HTTP/1.1 response, incrementally: bytes in, head, body pieces and the end out; chunk frames stay visible.

h11 does the parsing (docs/decisions/0020): it is maintained, does no I/O, and tells where each chunk begins and
ends, which client libraries hide. Pure; it knows nothing of events or time.
"""

from collections.abc import Iterator

import h11

from streaming_operator.probe.http.request import Request
from streaming_operator.probe.http.response import Body, Broken, End, Head, Part, Piece, Unreadable, readable


class Http1Codec:
    """The answer to one request (`response.Codec`)."""

    version = "HTTP/1.1"
    ready = True

    def __init__(self) -> None:
        self._connection = h11.Connection(our_role=h11.CLIENT)
        # h11 is a state machine of both sides: it must believe that it sent the request.
        self._connection.send(
            h11.Request(method="POST", target="/", headers=[("Host", "probe"), ("Content-Length", "0")])
        )
        self._connection.send(h11.EndOfMessage())
        self._body: Body | None = None
        self._frame = 0
        self._over = False

    def opening(self) -> bytes:
        """A connection of HTTP/1.1 begins with the request."""
        return b""

    def request(self, request: Request, scheme: str) -> bytes:
        """The whole request; the scheme is in no line of it."""
        return request.http1()

    def replies(self) -> bytes:
        """HTTP/1.1 obliges a client to nothing."""
        return b""

    def feed(self, data: bytes) -> Iterator[Part]:
        """Take the next bytes (empty: the peer closed); give what they hold."""
        if self._over:
            return
        try:
            self._connection.receive_data(data)
            yield from self._parts()
        except (h11.RemoteProtocolError, Unreadable) as error:
            self._over = True
            yield Broken(readable(str(error)))

    def _parts(self) -> Iterator[Part]:
        while not self._over:
            event = self._connection.next_event()
            if event is h11.NEED_DATA or event is h11.PAUSED or isinstance(event, h11.ConnectionClosed):
                return
            if isinstance(event, h11.Response):
                head = self._head(event)
                yield head  # before its coding is judged: a refusal keeps its status
                self._body = Body(head)
            elif isinstance(event, h11.Data) and self._body is not None:
                for data in self._body.decode(bytes(event.data)):
                    yield Piece(data, self._frame)
                # Counted at its end: h11 forgets the start of a chunk whose size line came a read earlier.
                self._frame += event.chunk_end
            elif isinstance(event, h11.EndOfMessage):
                self._over = True
                yield End()

    def _head(self, event: h11.Response) -> Head:
        headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in event.headers)
        if any(name == "transfer-encoding" for name, _ in headers):
            self._frame = 1
        return Head(event.status_code, headers, "HTTP/" + event.http_version.decode("latin-1"))
