"""Who the proxy seems to be: marks as they were seen on the real ones, and nothing read into a bare answer."""

import pytest

from streaming_operator.probe.http.response import Ending
from streaming_operator.probe.judge.fingerprint import Proxy, proxy_of
from tests.unit.probe.streams import DONE, HEAD, healthy, held, paced, record, token, usage


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


def test_corked_bursts_are_haproxy_like() -> None:
    """200 ms between bursts: a corked socket of Linux."""
    match = proxy_of(healthy(held(paced(64, 0.02), 0.2), generation=1260.0))
    assert match is not None
    assert match.proxy is Proxy.HAPROXY


@pytest.mark.parametrize("gap", [0.005, 0.02, 0.2])
def test_bare_answers_bear_no_marks(gap: float) -> None:
    """A healthy stream of a model server, at any pace."""
    assert proxy_of(healthy(paced(64, gap), generation=63 * gap * 1000)) is None


def test_engines_json_has_no_proxy() -> None:
    """An error of the model server itself."""
    assert page(404, b'{"detail":"Not Found"}', b"server: uvicorn\r\n") is None


def test_default_silences() -> None:
    """50 s are HAProxy's; a finished stream was not cut at all."""
    start = [
        (0.0, HEAD + b"transfer-encoding: chunked\r\n\r\n"),
        (0.1, b"%x\r\n%s\r\n" % (len(token()), token())),
    ]
    match = proxy_of(record(start, Ending.CLOSED, 50.15))
    assert match is not None
    assert match.proxy is Proxy.HAPROXY
    whole = [(0.0, HEAD + b"\r\n" + token() + token(finish="stop") + usage(2, 1.0) + DONE), (50.0, b"")]
    assert proxy_of(record(whole)) is None
