"""
The rows of the zoo for edges that no test runs: raw proxies with the directives that our annotations and policies become.
"""

import json
from functools import partial

from streaming_operator.api.reasons import Verdict
from streaming_operator.api.symptoms import Symptom
from tests.probe.zoo.cases import FLOWS, LONG, PAUSES, SLOW_HEAD, UNCHUNKED, Case, fine
from tests.probe.zoo.running import Setup

V, S = Verdict, Symptom


def _bad(
    title: str, name: str, fault: str, edge: Setup, expected: Verdict, symptom: Symptom, **more: object
) -> Case:
    """What the probe says behind an edge, by the row of its own file."""
    return Case(title, fault, edge, expected, name, symptom, known=name, **more)  # type: ignore[arg-type]


def _nginx(name: str, title: str) -> tuple[Case, ...]:
    """nginx 1.31, which buffers, cuts a silence after 60 s and refuses more than 1m unless it is told otherwise."""
    ours = "proxy_http_version 1.1; proxy_buffering off; proxy_read_timeout 3600s; client_max_body_size 64m;"
    bad = partial(_bad, title, name, fingerprint="nginx")

    def setup(route: str) -> Setup:
        return Setup("nginx", route, "")

    return (
        fine(title, "as ours has it", setup(ours), known=name),
        bad("its default, un-chunked upstream", setup("proxy_buffering on;"), V.BUFFERED, S.SIZED_BURSTS, engine=UNCHUNKED),
        bad("proxy_read_timeout", setup("proxy_buffering off; proxy_read_timeout 2s;"), V.IDLE_TIMEOUT, S.IDLE_CUT, engine=PAUSES),
        bad("504", setup("proxy_buffering off; proxy_read_timeout 1s;"), V.UPSTREAM_ERROR, S.GATEWAY_TIMEOUT, engine=SLOW_HEAD),
        bad("413", setup("client_max_body_size 10;"), V.UPSTREAM_ERROR, S.TOO_BIG),
    )  # fmt: skip


def f5_nginx_ingress() -> tuple[Case, ...]:
    """The directives of F5's annotations; a reload, too."""
    name, title = "f5-nginx-ingress", "F5 NIC"
    reloads = Setup(
        "nginx", "proxy_buffering off; proxy_http_version 1.1;", "worker_shutdown_timeout 1s; http:"
    )
    return (
        *_nginx(name, title),
        _bad(title, name, "worker-shutdown-timeout", reloads, V.TRUNCATED, S.CUT, engine=LONG, reloads=True, fingerprint="nginx"),
    )  # fmt: skip


def nginx_gateway_fabric() -> tuple[Case, ...]:
    """The directives of its ProxySettingsPolicy and ClientSettingsPolicy."""
    return _nginx("nginx-gateway-fabric", "NGINX Gateway Fabric")


def haproxytech_ingress() -> tuple[Case, ...]:
    """HAProxy 2.8 with the directives that our annotations become."""
    name, title = "haproxytech-ingress", "haproxytech"
    bad = partial(_bad, title, name)

    def setup(route: str, outside: str = "") -> Setup:
        return Setup("haproxy", route, outside)

    return (
        fine(title, "as our Ingress has it", setup(FLOWS + "timeout server 3600s"), known=name),
        bad("backend-config-snippet is refused", setup("timeout server 3600s"), V.COALESCED, S.TIMED_BURSTS),
        bad("timeout-server", setup(FLOWS + "timeout server 2s"), V.IDLE_TIMEOUT, S.IDLE_CUT, engine=PAUSES),
        bad("504", setup(FLOWS + "timeout server 1s"), V.UPSTREAM_ERROR, S.GATEWAY_TIMEOUT, engine=SLOW_HEAD),
        bad("hard-stop-after", setup(FLOWS, "hard-stop-after 1s"), V.TRUNCATED, S.CUT, engine=LONG, reloads=True),
    )  # fmt: skip


def _envoy(name: str, title: str) -> tuple[Case, ...]:
    """Envoy with the timeouts that our route and policy become."""
    bad = partial(_bad, title, name)

    def setup(**route: str) -> Setup:
        return Setup("envoy", json.dumps({"timeout": "0s", "idle_timeout": "3600s"} | route), "{}")

    return (
        fine(title, "as our route has it", setup(), known=name),
        bad("a limit on the request", setup(timeout="2s"), V.TOTAL_TIMEOUT, S.TOTAL_CUT, engine=LONG),
        bad("a limit on a silence", setup(idle_timeout="2s"), V.IDLE_TIMEOUT, S.IDLE_CUT, engine=PAUSES),
        bad("504", setup(idle_timeout="1s"), V.UPSTREAM_ERROR, S.GATEWAY_TIMEOUT, engine=SLOW_HEAD),
    )  # fmt: skip


def kgateway() -> tuple[Case, ...]:
    """`timeouts` of the HTTPRoute and of a TrafficPolicy."""
    return _envoy("kgateway", "kgateway")


def cilium() -> tuple[Case, ...]:
    """`timeouts` of the HTTPRoute, and the setting of its agents."""
    return _envoy("cilium", "Cilium")
