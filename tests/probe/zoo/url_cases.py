"""A probe of a plain URL, of whose path nothing is known: a case for each row that only such a probe has."""

import socket
import threading

from streaming_operator.api.reasons import Verdict
from streaming_operator.api.symptoms import Symptom
from tests.probe import proxies
from tests.probe.conftest import HASTY
from tests.probe.zoo.cases import Case
from tests.probe.zoo.other_cases import (
    CHALLENGE,
    COMPRESS,
    ENVOY_WAITS,
    FAILED,
    SETTINGS,
    WHOLE,
    bare,
    json_error,
)

V, S = Verdict, Symptom

NO_CERTIFICATE = proxies.page("400 Bad Request", "No required SSL certificate was sent")
PAGE = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 13\r\n\r\n<h1>Hello</h1>"[:-1]


def cut_at(seconds: float) -> proxies.Relay:
    """Every byte as it comes, and an end that many seconds after the request."""

    def relay(upstream: socket.socket, client: socket.socket) -> None:
        timer = threading.Timer(seconds, lambda: client.shutdown(socket.SHUT_RDWR))
        timer.start()
        try:
            proxies.healthy(upstream, client)
        finally:
            timer.cancel()

    return relay


def of_urls() -> tuple[Case, ...]:
    """Faults without marks of a proxy, as a person sees them who knows the URL alone."""

    def url(
        fault: str, relay: proxies.Relay | None, expected: Verdict, symptom: Symptom, **more: object
    ) -> Case:
        return Case(
            "a proxy unknown", f"{fault}, as a URL", relay, expected, "url", symptom, known="url", **more
        )  # type: ignore[arg-type]

    return (
        url("Content-Length", proxies.with_length, V.BUFFERED, S.CONTENT_LENGTH),
        url("one whole JSON answer", proxies.answer(WHOLE), V.BUFFERED, S.NOT_A_STREAM),
        url("one gzip block", proxies.zipped, V.BUFFERED, S.GZIP_BLOCK),
        url("buffers of 12 KiB", proxies.filled(12288), V.BUFFERED, S.SIZED_BURSTS, tokens=192),
        url("the first 4 KiB held", proxies.hold(4096), V.COALESCED, S.HELD_HEAD),
        url("reset in the middle", proxies.cut(3000, reset=True), V.TRUNCATED, S.CUT),
        url("cut after one second", cut_at(1.0), V.TOTAL_TIMEOUT, S.TOTAL_CUT, tokens=192),
        url("cut after a silence", proxies.cut(3000, silence=5.2), V.IDLE_TIMEOUT, S.IDLE_CUT),
        url("hangs in the middle", proxies.hang(3000), V.TRUNCATED, S.HANGS, limits=HASTY),
        url("an error event", proxies.answer(FAILED), V.ERROR_IN_STREAM, S.IN_STREAM),
        url("a first token later than promised", ENVOY_WAITS, V.TTFT_EXCEEDED, S.LATE_FIRST, max_ttft=0.5),
        url("a pause longer than promised", proxies.pause(3000, 1.2), V.CHUNK_GAP_EXCEEDED, S.LONG_GAP, max_gap=1.0),
        url("a key that no header carries", None, V.AUTH_REJECTED, S.KEY_BROKEN, key="with\nfeed", alone=True),
        url("http at an http port as https", proxies.healthy, V.TLS_ERROR, S.HANDSHAKE, https=True),
        url("an address that is not allowed", None, V.UNREACHABLE, S.FORBIDDEN_ADDRESS, address="169.254.169.254", alone=True),
        url("another service's page", proxies.answer(PAGE), V.ROUTE_NOT_FOUND, S.WRONG_PATH),
        url("a login page", bare("302 Found", location="https://sso.example/login"), V.AUTH_REJECTED, S.LOGIN),
        url("no client certificate", NO_CERTIFICATE, V.TLS_ERROR, S.CLIENT_CERTIFICATE, fingerprint="nginx"),
        url("a bot protection", proxies.answer(CHALLENGE), V.UPSTREAM_ERROR, S.CHALLENGE),
        url("HTTP/2 alone", proxies.answer(SETTINGS), V.UNREACHABLE, S.HTTP2_ONLY),
        url("a coding that nobody asked for", proxies.answer(COMPRESS), V.UPSTREAM_ERROR, S.UNREADABLE),
        url("418", bare("418 Teapot"), V.UPSTREAM_ERROR, S.BAD_REQUEST),
        url("413", bare("413 Content Too Large"), V.UPSTREAM_ERROR, S.TOO_BIG),
        url("502", bare("502 Bad Gateway"), V.UPSTREAM_ERROR, S.BAD_GATEWAY),
        url("503", bare("503 Service Unavailable"), V.UPSTREAM_ERROR, S.UNAVAILABLE),
        url("504", bare("504 Gateway Timeout"), V.UPSTREAM_ERROR, S.GATEWAY_TIMEOUT),
        url("429 in JSON", json_error("429 Too Many Requests", "queue full"), V.UPSTREAM_ERROR, S.BUSY),
        url("429 bare", bare("429 Too Many Requests"), V.UPSTREAM_ERROR, S.LIMITED),
    )  # fmt: skip
