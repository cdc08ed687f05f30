"""Real nginx and HAProxy: what their settings do to a stream, named right."""

from pathlib import Path

import pytest

from streaming_operator.api.conditions import Hop, Verdict
from streaming_operator.facts import ProbeResult
from streaming_operator.probe.hops import verify
from tests.probe.conftest import Engines, plan
from tests.probe.real import haproxy, nginx

PACE: tuple[str, ...] = ()
UNCHUNKED = ("--close-delimited", "true")
GZIP = "gzip on; gzip_proxied any; gzip_min_length 0; gzip_types text/event-stream;"
BUFFER = "proxy_buffering on;"
SLOW_HEAD = ("--full-buffer", "true", "--time-to-first-token", "1800")
"""Not even a header for the first two seconds; vLLM itself sends its headers at once."""


async def through_nginx(engines: Engines, folder: Path, flags: tuple[str, ...], more: str) -> ProbeResult:
    engine, control = engines(*flags), engines(*PACE)
    with nginx(engine.port, folder, more) as edge:
        return await verify(plan([control.port, edge.port]))


@pytest.mark.parametrize(
    "more",
    [
        pytest.param("proxy_buffering off; proxy_http_version 1.1;", id="as ours"),
        pytest.param(f"proxy_buffering off; proxy_http_version 1.1; {GZIP}", id="as ours, with gzip"),
        pytest.param("proxy_http_version 1.1;", id="buffering on, chunked upstream: it does not delay"),
    ],
)
async def test_nginx_that_streams(engines: Engines, tmp_path: Path, more: str) -> None:
    """Buffering on with a chunked upstream delays no token: judged by measuring, not by settings."""
    result = await through_nginx(engines, tmp_path, PACE, more)
    assert Verdict.STREAMING is result.verdict, result.message


@pytest.mark.parametrize(
    ("flags", "more", "expected", "said"),
    [
        pytest.param(
            PACE,
            f"proxy_http_version 1.1; {BUFFER} {GZIP}",
            Verdict.BUFFERED,
            "without Accept-Encoding: gzip it streams",
            id="gzip with buffering",
        ),
        pytest.param(UNCHUNKED, BUFFER, Verdict.BUFFERED, "bursts", id="4 KiB buffers, un-chunked upstream"),
        pytest.param(
            PACE,
            "proxy_read_timeout 1s; rewrite ^ /nowhere break;",
            Verdict.ROUTE_NOT_FOUND,
            "404",
            id="wrong path",
        ),
        pytest.param(PACE, "return 404;", Verdict.ROUTE_NOT_FOUND, "nginx", id="404 of nginx"),
        pytest.param(PACE, "return 503;", Verdict.UPSTREAM_ERROR, "503 from nginx", id="503 of nginx"),
        pytest.param(
            PACE, "auth_basic x; auth_basic_user_file /dev/null;", Verdict.AUTH_REJECTED, "401", id="401"
        ),
        pytest.param(PACE, "client_max_body_size 10;", Verdict.UPSTREAM_ERROR, "413", id="413"),
        pytest.param(
            SLOW_HEAD,
            "proxy_read_timeout 1s;",
            Verdict.UPSTREAM_ERROR,
            "504",
            id="504",
        ),
    ],
)
async def test_nginx_that_does_not(
    engines: Engines, tmp_path: Path, flags: tuple[str, ...], more: str, expected: Verdict, said: str
) -> None:
    """Each way to break it is named, at the exposure, with the evidence."""
    result = await through_nginx(engines, tmp_path, flags, more)
    assert (expected, Hop.EXPOSURE) == (result.verdict, result.hop), result.message
    assert said in result.message


async def test_nginx_cuts_a_silent_stream(engines: Engines, tmp_path: Path) -> None:
    """The headers are there at once, so a read timeout during a long prefill is no 504 but a cut."""
    engine = engines("--time-to-first-token", "7000")
    with nginx(engine.port, tmp_path, "proxy_read_timeout 5s;") as edge:
        result = await verify(plan([engine.port, edge.port]))
    assert (Verdict.IDLE_TIMEOUT, Hop.EXPOSURE) == (result.verdict, result.hop), result.message
    assert "after 5.0 s without a byte" in result.message


async def test_haproxy_corks_by_default(engines: Engines, tmp_path: Path) -> None:
    """Bursts every 200 ms that pacing alone would miss, and the option that ends them."""
    engine = engines(*PACE)
    with haproxy(engine.port, tmp_path, "") as edge:
        result = await verify(plan([engine.port, edge.port]))
    assert (Verdict.COALESCED, Hop.EXPOSURE) == (result.verdict, result.hop), result.message
    assert "http-no-delay" in result.message


async def test_haproxy_that_streams(engines: Engines, tmp_path: Path) -> None:
    """With http-no-delay it passes every event."""
    engine = engines(*PACE)
    with haproxy(engine.port, tmp_path, "option http-no-delay") as edge:
        result = await verify(plan([engine.port, edge.port]))
    assert Verdict.STREAMING is result.verdict, result.message
