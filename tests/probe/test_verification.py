"""Verdict and hop through real sockets: a model server, a proxy that does one thing wrong, and the probe."""

import socket

import pytest

from streaming_operator.api.reasons import Hop, Verdict
from streaming_operator.probe.verification import verify
from tests.engines.running import free_port
from tests.probe import proxies
from tests.probe.conftest import HASTY, Engines, plan
from tests.probe.proxies import Proxy


async def test_healthy_path_streams(engines: Engines) -> None:
    """Through a proxy that passes every byte: Streaming, measured, and no inner hop is asked."""
    engine = engines()
    with Proxy(engine.port, proxies.healthy) as edge:
        result = await verify(plan([engine.port, edge.port]))
    assert (result.verdict, result.hop) == (Verdict.STREAMING, Hop.EXPOSURE)
    (hop,) = result.hops
    assert (hop.events, hop.tokens, hop.done, hop.finish_reason) == (64, 64, True, "length")
    assert hop.pacing_percent in range(85, 116)
    assert hop.ttft_milliseconds is not None


async def test_a_person_sees_every_hop_and_every_read(engines: Engines) -> None:
    """Inner hops too when asked for, though the outer one streams; each read is reported while it happens."""
    engine, reads = engines(), []
    with Proxy(engine.port, proxies.healthy) as edge:
        result = await verify(
            plan([engine.port, edge.port], every_hop=True, on_read=lambda *read: reads.append(read))
        )
    assert [(hop.hop, hop.verdict) for hop in result.hops] == [
        (Hop.EXPOSURE, Verdict.STREAMING),
        (Hop.POD, Verdict.STREAMING),
    ]
    for hop in result.hops:
        sizes = hop.timeline.sizes  # type: ignore[attr-defined]
        assert set(sizes) <= {(at, size) for name, at, size in reads if name is hop.hop}


async def test_bursts_of_one_stream_are_not_taken_for_the_engines(engines: Engines) -> None:
    """A busy node, or the tunnel to a pod, can bundle one stream: the engine emits in bursts if two show them."""
    engine = engines()
    relays = iter((proxies.corked(0.2),))

    def first_corked(upstream: socket.socket, client: socket.socket) -> None:
        next(relays, proxies.healthy)(upstream, client)

    with Proxy(engine.port, first_corked) as pod, Proxy(engine.port, proxies.healthy) as edge:
        result = await verify(plan([pod.port, edge.port], every_hop=True))
    assert [(hop.hop, hop.verdict) for hop in result.hops] == [
        (Hop.EXPOSURE, Verdict.STREAMING),
        (Hop.POD, Verdict.STREAMING),
    ]


async def test_one_uneven_stream_of_the_pod_is_repeated_where_the_edge_fails(engines: Engines) -> None:
    """Whether the pod streams is what tells the edge's fault from the engine's: two more streams settle a doubt."""
    engine = engines("--inter-token-latency", "30")
    relays = iter((proxies.corked(0.125),))

    def first_uneven(upstream: socket.socket, client: socket.socket) -> None:
        next(relays, proxies.healthy)(upstream, client)

    bad_gateway = proxies.page("502 Bad Gateway", "502")
    with Proxy(engine.port, first_uneven) as pod, Proxy(engine.port, bad_gateway) as edge:
        result = await verify(plan([pod.port, edge.port]))
    assert [(hop.hop, hop.verdict) for hop in result.hops] == [
        (Hop.EXPOSURE, Verdict.UPSTREAM_ERROR),
        (Hop.POD, Verdict.STREAMING),
    ]


async def test_both_encodings_are_asked(engines: Engines) -> None:
    """As clients ask that accept gzip, then as those that do not; a busy machine has one of them asked again."""
    engine = engines()
    with Proxy(engine.port, proxies.healthy) as edge:
        await verify(plan([engine.port, edge.port]))
    asked = [b"Accept-Encoding: gzip" in request for request in edge.requests]
    assert list(dict.fromkeys(asked)) == [True, False]


@pytest.mark.parametrize(
    ("relay", "expected"),
    [
        pytest.param(proxies.store_and_forward, Verdict.BUFFERED, id="stored and forwarded"),
        pytest.param(proxies.with_length, Verdict.BUFFERED, id="Content-Length"),
        pytest.param(proxies.corked(0.2), Verdict.COALESCED, id="corked for 200 ms"),
        pytest.param(proxies.cut(3000), Verdict.TRUNCATED, id="closed in the middle"),
        pytest.param(proxies.cut(3000, reset=True), Verdict.TRUNCATED, id="reset in the middle"),
        pytest.param(proxies.page("404 Not Found", "404"), Verdict.ROUTE_NOT_FOUND, id="wrong route"),
        pytest.param(proxies.page("504 Gateway Time-out", "504"), Verdict.UPSTREAM_ERROR, id="504"),
        pytest.param(
            proxies.page("401 Unauthorized", "401"), Verdict.AUTH_REJECTED, id="edge asks for credentials"
        ),
        pytest.param(proxies.answer(b"SSH-2.0-x\r\n\r\n"), Verdict.UNREACHABLE, id="no HTTP"),
    ],
)
async def test_fault_of_the_edge(engines: Engines, relay: proxies.Relay, expected: Verdict) -> None:
    """Each fault is named, the exposure is blamed, and the pod is shown to stream."""
    engine = engines()
    with Proxy(engine.port, relay) as edge:
        result = await verify(plan([engine.port, edge.port]))
    assert (result.verdict, result.hop) == (expected, Hop.EXPOSURE), result.message
    assert [(hop.hop, hop.verdict) for hop in result.hops] == [
        (Hop.EXPOSURE, expected),
        (Hop.POD, Verdict.STREAMING),
    ]


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        pytest.param(("--full-buffer", "true"), Verdict.BUFFERED, id="holds the stream"),
        pytest.param(("--cut-after-tokens", "5"), Verdict.TRUNCATED, id="connection reset"),
        pytest.param(("--stop-after-tokens", "5"), Verdict.NO_DONE_MARKER, id="no end marker"),
        pytest.param(("--error-after-tokens", "5"), Verdict.ERROR_IN_STREAM, id="error, then [DONE]"),
        pytest.param(("--http-status", "500"), Verdict.UPSTREAM_ERROR, id="500"),
        pytest.param(("--api-key", "other"), Verdict.AUTH_REJECTED, id="another key"),
    ],
)
async def test_fault_of_the_engine(engines: Engines, flags: tuple[str, ...], expected: Verdict) -> None:
    """What the pod shows already is the pod's fault, however it looks outside."""
    engine = engines(*flags)
    with Proxy(engine.port, proxies.healthy) as edge:
        result = await verify(plan([engine.port, edge.port], key="s3cret"))
    assert (result.verdict, result.hop) == (expected, Hop.POD), result.message


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        pytest.param(("--hang-after-tokens", "0"), Verdict.TTFT_EXCEEDED, id="no first token"),
        pytest.param(("--hang-after-tokens", "5"), Verdict.TRUNCATED, id="no end"),
    ],
)
async def test_engine_that_hangs(engines: Engines, flags: tuple[str, ...], expected: Verdict) -> None:
    """A stream that stands still is left, and the pod is blamed."""
    engine = engines(*flags)
    with Proxy(engine.port, proxies.healthy) as edge:
        result = await verify(plan([engine.port, edge.port], limits=HASTY))
    assert (result.verdict, result.hop) == (expected, Hop.POD), result.message


async def test_silent_edge(engines: Engines) -> None:
    """Not a byte in time."""
    engine = engines()
    with Proxy(engine.port, proxies.mute) as edge:
        result = await verify(plan([engine.port, edge.port], limits=HASTY))
    assert (result.verdict, result.hop) == (Verdict.TTFT_EXCEEDED, Hop.EXPOSURE), result.message


async def test_service_hop_is_blamed_between_pod_and_edge(engines: Engines) -> None:
    """Two healthy hops around a bad one."""
    engine = engines()
    with (
        Proxy(engine.port, proxies.store_and_forward) as service,
        Proxy(service.port, proxies.healthy) as edge,
    ):
        result = await verify(plan([engine.port, service.port, edge.port]))
    assert (result.verdict, result.hop) == (Verdict.BUFFERED, Hop.SERVICE)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        pytest.param(("--inter-token-latency", "0.2"), Verdict.STREAMING, id="0.2 ms a token"),
        pytest.param(("--inter-token-latency", "2"), Verdict.STREAMING, id="2 ms a token"),
        pytest.param(("--stream-interval", "4"), Verdict.ENGINE_BATCHED, id="stream_interval"),
        pytest.param(
            ("--inter-token-latency", "10", "--inter-token-latency-std-dev", "3"),
            Verdict.STREAMING,
            id="uneven",
        ),
        pytest.param(("--close-delimited", "true"), Verdict.STREAMING, id="no chunks"),
    ],
)
async def test_peculiar_engines_are_not_blamed_on_the_proxy(
    engines: Engines, flags: tuple[str, ...], expected: Verdict
) -> None:
    """Fast, bundling, uneven and un-chunked model servers behind a healthy proxy."""
    engine = engines(*flags)
    with Proxy(engine.port, proxies.healthy) as edge:
        result = await verify(plan([engine.port, edge.port]))
    assert result.verdict is expected, result.message


@pytest.mark.parametrize(
    ("relay", "expected"),
    [
        (proxies.healthy, Verdict.STREAMING),
        (proxies.store_and_forward, Verdict.BUFFERED),
        (proxies.corked(0.2), Verdict.COALESCED),
    ],
)
async def test_without_server_timing(engines: Engines, relay: proxies.Relay, expected: Verdict) -> None:
    """An engine that gives no timing is judged beside the pod."""
    engine = engines(metrics=False)
    with Proxy(engine.port, relay) as edge:
        result = await verify(plan([engine.port, edge.port]))
    assert result.verdict is expected, result.message


async def test_unknown_model_is_no_missing_route(engines: Engines) -> None:
    """The engine's own 404 names the model."""
    result = await verify(plan([engines().port], model="nobody"))
    assert result.verdict is Verdict.UPSTREAM_ERROR
    assert "nobody" in result.message


async def test_nobody_listens() -> None:
    """A refused connection."""
    result = await verify(plan([free_port()]))
    assert result.verdict is Verdict.UNREACHABLE


async def test_edge_answers_for_an_engine_that_is_gone(engines: Engines) -> None:
    """503 outside and no connection inside: the pod is named."""
    with Proxy(engines().port, proxies.page("503 Service Unavailable", "503")) as edge:
        result = await verify(plan([free_port(), edge.port]))
    assert (result.verdict, result.hop) == (Verdict.UNREACHABLE, Hop.POD)


async def test_model_length_limits_the_tokens(engines: Engines) -> None:
    """A fast model with a short context: when more tokens are refused, what was measured is judged."""
    engine = engines("--inter-token-latency", "1", "--max-model-len", "256")
    result = await verify(plan([engine.port]))
    assert result.verdict in (Verdict.STREAMING, Verdict.INCONCLUSIVE), result.message
