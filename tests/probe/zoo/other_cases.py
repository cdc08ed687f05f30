"""
The rest of the table: two proxies in a row, faults of the engine behind a healthy proxy, and what no real proxy
here does, by small ones of ours.
"""

import json

from streaming_operator.api.reasons import Hop, Verdict
from streaming_operator.api.symptoms import Symptom
from tests.probe import proxies
from tests.probe.zoo.cases import (
    FLOWS,
    GZIP,
    HASTY,
    LONG,
    OFF,
    PACE,
    UNCHUNKED,
    Case,
    fine,
)
from tests.probe.zoo.running import Setup

V, S = Verdict, Symptom

NGINX = Setup("nginx", OFF)
NGINX_GZIP = Setup("nginx", f"proxy_http_version 1.1; {GZIP}")
NGINX_BUFFERS = Setup("nginx", "proxy_buffering on;")
HAPROXY = Setup("haproxy", FLOWS)
CORKED = Setup("haproxy")
ENVOY = Setup("envoy", '{"timeout": "0s"}')
ENVOY_CUTS = Setup("envoy", '{"timeout": "2s"}')
ENVOY_WAITS = Setup(
    "envoy",
    '{"timeout": "0s"}',
    json.dumps(
        {
            "filters": [
                (
                    "envoy.filters.http.fault",
                    "envoy.extensions.filters.http.fault.v3.HTTPFault",
                    {"delay": {"fixed_delay": "0.6s", "percentage": {"numerator": 100}}},
                )
            ]
        }
    ),
)
"""Asks the engine 0.6 s later, as after a queue or an authentication request."""
CADDY = Setup("caddy")
CADDY_HOLDS = Setup("caddy", "response_buffers 1MiB")
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
COMPRESS = _HEAD + b"Content-Encoding: compress\r\nConnection: close\r\n\r\n\x1f\x9d\x90"
CHALLENGE = (
    b"HTTP/1.1 403 Forbidden\r\nContent-Type: text/html\r\nContent-Length: 31\r\n\r\n"
    b"<title>Just a moment...</title>"
)
SETTINGS = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"


def in_a_row() -> tuple[Case, ...]:
    """Two proxies, the fault in either; the marks of the nearer one cover those of the other."""

    def outer(
        fault: str, edge: Setup, expected: Verdict, scope: str, symptom: Symptom, **more: object
    ) -> Case:
        return Case("two in a row, the outer", fault, edge, expected, scope, symptom, **more)  # type: ignore[arg-type]

    def inner(
        fault: str, edge: Setup, expected: Verdict, scope: str, symptom: Symptom, **more: object
    ) -> Case:
        return Case("two in a row, the inner", fault, edge, expected, scope, symptom, hop=Hop.SERVICE, **more)  # type: ignore[arg-type]

    return (
        fine("two in a row", "nginx before HAProxy", NGINX, service=HAPROXY),
        fine("two in a row", "Envoy before Caddy", ENVOY, service=CADDY),
        outer("nginx with gzip before HAProxy", NGINX_GZIP, V.BUFFERED, "nginx", S.GZIP_BLOCK, service=HAPROXY),
        outer("HAProxy corks before nginx", CORKED, V.COALESCED, "any", S.TIMED_BURSTS, service=NGINX),
        outer("Caddy holds before Envoy", CADDY_HOLDS, V.BUFFERED, "any", S.BLOCK, service=ENVOY),
        outer("Envoy cuts before nginx", ENVOY_CUTS, V.TOTAL_TIMEOUT, "Envoy", S.TOTAL_CUT, service=NGINX, engine=LONG),
        inner("HAProxy corks behind Envoy", ENVOY, V.COALESCED, "engine", S.TIMED_BURSTS, service=CORKED),
        inner("nginx with gzip behind Caddy", CADDY, V.BUFFERED, "nginx", S.GZIP_BLOCK, service=NGINX_GZIP),
        inner("nginx' buffers behind HAProxy", HAPROXY, V.BUFFERED, "nginx", S.SIZED_BURSTS, service=NGINX_BUFFERS, engine=UNCHUNKED),
        inner("Envoy cuts behind nginx", NGINX, V.TOTAL_TIMEOUT, "Envoy", S.TOTAL_CUT, service=ENVOY_CUTS, engine=LONG),
        inner("nobody behind Envoy, behind nginx", NGINX, V.UPSTREAM_ERROR, "Envoy", S.UNAVAILABLE, service=Setup("envoy", '{"timeout": "0s"}', dead=True)),
    )  # fmt: skip


def of_the_engine() -> tuple[Case, ...]:
    """What the pod shows already is the pod's, however it looks outside."""

    def bad(
        fault: str, engine: tuple[str, ...], expected: Verdict, symptom: Symptom | None, **more: object
    ) -> Case:
        scope = more.pop("scope", "engine")
        return Case(
            "engine", fault, more.pop("edge", NGINX), expected, scope, symptom, Hop.POD, engine, **more
        )  # type: ignore[arg-type]

    def batched(what: str, engine: tuple[str, ...], **more: object) -> Case:
        return fine("engine", what, NGINX, engine=engine, **more)

    return (
        batched("stream_interval 4", ("--stream-interval", "4"), expected=V.ENGINE_BATCHED),
        batched("stream_interval 16", ("--stream-interval", "16"), expected=V.ENGINE_BATCHED),
        batched("0.2 ms a token", ("--inter-token-latency", "0.2")),
        batched("uneven", ("--inter-token-latency", "10", "--inter-token-latency-std-dev", "3")),
        bad("answers held back", ("--full-buffer", "true"), V.BUFFERED, S.BLOCK),
        batched("a sidecar corks, as an engine that emits in groups", PACE, pod=CORKED, expected=V.ENGINE_BATCHED),
        bad("connection reset", ("--cut-after-tokens", "5"), V.TRUNCATED, S.CUT),
        bad("hangs", ("--hang-after-tokens", "5"), V.TRUNCATED, S.HANGS, limits=HASTY),
        bad("error event", ("--error-after-tokens", "5"), V.ERROR_IN_STREAM, S.IN_STREAM),
        bad("no [DONE]", ("--stop-after-tokens", "5"), V.NO_DONE_MARKER, S.NO_DONE),
        bad("no first token", ("--hang-after-tokens", "0"), V.TTFT_EXCEEDED, S.NO_TOKEN, limits=HASTY),
        bad("unknown model", PACE, V.UPSTREAM_ERROR, S.UNKNOWN_MODEL, model="nobody"),
        bad("queue full", ("--http-status", "503"), V.UPSTREAM_ERROR, S.BUSY),
        bad("500", ("--http-status", "500"), V.UPSTREAM_ERROR, S.UNAVAILABLE),
        bad("another key", ("--api-key", "other"), V.AUTH_REJECTED, S.KEY_REFUSED, key="s3cret"),
        bad("key wanted, none sent", ("--api-key", "other"), V.AUTH_REJECTED, S.KEY_MISSING),
        bad("key that no header carries", PACE, V.AUTH_REJECTED, S.KEY_BROKEN, key="with\nfeed"),
        bad("a first token later than promised", ("--time-to-first-token", "600"), V.TTFT_EXCEEDED, S.LATE_FIRST, max_ttft=0.5),
        bad("a pause longer than promised", ("--silence-after-tokens", "20", "--silence-seconds", "1.2"), V.CHUNK_GAP_EXCEEDED, S.LONG_GAP, max_gap=1.0),
        bad("aborts", PACE, V.ABORTED, S.ABORTED, pod=proxies.answer(ABORTED)),
        bad("leaves finish_reason out", PACE, V.ABORTED, S.NO_REASON, pod=proxies.answer(UNREASONED)),
        bad("keeps its clients waiting", PACE, V.TTFT_EXCEEDED, S.KEPT_WAITING, pod=proxies.comments, limits=HASTY),
        bad("is gone", PACE, V.UNREACHABLE, S.NO_CONNECTION, gone=True),
        bad("wrong path inside", ("--http-status", "404"), V.ROUTE_NOT_FOUND, None),
    )  # fmt: skip


ABORTED = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
    b'data: {"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":null}]}\n\n'
    b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"abort"}]}\n\ndata: [DONE]\n\n'
)
_TOKEN = b'data: {"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":null}]}\n\n'
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
UNREASONED = _HEAD + _TOKEN * 64 + b"data: [DONE]\n\n"
ENDED_STRANGELY = (
    _HEAD
    + _TOKEN * 9
    + b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"completed"}]}\n\ndata: [DONE]\n\n'
)
FAILED = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
    b'data: {"error":{"message":"broken","code":500}}\n\ndata: [DONE]\n\n'
)
UNMARKED = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"52\r\n"
    b'data: {"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"stop"}]}  \n\n'
    b"\r\n0\r\n\r\n"
)
WHOLE = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 42\r\n\r\n"
    b'{"object": "chat.completion","choices":[]}'
)


def json_error(status: str, message: str) -> proxies.Relay:
    body = f'{{"error":{{"message":"{message}"}}}}'
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return proxies.answer((head + body).encode())


def bare(status: str, *, location: str = "") -> proxies.Relay:
    """A response without marks of its author."""
    more = f"Location: {location}\r\n" if location else ""
    return proxies.answer(f"HTTP/1.1 {status}\r\n{more}Content-Length: 0\r\n\r\n".encode())


def of_strangers() -> tuple[Case, ...]:
    """Proxies without marks, of which the rows for any edge and for a bare URL speak."""

    def edge(
        fault: str, relay: proxies.Relay | None, expected: Verdict, symptom: Symptom, **more: object
    ) -> Case:
        return Case("a proxy unknown", fault, relay, expected, more.pop("scope", "any"), symptom, **more)  # type: ignore[arg-type]

    def url(
        fault: str, relay: proxies.Relay | None, expected: Verdict, symptom: Symptom, **more: object
    ) -> Case:
        return edge(f"{fault}, as a URL", relay, expected, symptom, scope="url", known="url", **more)

    return (
        edge("stored and forwarded", proxies.store_and_forward, V.BUFFERED, S.BLOCK),
        edge("Content-Length", proxies.with_length, V.BUFFERED, S.CONTENT_LENGTH),
        edge("Content-Length at ingress-nginx", proxies.with_length, V.BUFFERED, S.CONTENT_LENGTH, scope="ingress-nginx", known="ours"),
        edge("a first token later than promised", ENVOY_WAITS, V.TTFT_EXCEEDED, S.LATE_FIRST, max_ttft=0.5),
        edge("a pause longer than promised", proxies.pause(3000, 1.2), V.CHUNK_GAP_EXCEEDED, S.LONG_GAP, max_gap=1.0),
        edge("one gzip block", proxies.zipped, V.BUFFERED, S.GZIP_BLOCK),
        edge("the first 4 KiB held", proxies.hold(4096), V.COALESCED, S.HELD_HEAD),
        edge("buffers of 12 KiB", proxies.filled(12288), V.BUFFERED, S.SIZED_BURSTS, tokens=192),
        edge("one whole JSON answer", proxies.answer(WHOLE), V.BUFFERED, S.NOT_A_STREAM),
        edge("a timer of 300 ms, the pod is not asked", proxies.corked(0.3), V.INCONCLUSIVE, S.BURSTS, alone=True),
        edge("a timer of 300 ms", proxies.corked(0.3), V.COALESCED, S.TIMED_BURSTS),
        edge("hangs in the middle", proxies.hang(3000), V.TRUNCATED, S.HANGS, limits=HASTY),
        edge("not a byte", proxies.mute, V.TTFT_EXCEEDED, S.NO_TOKEN, limits=HASTY),
        edge("reset in the middle", proxies.cut(3000, reset=True), V.TRUNCATED, S.CUT),
        edge("another replica aborts", proxies.answer(ABORTED), V.ABORTED, S.ABORTED),
        edge("another replica fails", proxies.answer(FAILED), V.ERROR_IN_STREAM, S.IN_STREAM),
        edge("another replica ends without [DONE]", proxies.answer(UNMARKED), V.NO_DONE_MARKER, S.NO_DONE),
        edge("leaves finish_reason out", proxies.answer(UNREASONED), V.ABORTED, S.NO_REASON),
        edge("a finish reason that nobody knows", proxies.answer(ENDED_STRANGELY), V.INCONCLUSIVE, S.UNKNOWN_REASON),
        edge("comments and no token", proxies.comments, V.TTFT_EXCEEDED, S.KEPT_WAITING, limits=HASTY),
        edge("404 of another model server", json_error("404 Not Found", "The model `x` does not exist."), V.UPSTREAM_ERROR, S.UNKNOWN_MODEL),
        edge("429 in JSON", json_error("429 Too Many Requests", "queue full"), V.UPSTREAM_ERROR, S.BUSY),
        edge("429 bare", bare("429 Too Many Requests"), V.UPSTREAM_ERROR, S.LIMITED),
        edge("418", bare("418 Teapot"), V.UPSTREAM_ERROR, S.BAD_REQUEST),
        edge("a login page", bare("302 Found", location="https://sso.example/login"), V.AUTH_REJECTED, S.LOGIN),
        edge("a bot protection", proxies.answer(CHALLENGE), V.UPSTREAM_ERROR, S.CHALLENGE),
        edge("no client certificate", proxies.page("400 Bad Request", "client certificate required"), V.TLS_ERROR, S.CLIENT_CERTIFICATE),
        edge("HTTP/2 alone", proxies.answer(SETTINGS), V.UNREACHABLE, S.HTTP2_ONLY),
        edge("a coding that nobody asked for", proxies.answer(COMPRESS), V.UPSTREAM_ERROR, S.UNREADABLE),
        edge("502", bare("502 Bad Gateway"), V.UPSTREAM_ERROR, S.BAD_GATEWAY),
        edge("504", bare("504 Gateway Timeout"), V.UPSTREAM_ERROR, S.GATEWAY_TIMEOUT),
        edge("a name without address", None, V.DNS_UNRESOLVED, S.NAME, address="nowhere.invalid"),
        edge("an address that is not allowed", None, V.UNREACHABLE, S.FORBIDDEN_ADDRESS, address="169.254.169.254", alone=True),
        edge("nobody listens", None, V.UNREACHABLE, S.NO_CONNECTION),
        edge("a key that no header carries", None, V.AUTH_REJECTED, S.KEY_BROKEN, key="with\nfeed", alone=True),
        edge("closed without a word", proxies.answer(b""), V.UNREACHABLE, S.NO_CONNECTION),
        url("stored and forwarded", proxies.store_and_forward, V.BUFFERED, S.BLOCK),
        url("a timer of 300 ms", proxies.corked(0.3), V.INCONCLUSIVE, S.BURSTS),
        url("aborts", proxies.answer(ABORTED), V.ABORTED, S.ABORTED),
        url("ends without [DONE]", proxies.answer(UNMARKED), V.NO_DONE_MARKER, S.NO_DONE),
        url("leaves finish_reason out", proxies.answer(UNREASONED), V.ABORTED, S.NO_REASON),
        url("a finish reason that nobody knows", proxies.answer(ENDED_STRANGELY), V.INCONCLUSIVE, S.UNKNOWN_REASON),
        url("comments and no token", proxies.comments, V.TTFT_EXCEEDED, S.KEPT_WAITING, limits=HASTY),
        url("404", bare("404 Not Found"), V.ROUTE_NOT_FOUND, S.NO_ROUTE),
        url("redirect", bare("308 Permanent Redirect", location="https://x/"), V.ROUTE_NOT_FOUND, S.REDIRECT),
        url("401", bare("401 Unauthorized"), V.AUTH_REJECTED, S.KEY_MISSING),
        url("403", bare("403 Forbidden"), V.AUTH_REJECTED, S.KEY_REFUSED, key="s3cret"),
        url("another model", json_error("404 Not Found", "The model `x` does not exist."), V.UPSTREAM_ERROR, S.UNKNOWN_MODEL),
        url("not a byte", proxies.mute, V.TTFT_EXCEEDED, S.NO_TOKEN, limits=HASTY),
        url("a name without address", None, V.DNS_UNRESOLVED, S.NAME, address="nowhere.invalid"),
        url("nobody listens", None, V.UNREACHABLE, S.NO_CONNECTION),
        Case("nginx current", "unknown CA, as a URL", Setup("nginx", OFF, tls=True), V.TLS_ERROR, "url", S.CERTIFICATE, https=True, host="llm.example", trusted=False, known="url"),
        Case("nginx current", "http at an https port, as a URL", Setup("nginx", OFF, tls=True), V.TLS_ERROR, "url", S.PLAIN_HTTP, known="url"),
    )  # fmt: skip
