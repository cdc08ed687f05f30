"""HTTP/2 with real servers: chosen by ALPN or known beforehand, or not spoken at all."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from streaming_operator.api.reasons import Hop, Verdict
from streaming_operator.probe.http import connection
from streaming_operator.probe.http.connection import Target
from streaming_operator.probe.http.request import CompletionParams, Encoding, body, post
from streaming_operator.probe.http.response import Ending, NoResponse
from streaming_operator.probe.stream.recorder import Recorder
from streaming_operator.probe.stream.timeline import Timeline
from streaming_operator.probe.verification import Plan, verify
from tests.engines.running import MODEL
from tests.probe import proxies
from tests.probe.certificates import Authority, authority
from tests.probe.conftest import LIMITS, Engines, at_the_servers_pace, begun_in_time, plan
from tests.probe.http2 import Http2Server
from tests.probe.proxies import Proxy
from tests.probe.zoo.running import Running, Setup

HOST = "llm.example"
NGINX = Setup(
    "nginx",
    "proxy_buffering off; proxy_http_version 1.1; gzip on;",
    "http: http2 on; gzip_types text/event-stream; gzip_proxied any;",
    tls=True,
)


@pytest.fixture(scope="module")
def ca() -> Authority:
    return authority("private CA")


@pytest.fixture(scope="module")
def secure(ca: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Http2Server]:
    with Http2Server(ca.file(HOST, tmp_path_factory.mktemp("tls"))) as server:
        yield server


@pytest.fixture(scope="module")
def plain() -> Iterator[Http2Server]:
    with Http2Server() as server:
        yield server


async def ask(
    target: Target,
    encoding: Encoding = "identity",
    tokens: int = 64,
    heard: Callable[[float, int], None] | None = None,
) -> Timeline:
    question = body(CompletionParams(MODEL, max_tokens=tokens), "n")
    recorder = Recorder(heard)
    request = post(target.path, target.host_header, question, encoding, None)
    ended = await connection.exchange(target, request, recorder, LIMITS)
    return recorder.timeline(ended.ending, ended.at, ended.clock, ended.segments)


def https(port: int, ca: str, *, http2: bool) -> Target:
    return Target(Hop.EXPOSURE, "127.0.0.1", port, "https", HOST, ca=ca, http2=http2)


def verified(target: Target) -> Plan:
    return replace(plan([target.port]), targets=(target,))


@pytest.mark.parametrize(("http2", "spoken"), [(True, "HTTP/2"), (False, "HTTP/1.1")])
async def test_alpn_chooses(secure: Http2Server, ca: Authority, http2: bool, spoken: str) -> None:
    """HTTP/2 where it is asked for, else the same server speaks HTTP/1.1. Both stream, frame by frame."""
    t = await ask(https(secure.port, ca.pem, http2=http2))
    assert (t.http_version, t.ending, t.done, t.events) == (spoken, Ending.COMPLETE, True, 64)
    assert (t.token_frames, t.is_chunked) == (64, True)
    result = await verify(verified(https(secure.port, ca.pem, http2=http2)))
    assert (result.verdict, result.hops[0].protocol) == (Verdict.STREAMING, spoken), result.message


async def test_server_without_http2(ca: Authority, tmp_path: Path) -> None:
    """Offered but not chosen: the answer comes in HTTP/1.1, and the timeline says so."""
    with Http2Server(ca.file(HOST, tmp_path), alpn=("http/1.1",)) as server:
        t = await ask(https(server.port, ca.pem, http2=True))
    assert (t.http_version, t.events) == ("HTTP/1.1", 64)


async def test_prior_knowledge(plain: Http2Server) -> None:
    """Without TLS nothing is negotiated: HTTP/2 is used by prior knowledge."""
    t = await begun_in_time(lambda: ask(Target(Hop.POD, "127.0.0.1", plain.port, http2=True)))
    assert (t.http_version, t.ending, t.events, t.tokens) == ("HTTP/2", Ending.COMPLETE, 64, 64)
    assert at_the_servers_pace(t), (t.pacing, t.merged, t.late)


async def test_long_answer(plain: Http2Server) -> None:
    """More than a window of 64 KiB arrives without a pause of ours."""
    t = await ask(Target(Hop.POD, "127.0.0.1", plain.port, http2=True), tokens=512)
    assert (t.events, t.ending) == (512, Ending.COMPLETE)
    assert sum(size for _, size in t.sizes) > 65_535


async def test_wrong_prior_knowledge_of_http2(engines: Engines) -> None:
    """Wrong prior knowledge is reported as such."""
    with pytest.raises(connection.NoResponseError) as refused:
        await ask(Target(Hop.POD, "127.0.0.1", engines().port, http2=True))
    assert refused.value.cause is NoResponse.LOST
    assert "does not speak HTTP/2" in refused.value.detail


@pytest.fixture
def nginx(ca: Authority, tmp_path: Path) -> Callable[[int], Running]:
    """nginx with TLS and HTTP/2 before a port; its faults in HTTP/2 are its own."""
    return lambda upstream: Running(NGINX, upstream, tmp_path / "nginx", ca.file(HOST, tmp_path))


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
async def test_nginx_streams(
    nginx: Callable[[int], Running], engines: Engines, ca: Authority, encoding: Encoding
) -> None:
    """
    Frames and pace are seen through HTTP/2, TLS and compression.

    Asked up to three times: on a busy machine nginx joins what it reads late, and never divides it.
    """
    with nginx(engines().port) as edge:
        for _ in range(3):
            t = await ask(https(edge.port, ca.pem, http2=True), encoding)
            if t.token_frames >= 32 and at_the_servers_pace(t):
                break
    assert t.head is not None
    assert (t.http_version, t.head.header("content-encoding") == "gzip") == ("HTTP/2", encoding == "gzip")
    assert (t.events, t.ending) == (64, Ending.COMPLETE)
    assert 32 <= t.token_frames <= 64
    assert at_the_servers_pace(t), (t.pacing, t.merged, t.late)


async def test_cut_upstream_is_a_reset(
    nginx: Callable[[int], Running], engines: Engines, ca: Authority
) -> None:
    """An upstream that breaks off becomes RST_STREAM, whose code is reported."""
    with Proxy(engines().port, proxies.cut(3000)) as upstream, nginx(upstream.port) as edge:
        t = await ask(https(edge.port, ca.pem, http2=True))
    assert (t.ending, t.done) == (Ending.RESET, False)
    assert t.reset.startswith("RST_STREAM, ")
    assert 0 < t.events < 64


async def test_reload_lets_the_stream_finish(
    nginx: Callable[[int], Running], engines: Engines, ca: Authority
) -> None:
    """nginx that reloads says GOAWAY to a connection and finishes its stream: nothing is missing."""
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()

    def reload(at: float, size: int) -> None:
        if not asked.is_set():
            loop.call_soon_threadsafe(asked.set)
            edge.reload()

    with nginx(engines().port) as edge:
        t = await ask(https(edge.port, ca.pem, http2=True), tokens=128, heard=reload)
    assert asked.is_set()
    assert (t.events, t.done, t.ending, t.reset) == (128, True, Ending.COMPLETE, "")
