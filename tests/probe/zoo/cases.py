"""
The table of the zoo: a proxy, what is wrong with it, and what the probe must say: verdict, hop, row of remedies.

Data only. Timeouts are a second or two where a site has minutes, so that the whole zoo takes minutes.
"""

import json
from dataclasses import dataclass

from streaming_operator.api.reasons import Hop, Verdict
from streaming_operator.api.symptoms import Symptom
from streaming_operator.probe.http.connection import Limits
from tests.probe import proxies
from tests.probe.proxies import Relay
from tests.probe.zoo.running import Setup

V, S = Verdict, Symptom
PATIENT = Limits(connect=20.0, first_token=20.0, stall=20.0, total=60.0)
HASTY = Limits(connect=20.0, first_token=2.0, stall=2.0, total=60.0)

PACE: tuple[str, ...] = ()
UNCHUNKED = ("--close-delimited", "true")
"""An HTTP/1.0 style server: what makes nginx fill its buffers."""
LATE = ("--time-to-first-token", "3500")
"""Headers at once, the first token late: a long prefill."""
SLOW_HEAD = ("--full-buffer", "true", "--time-to-first-token", "2500")
"""Not even a header for three seconds."""
PAUSES = ("--silence-after-tokens", "20", "--silence-seconds", "3.5")
LONG = ("--inter-token-latency", "60")
"""Streams of four seconds, for what cuts them."""
VERY_LONG = ("--inter-token-latency", "270")
"""Streams of seventeen seconds, for Envoy's default of fifteen."""


@dataclass(frozen=True)
class Case:
    """One row of the table. `scope` and `symptom` are the row of remedies; None where there is nothing to do."""

    proxy: str
    fault: str
    edge: Setup | Relay | None
    """A real proxy, a small one of ours where no real one here does it, or None: nobody listens."""
    expected: Verdict
    scope: str | None = None
    symptom: Symptom | None = None
    hop: Hop = Hop.EXPOSURE
    engine: tuple[str, ...] = PACE
    pod: Setup | Relay | None = None
    """A proxy inside the pod, before the engine."""
    gone: bool = False
    """Nobody listens at the pod."""
    service: Setup | None = None
    """A proxy between the pod and the edge."""
    known: str = "generic"
    """What the probe knows of the path: our Ingress (`ours`), a route by its name, some edge, or a URL alone (`url`)."""
    fingerprint: str = ""
    """What the message must say of the proxy."""
    https: bool = False
    http2: bool = False
    host: str = ""
    trusted: bool = True
    """Whether the probe is given the CA."""
    key: str | None = None
    model: str = ""
    limits: Limits = PATIENT
    used_up: bool = False
    """Somebody asks right before the probe, which uses a rate limit up."""
    reloads: bool = False
    """The proxy is reloaded again and again while the probe runs."""
    address: str = ""
    alone: bool = False
    """The edge is all that is asked."""
    tokens: int = 64
    """The probe begins with so many."""
    max_ttft: float | None = None
    max_gap: float | None = None
    """What is promised, in seconds."""
    metrics: bool = True
    """Whether the engine sends its own timing."""

    @property
    def name(self) -> str:
        """For people and for pytest -k."""
        return f"{self.proxy}: {self.fault}"

    @property
    def programs(self) -> tuple[str, ...]:
        """The real proxies that it starts."""
        return tuple(one.program for one in (self.pod, self.service, self.edge) if isinstance(one, Setup))


def fine(proxy: str, what: str, edge: Setup, **more: object) -> Case:
    """A path that streams."""
    return Case(proxy, what, edge, more.pop("expected", V.STREAMING), **more)  # type: ignore[arg-type]


OFF = "proxy_buffering off; proxy_http_version 1.1;"
GZIP = "gzip on; gzip_proxied any; gzip_min_length 0; gzip_types text/event-stream;"
LIMIT = "http: limit_req_zone $binary_remote_addr zone=x:64k rate=1r/m;"


def nginx(program: str, called: str) -> tuple[Case, ...]:
    """Both nginx versions: the old one of Debian and a current one."""

    def setup(route: str, outside: str = "", **more: bool) -> Setup:
        return Setup(program, route, outside, **more)

    def bad(
        fault: str, edge: Setup, expected: Verdict, symptom: Symptom, scope: str = "nginx", **more: object
    ) -> Case:
        return Case(called, fault, edge, expected, scope, symptom, fingerprint="nginx", **more)  # type: ignore[arg-type]

    return (
        fine(called, "buffering off", setup(OFF)),
        fine(called, "buffering off, gzip", setup(f"{OFF} {GZIP}")),
        fine(called, "buffering on, chunked upstream", setup("proxy_buffering on; proxy_http_version 1.1;")),
        fine(called, "buffering off, un-chunked upstream", setup("proxy_buffering off;"), engine=UNCHUNKED),
        fine(called, "buffering off, TLS", setup(OFF, tls=True), https=True, host="llm.example"),
        bad("gzip with buffering", setup(f"proxy_http_version 1.1; {GZIP}"), V.BUFFERED, S.GZIP_BLOCK),
        bad("4 KiB buffers", setup("proxy_buffering on;"), V.BUFFERED, S.SIZED_BURSTS, engine=UNCHUNKED),
        bad(
            "16 KiB buffers",
            setup("proxy_buffer_size 16k; proxy_buffers 8 16k; proxy_busy_buffers_size 32k;"),
            V.BUFFERED,
            S.BLOCK,
            engine=UNCHUNKED,
        ),
        bad("cut before the first token", setup(f"{OFF} proxy_read_timeout 1s;"), V.IDLE_TIMEOUT, S.IDLE_CUT, engine=LATE),
        bad("cut in a pause", setup(f"{OFF} proxy_read_timeout 2s;"), V.IDLE_TIMEOUT, S.IDLE_CUT, engine=PAUSES),
        bad(
            "cut in a pause, buffering on",
            setup("proxy_http_version 1.1; proxy_read_timeout 2s;"),
            V.IDLE_TIMEOUT,
            S.IDLE_CUT,
            engine=PAUSES,
        ),
        bad("reloads", setup(OFF, "worker_shutdown_timeout 1s; http:"), V.TRUNCATED, S.CUT, engine=LONG, reloads=True),
        bad("404", setup("return 404;"), V.ROUTE_NOT_FOUND, S.NO_ROUTE, "any"),
        bad("413", setup("client_max_body_size 10;"), V.UPSTREAM_ERROR, S.TOO_BIG),
        bad("429", setup(f"{OFF} limit_req zone=x; limit_req_status 429;", LIMIT), V.UPSTREAM_ERROR, S.LIMITED, used_up=True),
        bad("502", setup(OFF, dead=True), V.UPSTREAM_ERROR, S.BAD_GATEWAY),
        bad("503", setup("return 503;"), V.UPSTREAM_ERROR, S.UNAVAILABLE, "any"),
        bad("504", setup(f"{OFF} proxy_read_timeout 1s;"), V.UPSTREAM_ERROR, S.GATEWAY_TIMEOUT, engine=SLOW_HEAD),
        bad("401", setup("auth_basic x; auth_basic_user_file /dev/null;"), V.AUTH_REJECTED, S.KEY_MISSING, "any"),
        bad("403", setup("deny all;"), V.AUTH_REJECTED, S.KEY_REFUSED, "any", key="s3cret"),
        bad("308 to https", setup("return 308 https://$host$request_uri;"), V.ROUTE_NOT_FOUND, S.REDIRECT, "any"),
        Case(called, "unknown CA", setup(OFF, tls=True), V.TLS_ERROR, "any", S.CERTIFICATE, https=True, host="llm.example", trusted=False),
        Case(called, "certificate of another name", setup(OFF, tls=True), V.TLS_ERROR, "any", S.CERTIFICATE, https=True, host="other.example"),
        Case(called, "https asked at an http port", setup(OFF), V.TLS_ERROR, "any", S.HANDSHAKE, https=True, host="llm.example"),
        bad("http asked at an https port", setup(OFF, tls=True), V.TLS_ERROR, S.PLAIN_HTTP, "any"),
        bad("a page with 200", setup('default_type text/html; return 200 "<html>hello</html>";'), V.ROUTE_NOT_FOUND, S.WRONG_PATH, "any"),
    )  # fmt: skip


HTTP2: dict[str, object] = {"https": True, "http2": True, "host": "llm.example"}


def http2() -> tuple[Case, ...]:
    """The same faults where a cut is a reset of one stream and bodies have no chunks."""

    def bad(
        proxy: str, fault: str, edge: Setup, expected: Verdict, symptom: Symptom, scope: str, **more: object
    ) -> Case:
        return Case(proxy, f"{fault}, HTTP/2", edge, expected, scope, symptom, **HTTP2, **more)  # type: ignore[arg-type]

    def nginx2(route: str, more: str = "") -> Setup:
        return Setup("nginx", route, f"http: http2 on; {more}", tls=True)

    def envoy2(route: str) -> Setup:
        return Setup("envoy", route, tls=True)

    return (
        fine("nginx 1.31", "HTTP/2", nginx2(OFF), **HTTP2),
        fine("nginx 1.31", "HTTP/2, gzip", nginx2(f"{OFF} {GZIP}"), **HTTP2),
        fine("HAProxy 2.8", "HTTP/2", Setup("haproxy", FLOWS, tls=True), **HTTP2),
        fine("HAProxy 2.8", "as it is by default, HTTP/2: not corked", Setup("haproxy", tls=True), **HTTP2),
        fine("Envoy", "HTTP/2", envoy2('{"timeout": "0s"}'), **HTTP2),
        fine("Caddy", "HTTP/2", Setup("caddy", tls=True), **HTTP2),
        bad("nginx 1.31", "gzip with buffering", nginx2(f"proxy_http_version 1.1; {GZIP}"), V.BUFFERED, S.GZIP_BLOCK, "nginx"),
        bad("nginx 1.31", "cut before the first token", nginx2(f"{OFF} proxy_read_timeout 1s;"), V.IDLE_TIMEOUT, S.IDLE_CUT, "nginx", engine=LATE),
        bad("nginx 1.31", "404", nginx2("return 404;"), V.ROUTE_NOT_FOUND, S.NO_ROUTE, "any"),
        bad("Envoy", "route timeout", envoy2('{"timeout": "2s"}'), V.TOTAL_TIMEOUT, S.TOTAL_CUT, "Envoy", engine=LONG),
        bad("Envoy", "504", envoy2('{"timeout": "1s"}'), V.UPSTREAM_ERROR, S.GATEWAY_TIMEOUT, "Envoy", engine=SLOW_HEAD),
        bad("Caddy", "response_buffers 4k", Setup("caddy", "response_buffers 4k", tls=True), V.COALESCED, S.HELD_HEAD, "Caddy"),
    )  # fmt: skip


INGRESS = (
    "proxy_connect_timeout 5s; proxy_send_timeout 60s; proxy_buffer_size 4k; proxy_buffers 4 4k; "
    "proxy_max_temp_file_size 1024m; proxy_request_buffering on; proxy_http_version 1.1; "
    "proxy_next_upstream error timeout; proxy_next_upstream_timeout 0; proxy_next_upstream_tries 3; "
)
"""What the controller's template writes into a location, in its words."""
LARGE = "proxy_buffer_size 64k; proxy_buffers 8 64k; proxy_busy_buffers_size 128k;"
HIDDEN = "http: server_tokens off; more_clear_headers Server;"


def ingress_nginx() -> tuple[Case, ...]:
    """
    nginx with the directives of the controller's template. The controller itself with its Lua is on the cluster:
    tests/e2e/test_buffering_edge.py.
    """

    def setup(route: str, outside: str = "", **more: bool) -> Setup:
        main, _, http = outside.rpartition("http:")
        return Setup("nginx", INGRESS + route, f"{main} {HIDDEN} {http}", **more)

    def bad(
        fault: str,
        edge: Setup,
        expected: Verdict,
        symptom: Symptom,
        scope: str = "ingress-nginx",
        **more: object,
    ) -> Case:
        return Case("ingress-nginx", fault, edge, expected, scope, symptom, known="ours", **more)  # type: ignore[arg-type]

    ours = "proxy_buffering off; proxy_read_timeout 3600s;"
    large = INGRESS.replace("proxy_buffer_size 4k; proxy_buffers 4 4k;", LARGE)
    return (
        fine("ingress-nginx", "as our Ingress has it", setup(ours), known="ours"),
        fine("ingress-nginx", "as our Ingress has it, use-gzip", setup(f"{ours} {GZIP}"), known="ours"),
        bad("use-gzip with proxy-buffering", setup(f"proxy_buffering on; {GZIP}"), V.BUFFERED, S.GZIP_BLOCK),
        bad("everything in one block", Setup("nginx", f"{large} proxy_buffering on;", HIDDEN), V.BUFFERED, S.BLOCK, engine=UNCHUNKED),
        bad("proxy-buffering, un-chunked upstream", setup("proxy_buffering on;"), V.BUFFERED, S.SIZED_BURSTS, engine=UNCHUNKED),
        bad("proxy-read-timeout", setup("proxy_buffering off; proxy_read_timeout 1s;"), V.IDLE_TIMEOUT, S.IDLE_CUT, engine=LATE),
        bad("worker-shutdown-timeout", setup(ours, "worker_shutdown_timeout 1s; http:"), V.TRUNCATED, S.CUT, engine=LONG, reloads=True),
        bad("404", setup("return 404;"), V.ROUTE_NOT_FOUND, S.NO_ROUTE),
        bad("413", setup("client_max_body_size 10;"), V.UPSTREAM_ERROR, S.TOO_BIG),
        bad("503 by limit-rps", setup(f"{ours} limit_req zone=x; limit_req_status 429;", LIMIT), V.UPSTREAM_ERROR, S.LIMITED, used_up=True),
        bad("503, no endpoints", setup("return 503;"), V.UPSTREAM_ERROR, S.UNAVAILABLE),
        bad("502", setup(ours, dead=True), V.UPSTREAM_ERROR, S.BAD_GATEWAY, "nginx"),
        bad("504", setup("proxy_buffering off; proxy_read_timeout 1s;"), V.UPSTREAM_ERROR, S.GATEWAY_TIMEOUT, engine=SLOW_HEAD),
        bad("ssl-redirect", setup("return 308 https://$host$request_uri;"), V.ROUTE_NOT_FOUND, S.REDIRECT),
    )  # fmt: skip


FLOWS = "option http-no-delay\n"


def haproxy(program: str, called: str) -> tuple[Case, ...]:
    """HAProxy 2.6 of Debian and 2.8: corks small writes by default."""

    def setup(route: str, outside: str = "", **more: bool) -> Setup:
        return Setup(program, route, outside, **more)

    def bad(
        fault: str, edge: Setup, expected: Verdict, symptom: Symptom, scope: str = "any", **more: object
    ) -> Case:
        return Case(called, fault, edge, expected, scope, symptom, **more)  # type: ignore[arg-type]

    return (
        fine(called, "option http-no-delay", setup(FLOWS)),
        fine(called, "option http-no-delay, compression", setup(FLOWS + "compression algo gzip\ncompression type text/event-stream")),
        fine(called, "option http-no-delay, TLS", setup(FLOWS, tls=True), https=True, host="llm.example"),
        bad("as it is by default", setup(""), V.COALESCED, S.TIMED_BURSTS),
        bad("default, engine of 40 ms a token", setup(""), V.COALESCED, S.TIMED_BURSTS, engine=("--inter-token-latency", "40")),
        bad("default, with compression", setup("compression algo gzip\ncompression type text/event-stream"), V.COALESCED, S.TIMED_BURSTS),
        bad("default, engine without timing", setup(""), V.COALESCED, S.TIMED_BURSTS, metrics=False),
        bad("cut before the first token", setup(FLOWS + "timeout server 1s"), V.IDLE_TIMEOUT, S.IDLE_CUT, engine=LATE),
        bad("cut in a pause", setup(FLOWS + "timeout server 2s"), V.IDLE_TIMEOUT, S.IDLE_CUT, engine=PAUSES),
        bad("reloads", setup(FLOWS, "hard-stop-after 1s"), V.TRUNCATED, S.CUT, engine=LONG, reloads=True),
        bad("404", setup("http-request return status 404"), V.ROUTE_NOT_FOUND, S.NO_ROUTE),
        bad("413", setup("http-request deny deny_status 413"), V.UPSTREAM_ERROR, S.TOO_BIG),
        bad("429", setup("http-request deny deny_status 429"), V.UPSTREAM_ERROR, S.LIMITED, "HAProxy", fingerprint="HAProxy"),
        bad("502", setup("http-request deny deny_status 502"), V.UPSTREAM_ERROR, S.BAD_GATEWAY, "HAProxy", fingerprint="HAProxy"),
        bad("503, nobody behind it", setup("", dead=True), V.UPSTREAM_ERROR, S.UNAVAILABLE, "HAProxy", fingerprint="HAProxy"),
        bad("504", setup(FLOWS + "timeout server 1s"), V.UPSTREAM_ERROR, S.GATEWAY_TIMEOUT, "HAProxy", engine=SLOW_HEAD, fingerprint="HAProxy"),
        bad("401", setup("http-request auth realm x"), V.AUTH_REJECTED, S.KEY_MISSING),
        bad("403", setup("http-request deny"), V.AUTH_REJECTED, S.KEY_REFUSED, key="s3cret"),
        bad("301 to https", setup("redirect scheme https code 301"), V.ROUTE_NOT_FOUND, S.REDIRECT),
        bad("unknown CA", setup(FLOWS, tls=True), V.TLS_ERROR, S.CERTIFICATE, https=True, host="llm.example", trusted=False),
    )  # fmt: skip


_COMPRESSOR = (
    "envoy.filters.http.compressor",
    "envoy.extensions.filters.http.compressor.v3.Compressor",
    {
        "response_direction_config": {
            "common_config": {"content_type": ["text/event-stream"], "min_content_length": 30}
        },
        "compressor_library": {
            "name": "gzip",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.compression.gzip.compressor.v3.Gzip"
            },
        },
    },
)
_WHOLE_BODY = (
    "envoy.filters.http.lua",
    "envoy.extensions.filters.http.lua.v3.Lua",
    {
        "default_source_code": {
            "inline_string": "function envoy_on_response(handle)\n"
            "  local body = handle:body()\n  local text = body:getBytes(0, body:length())\n"
            "  handle:headers():remove('transfer-encoding')\n  body:setBytes(text)\nend\n"
        }
    },
)
_ONE_A_MINUTE = (
    "envoy.filters.http.local_ratelimit",
    "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
    {
        "stat_prefix": "limit",
        "token_bucket": {"max_tokens": 1, "tokens_per_fill": 1, "fill_interval": "3600s"},
        "filter_enabled": {"default_value": {"numerator": 100}},
        "filter_enforced": {"default_value": {"numerator": 100}},
    },
)
_SMALL = (
    "envoy.filters.http.buffer",
    "envoy.extensions.filters.http.buffer.v3.Buffer",
    {"max_request_bytes": 10},
)
_DENY = (
    "envoy.filters.http.rbac",
    "envoy.extensions.filters.http.rbac.v3.RBAC",
    {"rules": {"action": "ALLOW", "policies": {}}},
)


TERMINATED = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 95\r\ncontent-type: text/plain\r\nserver: envoy\r\n\r\n"
    b"upstream connect error or disconnect/reset before headers. reset reason: connection termination"
)
"""Envoy's own words after it sent a request on a connection that the server ended at that moment: a race."""


def envoy() -> tuple[Case, ...]:
    """Envoy, which never buffers a stream but ends every request after 15 s unless configured otherwise."""

    def setup(route: dict[str, object], outside: dict[str, object] | None = None, **more: bool) -> Setup:
        return Setup("envoy", json.dumps(route), json.dumps(outside or {}), **more)

    def bad(
        fault: str,
        edge: Setup | proxies.Relay,
        expected: Verdict,
        symptom: Symptom,
        scope: str = "Envoy",
        **more: object,
    ) -> Case:
        return Case("Envoy", fault, edge, expected, scope, symptom, fingerprint="Envoy", **more)  # type: ignore[arg-type]

    free: dict[str, object] = {"timeout": "0s"}
    return (
        fine("Envoy", "no timeout", setup(free)),
        fine("Envoy", "no timeout, compressor", setup(free, {"filters": [_COMPRESSOR]})),
        fine("Envoy", "no timeout, TLS", setup(free, tls=True), https=True, host="llm.example"),
        bad("route timeout", setup({"timeout": "2s"}), V.TOTAL_TIMEOUT, S.TOTAL_CUT, engine=LONG),
        bad("route timeout by default, 15 s", setup({}), V.TOTAL_TIMEOUT, S.TOTAL_CUT, engine=VERY_LONG),
        bad("stream idle timeout", setup(free | {"idle_timeout": "2s"}), V.IDLE_TIMEOUT, S.IDLE_CUT, engine=PAUSES),
        bad("stream idle timeout before the first token", setup(free | {"idle_timeout": "1s"}), V.IDLE_TIMEOUT, S.IDLE_CUT, engine=LATE),
        bad("whole body read by a filter", setup(free, {"filters": [_WHOLE_BODY]}), V.BUFFERED, S.CONTENT_LENGTH),
        bad("404", setup(free, {"virtual_host": {"routes": []}}), V.ROUTE_NOT_FOUND, S.NO_ROUTE, "any"),
        bad("403", setup(free, {"filters": [_DENY]}), V.AUTH_REJECTED, S.KEY_REFUSED, "any", key="s3cret"),
        bad("413", setup(free, {"filters": [_SMALL]}), V.UPSTREAM_ERROR, S.TOO_BIG),
        bad("429", setup(free, {"filters": [_ONE_A_MINUTE]}), V.UPSTREAM_ERROR, S.LIMITED, used_up=True),
        bad("503, nobody behind it", setup(free, dead=True), V.UPSTREAM_ERROR, S.UNAVAILABLE),
        bad("503, no endpoints", setup(free, {"cluster": {"load_assignment": {"cluster_name": "engine"}}}), V.UPSTREAM_ERROR, S.UNAVAILABLE),
        bad("503, a kept connection was closed", proxies.answer(TERMINATED), V.UPSTREAM_ERROR, S.KEPT_CONNECTION),
        bad("504, route timeout", setup({"timeout": "1s"}), V.UPSTREAM_ERROR, S.GATEWAY_TIMEOUT, engine=SLOW_HEAD),
        bad("504, stream idle", setup(free | {"idle_timeout": "1s"}), V.UPSTREAM_ERROR, S.GATEWAY_TIMEOUT, engine=SLOW_HEAD),
        bad("301 to https", setup(free, {"virtual_host": {"require_tls": "ALL"}}), V.ROUTE_NOT_FOUND, S.REDIRECT, "any"),
        Case("Envoy", "unknown CA", setup(free, tls=True), V.TLS_ERROR, "any", S.CERTIFICATE, https=True, host="llm.example", trusted=False),
    )  # fmt: skip


def envoy_gateway() -> tuple[Case, ...]:
    """
    Envoy with what Envoy Gateway makes of our HTTPRoute and BackendTrafficPolicy, and as little of a mark.

    The gateway itself: tests/e2e/test_envoy_gateway.py.
    """
    outside = json.dumps({"manager": {"server_header_transformation": "PASS_THROUGH"}, "quiet": True})

    def setup(**route: str) -> Setup:
        return Setup("envoy", json.dumps({"timeout": "0s", "idle_timeout": "3600s"} | route), outside)

    def bad(
        fault: str, edge: Setup | proxies.Relay, expected: Verdict, symptom: Symptom, **more: object
    ) -> Case:
        known: dict[str, object] = {"known": "envoy-gateway", "fingerprint": ""}
        return Case("Envoy Gateway", fault, edge, expected, "envoy-gateway", symptom, **(known | more))  # type: ignore[arg-type]

    return (
        fine("Envoy Gateway", "as our route and policy have it", setup(), known="envoy-gateway"),
        bad("timeouts.request", setup(timeout="2s"), V.TOTAL_TIMEOUT, S.TOTAL_CUT, engine=LONG),
        bad("streamIdleTimeout", setup(idle_timeout="2s"), V.IDLE_TIMEOUT, S.IDLE_CUT, engine=PAUSES),
        bad("504", setup(idle_timeout="1s"), V.UPSTREAM_ERROR, S.GATEWAY_TIMEOUT, engine=SLOW_HEAD, fingerprint="Envoy"),
        bad("its pod is replaced", proxies.cut(3000), V.TRUNCATED, S.CUT),
    )  # fmt: skip


def contour() -> tuple[Case, ...]:
    """Envoy with what Contour makes of our HTTPRoute or Ingress, and its idle limit, which is the connection manager's."""

    def setup(**route: str) -> Setup:
        return Setup("envoy", json.dumps({"timeout": "0s"} | route), "{}")

    def bad(
        fault: str, edge: Setup | proxies.Relay, expected: Verdict, symptom: Symptom, **more: object
    ) -> Case:
        return Case("Contour", fault, edge, expected, "contour", symptom, known="contour", **more)  # type: ignore[arg-type]

    return (
        fine("Contour", "as our route has it", setup(), known="contour"),
        bad("response-timeout", setup(timeout="2s"), V.TOTAL_TIMEOUT, S.TOTAL_CUT, engine=LONG),
        bad("stream-idle-timeout", setup(idle_timeout="2s"), V.IDLE_TIMEOUT, S.IDLE_CUT, engine=PAUSES),
        bad("504", setup(idle_timeout="1s"), V.UPSTREAM_ERROR, S.GATEWAY_TIMEOUT, engine=SLOW_HEAD),
        bad("its pod is replaced", proxies.cut(3000), V.TRUNCATED, S.CUT),
    )  # fmt: skip


def istio() -> tuple[Case, ...]:
    """Envoy without any limit, as Istio configures it."""

    def bad(
        fault: str, edge: Setup | proxies.Relay | None, expected: Verdict, symptom: Symptom, **more: object
    ) -> Case:
        return Case("Istio", fault, edge, expected, "istio", symptom, known="istio", **more)  # type: ignore[arg-type]

    return (
        fine("Istio", "as our route has it", Setup("envoy", json.dumps({"timeout": "0s"}), "{}"), known="istio"),
        bad("timeouts.request", Setup("envoy", json.dumps({"timeout": "2s"}), "{}"), V.TOTAL_TIMEOUT, S.TOTAL_CUT, engine=LONG),
        bad("its pod is replaced", proxies.cut(3000), V.TRUNCATED, S.CUT),
        bad("Envoy refused the listener", None, V.UNREACHABLE, S.NO_CONNECTION),
    )  # fmt: skip


def haproxy_ingress() -> tuple[Case, ...]:
    """HAProxy 2.8 with the directives that our annotations become."""

    def setup(route: str) -> Setup:
        return Setup("haproxy", route, "")

    def bad(
        fault: str, edge: Setup | proxies.Relay, expected: Verdict, symptom: Symptom, **more: object
    ) -> Case:
        return Case(
            "haproxy-ingress",
            fault,
            edge,
            expected,
            "haproxy-ingress",
            symptom,
            known="haproxy-ingress",
            **more,
        )  # type: ignore[arg-type]

    return (
        fine("haproxy-ingress", "as our Ingress has it", setup(FLOWS + "timeout server 3600s"), known="haproxy-ingress"),
        bad("config-backend is refused", setup("timeout server 3600s"), V.COALESCED, S.TIMED_BURSTS),
        bad("timeout-server", setup(FLOWS + "timeout server 2s"), V.IDLE_TIMEOUT, S.IDLE_CUT, engine=PAUSES),
        bad("504", setup(FLOWS + "timeout server 1s"), V.UPSTREAM_ERROR, S.GATEWAY_TIMEOUT, engine=SLOW_HEAD),
        bad("its pod is replaced", proxies.cut(3000), V.TRUNCATED, S.CUT),
    )  # fmt: skip


def caddy() -> tuple[Case, ...]:
    """Caddy, which flushes event streams by itself."""

    def setup(route: str, outside: str = "", **more: bool) -> Setup:
        return Setup("caddy", route, outside, **more)

    def bad(
        fault: str, edge: Setup, expected: Verdict, symptom: Symptom, scope: str = "Caddy", **more: object
    ) -> Case:
        fingerprint = more.pop("fingerprint", "Caddy")
        return Case("Caddy", fault, edge, expected, scope, symptom, fingerprint=fingerprint, **more)  # type: ignore[arg-type]

    return (
        fine("Caddy", "as it is by default", setup("")),
        fine("Caddy", "encode gzip", setup("", "site:encode gzip")),
        fine("Caddy", "TLS", setup("", tls=True), https=True, host="llm.example"),
        bad("response_buffers 4k", setup("response_buffers 4k"), V.COALESCED, S.HELD_HEAD),
        bad("response_buffers 1MiB", setup("response_buffers 1MiB"), V.BUFFERED, S.BLOCK),
        bad("read_timeout", setup("transport http {\n read_timeout 2s\n}"), V.IDLE_TIMEOUT, S.IDLE_CUT, engine=PAUSES),
        bad("servers' write timeout", setup("", "servers {\n timeouts {\n write 2s\n}\n}\n"), V.TOTAL_TIMEOUT, S.TOTAL_CUT, engine=LONG),
        bad("404", setup("", "site:respond 404"), V.ROUTE_NOT_FOUND, S.NO_ROUTE, "any"),
        bad("413", setup("", "site:request_body {\n max_size 10B\n}\n"), V.UPSTREAM_ERROR, S.TOO_BIG),
        bad("502, nobody behind it", setup("", dead=True), V.UPSTREAM_ERROR, S.BAD_GATEWAY),
        bad("504", setup("transport http {\n response_header_timeout 1s\n}"), V.UPSTREAM_ERROR, S.GATEWAY_TIMEOUT, engine=SLOW_HEAD),
        bad("401", setup("", "site:basic_auth {\n a $2a$14$Zkx19XLiW6VYouLHR5NmfOFU0z2GTNmpkT/5qqR7hx4IjWJPDhjvG\n}\n"), V.AUTH_REJECTED, S.KEY_MISSING, "any"),
        bad("308 to https", setup("", "site:redir https://{host}{uri} 308"), V.ROUTE_NOT_FOUND, S.REDIRECT, "any"),
        bad("http asked at an https port", setup("", tls=True), V.TLS_ERROR, S.PLAIN_HTTP, "any", fingerprint=""),
    )  # fmt: skip


def traefik() -> tuple[Case, ...]:
    """Traefik with the file provider; it leaves no marks on what it passes on."""

    def setup(route: str = "", outside: str = "", **more: bool) -> Setup:
        return Setup("traefik", route, outside, **more)

    def bad(
        fault: str, edge: Setup, expected: Verdict, symptom: Symptom, scope: str = "any", **more: object
    ) -> Case:
        return Case("Traefik", fault, edge, expected, scope, symptom, **more)  # type: ignore[arg-type]

    buffering = "{buffering: {maxResponseBodyBytes: 10000000}}"
    return (
        fine("Traefik", "as it is by default", setup()),
        fine("Traefik", "compress Middleware", setup("{compress: {}}")),
        bad("buffering Middleware", setup(buffering), V.BUFFERED, S.BLOCK),
        bad("entry point's writeTimeout", setup("", "--entrypoints.web.transport.respondingtimeouts.writetimeout=2s"), V.TOTAL_TIMEOUT, S.TOTAL_CUT, engine=LONG),
        bad("404", setup("no-route"), V.ROUTE_NOT_FOUND, S.NO_ROUTE),
        bad("413", setup("{buffering: {maxRequestBodyBytes: 10}}"), V.UPSTREAM_ERROR, S.TOO_BIG),
        bad("429", setup("{rateLimit: {average: 1, period: 1h, burst: 1}}"), V.UPSTREAM_ERROR, S.LIMITED, "Traefik", fingerprint="Traefik", used_up=True),
        bad("502, nobody behind it", setup(dead=True), V.UPSTREAM_ERROR, S.BAD_GATEWAY, "Traefik", fingerprint="Traefik"),
        bad("503, no endpoints", setup("no-servers"), V.UPSTREAM_ERROR, S.UNAVAILABLE, "Traefik", fingerprint="Traefik"),
        bad("504", setup("transport:{responseHeaderTimeout: 1s}"), V.UPSTREAM_ERROR, S.GATEWAY_TIMEOUT, "Traefik", engine=SLOW_HEAD, fingerprint="Traefik"),
        bad("401", setup("{basicAuth: {users: ['a:$apr1$H6uskkkW$IgXLP6ewTrSuBkTrqE8wj/']}}"), V.AUTH_REJECTED, S.KEY_MISSING),
    )  # fmt: skip
