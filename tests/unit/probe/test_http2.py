"""HTTP/2 answers, against the server side of the same library in memory."""

import itertools
from collections.abc import Callable

import h2.events
import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.settings import SettingCodes
from hypothesis import given
from hypothesis import strategies as st

from streaming_operator.probe.http import response
from streaming_operator.probe.http.http2 import WINDOW, Http2Codec
from streaming_operator.probe.http.request import ApiKey, CompletionParams, Request, body, post
from streaming_operator.probe.http.response import STEP, Broken, End, Ending, Head, Part, Piece, Reset
from streaming_operator.probe.stream.recorder import Recorder
from streaming_operator.probe.stream.timeline import Timeline
from tests.unit.probe.streams import DONE, compress, token, usage

REQUEST = post(
    "/v1/chat/completions", "llm.example", body(CompletionParams("tiny"), "n"), "gzip", ApiKey("s3cret")
)
EVENTS = [token("€"), token(), token(finish="length"), usage(3, 40.0) + DONE]
STREAM = [(b":status", b"200"), (b"content-type", b"text/event-stream; charset=utf-8")]


def parts_of(codec: Http2Codec, data: bytes) -> list[Part]:
    """What these bytes are decoded into, without the mere steps between."""
    return [part for part in codec.feed(data) if part is not STEP]


class Peer:
    """A server that has taken the request; `sent` gives what it has said since."""

    def __init__(self, codec: Http2Codec, request: Request = REQUEST, window: int | None = None) -> None:
        self.connection = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        if window is not None:
            self.connection.local_settings[SettingCodes.INITIAL_WINDOW_SIZE] = window
            self.connection.local_settings.acknowledge()
        self.headers: dict[str, str] = {}
        self.body = b""
        self._response = codec
        self.connection.initiate_connection()
        self.hear(codec.opening())
        assert not codec.ready
        assert self.tell() == []
        assert codec.ready
        self.hear(codec.request(request, "https"))

    def hear(self, data: bytes) -> None:
        for event in self.connection.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                self.headers = {str(name): str(value) for name, value in event.headers or ()}
            elif isinstance(event, h2.events.DataReceived):
                self.body += event.data or b""

    def tell(self) -> list[Part]:
        """What the client makes of all that was said."""
        parts = parts_of(self._response, self.sent())
        self.hear(self._response.replies())
        return parts

    def sent(self) -> bytes:
        return self.connection.data_to_send()

    def stream(self, events: list[bytes], end: bool = True) -> None:
        for number, event in enumerate(events, 1):
            self.connection.send_data(1, event, end_stream=end and number == len(events))


def record(says: Callable[[Peer], None]) -> Timeline:
    """One answer, every second of which brings one piece of what the server said."""
    codec, recorder = Http2Codec(), Recorder()
    recorder.begin(codec)
    peer = Peer(codec)
    says(peer)
    recorder.read(1.0, peer.sent())
    return recorder.timeline(Ending.CLOSED, 9.0, "kernel")


def test_request_is_the_same_question() -> None:
    """Method, scheme, authority, path, key and body arrive as in HTTP/1.1."""
    peer = Peer(Http2Codec())
    assert tuple(peer.headers[name] for name in (":method", ":scheme", ":authority", ":path")) == (
        "POST",
        "https",
        "llm.example",
        "/v1/chat/completions",
    )
    assert (peer.headers["authorization"], peer.headers["accept-encoding"]) == ("Bearer s3cret", "gzip")
    assert peer.body == REQUEST.body


def test_body_waits_for_the_peers_window() -> None:
    """A body larger than the peer takes is sent as room comes."""
    long = post("/", "h", b"x" * 100_000, "gzip", None)
    peer = Peer(Http2Codec(), long, window=1000)
    assert len(peer.body) == 1000
    peer.connection.acknowledge_received_data(1000, 1)
    peer.connection.increment_flow_control_window(200_000, 1)
    assert peer.tell() == []
    assert peer.body == b"x" * 65_535  # the connection has a window of its own
    peer.connection.increment_flow_control_window(200_000)
    assert peer.tell() == []
    assert peer.body == long.body


def test_our_window_never_paces(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is taken is given back long before it runs out: the peer could always send megabytes more."""
    monkeypatch.setattr(response, "DECODED_LIMIT", 4 * WINDOW)
    peer = Peer(Http2Codec())
    peer.connection.send_headers(1, STREAM)
    for _ in range(1900):
        peer.connection.send_data(1, b"x" * 16_000)
        peer.tell()
        assert peer.connection.local_flow_control_window(1) >= WINDOW // 8


def test_frames_are_numbered() -> None:
    """Each DATA frame is a frame, several in one read or not."""
    peer = Peer(Http2Codec())
    peer.connection.send_headers(1, STREAM)
    peer.stream([b"a", b"b"], end=False)
    head, *rest = peer.tell()
    assert isinstance(head, Head)
    assert (head.status, head.version, head.is_event_stream) == (200, "HTTP/2", True)
    assert rest == [Piece(b"a", 1), Piece(b"b", 2)]
    peer.stream([b"c"])
    assert peer.tell() == [Piece(b"c", 3), End()]


@given(cuts=st.lists(st.integers(0, 1200), max_size=20))
def test_any_split_of_the_answer_finds_the_same(cuts: list[int]) -> None:
    """However the bytes are cut into reads, counts and completeness are the same."""
    codec, recorder = Http2Codec(), Recorder()
    recorder.begin(codec)
    peer = Peer(codec)
    peer.connection.send_headers(1, STREAM)
    peer.stream(EVENTS)
    raw = peer.sent()
    edges = sorted({0, len(raw), *(cut for cut in cuts if cut < len(raw))})
    for start, end in itertools.pairwise(edges):
        recorder.read(float(start), raw[start:end])
    t = recorder.timeline(Ending.CLOSED, 99.0, "kernel")
    assert (t.events, t.token_frames, t.frames, t.tokens, t.done) == (3, 3, 4, 3, True)
    assert (t.ending, t.http_version, t.is_chunked) == (Ending.COMPLETE, "HTTP/2", True)


def test_gzip_is_decoded_as_it_comes() -> None:
    """Content-Encoding means the same in either version."""
    codec, recorder = Http2Codec(), Recorder()
    recorder.begin(codec)
    peer = Peer(codec)
    peer.connection.send_headers(1, [*STREAM, (b"content-encoding", b"gzip")])
    for at, piece in enumerate(compress(EVENTS)):
        peer.connection.send_data(1, piece)
        recorder.read(float(at), peer.sent())
    t = recorder.timeline(Ending.CLOSED, 99.0, "kernel")
    assert (
        [arrival.at for arrival in t.arrivals],
        [arrival.frame for arrival in t.arrivals],
        t.done,
    ) == ([0.0, 1.0, 2.0], [1, 2, 3], True)


def test_reset_of_the_stream() -> None:
    """RST_STREAM ends the answer, with its error code in words."""

    def says(peer: Peer) -> None:
        peer.connection.send_headers(1, STREAM)
        peer.stream([token()], end=False)
        peer.connection.reset_stream(1, ErrorCodes.INTERNAL_ERROR)

    t = record(says)
    assert (t.ending, t.reset, t.ended_at, t.events) == (Ending.RESET, "RST_STREAM, internal error", 1.0, 1)


def goaway(last: int, code: int, text: bytes = b"") -> bytes:
    payload = last.to_bytes(4, "big") + code.to_bytes(4, "big") + text
    return len(payload).to_bytes(3, "big") + b"\x07\x00\x00\x00\x00\x00" + payload


@pytest.mark.parametrize(
    ("last", "code", "text", "expected"),
    [
        (1, ErrorCodes.ENHANCE_YOUR_CALM, b"too many", "GOAWAY, enhance your calm (too many)"),
        (0, ErrorCodes.NO_ERROR, b"", "GOAWAY, no error"),
        (1, 99, b"\x00", "GOAWAY, error 99"),
    ],
)
def test_connection_that_is_given_up(last: int, code: int, text: bytes, expected: str) -> None:
    """GOAWAY with an error, or one that leaves our stream out, ends the answer."""
    peer = Peer(codec := Http2Codec())
    assert parts_of(codec, peer.sent() + goaway(last, code, text)) == [Reset(expected)]


def test_graceful_goaway_lets_the_stream_end() -> None:
    """A proxy that reloads says GOAWAY and finishes what runs: that is no fault."""
    peer = Peer(codec := Http2Codec())
    peer.connection.send_headers(1, STREAM)
    peer.stream([b"a"], end=False)
    first = peer.sent()
    peer.stream([b"b"])
    parts = parts_of(codec, first + goaway((1 << 31) - 1, 0) + goaway(1, 0) + peer.sent())
    assert parts[1:] == [Piece(b"a", 1), Piece(b"b", 2), End()]


def test_close_in_the_middle_is_no_end() -> None:
    """HTTP/2 has no body that ends by closing."""
    peer = Peer(codec := Http2Codec())
    peer.connection.send_headers(1, STREAM)
    peer.stream([b"a"], end=False)
    assert len(peer.tell()) == 2
    assert parts_of(codec, b"") == []


@pytest.mark.parametrize("said", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-OpenSSH_9\r\n"])
def test_peer_with_another_protocol(said: bytes) -> None:
    """A response that is not HTTP/2 is reported at once."""
    assert parts_of(Http2Codec(), said) == [Broken("the peer does not speak HTTP/2")]


def test_frame_that_is_too_large() -> None:
    """A frame beyond what we allowed is not waited for."""
    peer = Peer(codec := Http2Codec())
    (part,) = parts_of(codec, peer.sent() + b"\xff\xff\xff\x00\x00\x00\x00\x00\x01")
    assert isinstance(part, Broken)


def test_unrequested_coding_keeps_its_status() -> None:
    """The head is returned before its coding is refused."""
    peer = Peer(Http2Codec())
    peer.connection.send_headers(1, [(b":status", b"503"), (b"content-encoding", b"compress")])
    head, broken = peer.tell()
    assert isinstance(head, Head)
    assert isinstance(broken, Broken)
    assert head.status == 503
