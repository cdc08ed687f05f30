"""HTTP/2 at the edge does not bundle: each token is a frame of its own, as a client library sees it, not our probe."""

import json
import socket
import ssl
from dataclasses import dataclass, field
from pathlib import Path

import h2.config
import h2.connection
import h2.events
import pytest

from tests.engines.running import MODEL
from tests.probe.certificates import Authority, authority
from tests.probe.conftest import Engines
from tests.probe.packages import Missing
from tests.probe.zoo.running import Running, Setup

HOST = "llm.example"
TOKENS = 64
PACE = ("--inter-token-latency", "20")
"""Milliseconds between two tokens."""
EDGES = {
    "nginx": Setup("nginx", "proxy_buffering off; proxy_http_version 1.1;", "http: http2 on;", tls=True),
    "envoy": Setup("envoy", '{"timeout": "0s"}', tls=True),
    "haproxy": Setup("haproxy", tls=True),
    "caddy": Setup("caddy", tls=True),
}
BUFFERING = Setup(
    "nginx", "proxy_http_version 1.1; gzip on;", "http: http2 on; gzip_types *; gzip_proxied any;", tls=True
)


@dataclass
class Stream:
    """What one completion over HTTP/2 brought: the protocol that ALPN chose, and the body of each DATA frame."""

    protocol: str | None
    frames: list[bytes] = field(default_factory=list)

    @property
    def tokens(self) -> int:
        """Events with text."""
        return b"".join(self.frames).count(b'"content":"') - b"".join(self.frames).count(b'"content":""')

    @property
    def largest(self) -> int:
        """Most events with text in one frame."""
        return max(frame.count(b"data: {") for frame in self.frames)


def streamed(port: int, ca: Authority, coding: str = "identity") -> Stream:
    """One completion, asked with h2 over a socket of this process."""
    context = ssl.create_default_context(cadata=ca.pem)
    # Python 3.13 sets it, and these certificates name no key identifier of their CA.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.set_alpn_protocols(["h2", "http/1.1"])
    body = {"model": MODEL, "stream": True, "max_tokens": TOKENS, "ignore_eos": True}
    question = json.dumps(body | {"messages": [{"role": "user", "content": "count"}]}).encode()
    headers = [
        (":method", "POST"),
        (":scheme", "https"),
        (":authority", HOST),
        (":path", "/v1/chat/completions"),
    ]
    headers += [("content-type", "application/json"), ("accept-encoding", coding)]
    with (
        socket.create_connection(("127.0.0.1", port), 60) as plain,
        context.wrap_socket(plain, server_hostname=HOST) as tls,
    ):
        stream = Stream(tls.selected_alpn_protocol())
        connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        connection.initiate_connection()
        number = connection.get_next_available_stream_id()
        connection.send_headers(number, headers)
        connection.send_data(number, question, end_stream=True)
        tls.sendall(connection.data_to_send())
        while True:
            received = tls.recv(65536)
            assert received, "the edge closed the connection before the stream ended"
            for event in connection.receive_data(received):
                if isinstance(event, h2.events.DataReceived):
                    stream.frames.append(event.data)
                    connection.acknowledge_received_data(event.flow_controlled_length, number)
                elif isinstance(event, h2.events.StreamEnded):
                    return stream
                assert not isinstance(event, h2.events.StreamReset | h2.events.ConnectionTerminated), event
            tls.sendall(connection.data_to_send())


@pytest.fixture(scope="module")
def ca() -> Authority:
    return authority("private CA")


def edge(setup: Setup, port: int, ca: Authority, folder: Path) -> Running:
    try:
        return Running(setup, port, folder / "edge", ca.file(HOST, folder))
    except Missing as missing:
        pytest.skip(str(missing))


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.programs(name)) for name in EDGES])
def test_a_token_is_a_frame(name: str, engines: Engines, ca: Authority, tmp_path: Path) -> None:
    """
    ALPN chooses h2, and a stream of paced tokens has about as many DATA frames as the engine sent events.

    Asked up to three times: a machine that is late makes fewer frames of the same events, and never more.
    """
    with edge(EDGES[name], engines(*PACE).port, ca, tmp_path) as before:
        for _ in range(3):
            stream = streamed(before.port, ca)
            if len(stream.frames) >= TOKENS / 2:
                break

    assert (stream.protocol, stream.tokens) == ("h2", TOKENS)
    assert len(stream.frames) >= TOKENS / 2, (
        f"{len(stream.frames)} frames, at most {stream.largest} events in one"
    )


@pytest.mark.programs("nginx")
def test_a_buffering_edge_is_seen_in_the_frames(engines: Engines, ca: Authority, tmp_path: Path) -> None:
    """The same count with an edge that stores and compresses: a few frames for all tokens."""
    with edge(BUFFERING, engines(*PACE).port, ca, tmp_path) as before:
        stream = streamed(before.port, ca, "gzip")

    assert stream.protocol == "h2"
    assert len(stream.frames) < TOKENS / 4
