"""Who the proxy seems to be: marks as they were seen on the real ones, and nothing read into a bare answer."""

import pytest

from streaming_operator.probe.http.response import Ending
from streaming_operator.probe.judge.fingerprint import Proxy, proxy_of
from tests.unit.probe.streams import DONE, HEAD, healthy, held, paced, record, token


def page(status: int, body: bytes, headers: bytes = b"") -> object:
    head = b"HTTP/1.1 %d X\r\n%scontent-length: %d\r\n\r\n" % (status, headers, len(body))
    return proxy_of(record([(0.1, head + body)]))


@pytest.mark.parametrize(
    ("header", "proxy"),
    [
        (b"server: nginx/1.22.1", Proxy.NGINX),
        (b"server: envoy", Proxy.ENVOY),
        (b"server: istio-envoy", Proxy.ENVOY),
        (b"via: 1.1 Caddy", Proxy.CADDY),
        (b"server: awselb/2.0", Proxy.ALB),
        (b"via: 1.1 google", Proxy.GOOGLE),
        (b"cf-ray: 8f-TXL", Proxy.CLOUDFLARE),
        (b"x-amz-apigw-id: QkX1aF2bIAM=", Proxy.API_GATEWAY),
        (b"apigw-requestid: QkX1aF2bIAM=", Proxy.API_GATEWAY),
        (b"server: Vercel", Proxy.VERCEL),
        (b"x-vercel-id: fra1::abc", Proxy.VERCEL),
        (b"server: Netlify", Proxy.NETLIFY),
        (b"x-nf-request-id: 01H", Proxy.NETLIFY),
    ],
)
def test_headers(header: bytes, proxy: Proxy) -> None:
    """What a proxy adds to an answer that it passes on."""
    t = record([(0.1, HEAD + header + b"\r\n\r\n" + token() + token(finish="stop") + DONE), (0.2, b"")])
    match = proxy_of(t)
    assert match is not None
    assert (match.proxy, match.author) == (proxy, False)


@pytest.mark.parametrize(
    ("status", "body", "headers", "proxy", "front"),
    [
        (502, b"<center>nginx/1.22.1</center>", b"server: nginx/1.22.1\r\n", Proxy.NGINX, None),
        (503, b"<center>nginx</center>", b"", Proxy.INGRESS_NGINX, None),
        (504, b"upstream request timeout", b"server: envoy\r\n", Proxy.ENVOY, None),
        (504, b"upstream request timeout", b"server: nginx\r\n", Proxy.ENVOY, Proxy.NGINX),
        (504, b"<h1>504</h1>\nThe server didn't respond in time.\n", b"", Proxy.HAPROXY, None),
        (503, b"no available server\n", b"", Proxy.TRAEFIK, None),
    ],
)
def test_error_pages(status: int, body: bytes, headers: bytes, proxy: Proxy, front: Proxy | None) -> None:
    """Who wrote an error, and who passed it on."""
    match = page(status, body, headers)
    assert match is not None
    assert (match.proxy, match.front) == (proxy, front)  # type: ignore[attr-defined]


@pytest.mark.parametrize("period", [0.1, 0.2, 0.3])
def test_times_are_no_marks(period: float) -> None:
    """Bursts at an interval may be a proxy's or the engine's: nobody is named."""
    assert proxy_of(healthy(held(paced(64, 0.02), period), generation=1260.0)) is None


@pytest.mark.parametrize("gap", [0.005, 0.02, 0.2])
def test_bare_answers_bear_no_marks(gap: float) -> None:
    """A healthy stream of a model server, at any pace."""
    assert proxy_of(healthy(paced(64, gap), generation=63 * gap * 1000)) is None


def test_engines_json_has_no_proxy() -> None:
    """An error of the model server itself."""
    assert page(404, b'{"detail":"Not Found"}', b"server: uvicorn\r\n") is None


@pytest.mark.parametrize("silence", [50.15, 60.1, 300.1])
def test_a_silence_names_nobody(silence: float) -> None:
    """50, 60 and 300 s are defaults of many."""
    start = [
        (0.0, HEAD + b"transfer-encoding: chunked\r\n\r\n"),
        (0.1, b"%x\r\n%s\r\n" % (len(token()), token())),
    ]
    assert proxy_of(record(start, Ending.CLOSED, silence)) is None
