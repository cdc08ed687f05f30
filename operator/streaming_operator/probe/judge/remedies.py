"""
The remedies: what to set, on which object, to which value, as one table.

A row is chosen by the component to change and the symptom. At the inner hops the rows of the engine come first, since
no setting of a proxy fixes the engine; at the edge the row of the resource that the operator writes comes before that
of the proxy in the fingerprint, and that before the row for any edge. Where no field can set it, the row says what to
ask the administrator for. Pure. tests/probe/zoo has a case for every row.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from streaming_operator import routes
from streaming_operator.api.reasons import Hop
from streaming_operator.api.symptoms import Symptom
from streaming_operator.probe.judge.fingerprint import Proxy
from streaming_operator.probe.judge.front_advice import FRONTS
from streaming_operator.probe.judge.url_advice import URL
from streaming_operator.routes.base import ASK


@dataclass(frozen=True, slots=True)
class Names:
    """The names that are inserted into the sentences."""

    workload: str = ""
    """Name of the Deployment."""
    secret: str | None = None
    """Secret that holds the API key."""
    profile: str | None = None
    """None where a person probes a URL: nothing is known about the path."""
    edge: str = "the edge"
    """The name of the edge, e.g. `IngressClass nginx`."""
    host: str = "the host"
    prefix: str = "nginx.ingress.kubernetes.io"
    """Prefix of the annotations that the controller reads."""

    @property
    def is_plain(self) -> bool:
        """Whether nothing but the URL is known."""
        return self.profile is None and not self.workload


@dataclass(frozen=True, slots=True)
class Row:
    """One remedy. `scope` is `engine`, a route (what the operator writes itself), a proxy, `any` or `url`."""

    scope: str
    symptom: Symptom | None
    advice: str

    @property
    def name(self) -> str:
        """Stable name of the row, for tests and tables."""
        return f"{self.scope}/{self.symptom or 'else'}"

    def sentence(self, names: Names) -> str:
        """The remedy with its names inserted."""
        return self.advice.format(
            workload=names.workload,
            secret=names.secret or "of the API key",
            edge=names.edge,
            host=names.host,
            prefix=names.prefix,
        )


_S = Symptom
_LOGS = "kubectl logs of the pods of deployment/{workload}"
_CAPACITY = "the model server is at capacity: raise replicas or its queue limits"
_TOKENS = "raise verification.request.maxTokens, or check the load of the node"
_REPLICA = "the pod that was probed responds correctly: check the other pods of deployment/{workload}"
_BROKEN_KEY = "fix the value in Secret {secret}: --from-literal adds no line feed"

_ENGINE: dict[Symptom | None, str] = {
    _S.BLOCK: (
        "the model server itself buffers the stream: remove VLLM_DEBUG_LOG_API_SERVER_RESPONSE or the "
        "middleware that reads whole responses"
    ),
    _S.TIMED_BURSTS: (
        "something between the pod and its Service writes in bursts: check injected proxies (HAProxy: option "
        "http-no-delay)"
    ),
    _S.ONE_EVENT: "the model server writes the whole text into one event: check --stream-interval and user middleware",
    _S.CUT: "the model server terminated: kubectl logs --previous on the pods of deployment/{workload}",
    _S.HANGS: "the engine behind the server hangs: " + _LOGS,
    _S.IN_STREAM: "the engine failed while it generated: " + _LOGS,
    _S.NO_DONE: "the model server ends streams without [DONE]: check engine.version and user middleware",
    _S.ABORTED: "the engine aborted the request: it was stopping, or it is out of cache blocks",
    _S.NO_REASON: "the model server leaves finish_reason out: check engine.version and user middleware",
    _S.KEPT_WAITING: (
        "requests wait in the engine's queue: raise replicas or verification.firstRequestTimeoutSeconds"
    ),
    _S.NO_TOKEN: (
        "the model is too slow for its first token: raise verification.firstRequestTimeoutSeconds or give "
        "it more resources"
    ),
    _S.LATE_FIRST: "the engine's first token is late: raise replicas or reduce the load",
    _S.LONG_GAP: "the engine pauses between tokens: check its load, raise replicas or lower --max-num-seqs",
    _S.WRONG_MODEL: (
        "the image's entrypoint ignores the model that it is given (vLLM before `vllm serve` was its entrypoint), or a "
        "wrapper or engine.args names another: compare engine.image, model.source and model.adapters"
    ),
    _S.UNKNOWN_MODEL: "the engine serves another name: check model.servedName, model.adapters and engine.args",
    _S.BUSY: _CAPACITY,
    _S.UNCLEAR: _TOKENS,
    _S.TOO_LARGE: "the model server sends far more than a short stream takes: check user middleware and sidecars",
    _S.UNAVAILABLE: _LOGS + " show why the engine fails",
    _S.NO_CONNECTION: "check that a NetworkPolicy lets the operator reach the pods of deployment/{workload}",
    _S.LEFT_RUNNING: (
        "the model server does not notice that its client disconnects: look for middleware in engine.args that "
        "wraps whole responses, and for sidecars in the pods of deployment/{workload}"
    ),
    _S.OPEN: (
        "the pods run without the key of Secret {secret}: restart them with kubectl rollout restart "
        "deployment/{workload}"
    ),
    _S.KEY_BROKEN: _BROKEN_KEY,
    _S.KEY_REFUSED: (
        "Secret {secret} may have changed after the pods started: restart them with kubectl rollout restart"
        " deployment/{workload}"
    ),
    _S.KEY_MISSING: "the model server requires a key: set engine.apiKeySecretRef to the Secret that holds it",
    None: "check the pods of deployment/{workload}: logs, injected sidecars, user middleware, engine.args",
}
_PROFILE = "which this operator sets where its edges[] give the class the profile ingress-nginx"
_NGINX_OFF = (
    "set proxy_buffering off in nginx's location of this route (ingress-nginx: annotation "
    '{prefix}/proxy-buffering "off", ' + _PROFILE + '; F5: annotation nginx.org/proxy-buffering "false"; '
    "NGINX Gateway Fabric: ProxySettingsPolicy buffering.disable true)"
)
_NGINX_READ = (
    "set proxy_read_timeout 3600s in nginx's location of this route (ingress-nginx: annotation "
    '{prefix}/proxy-read-timeout "3600", without a unit, ' + _PROFILE + "; F5: annotation "
    'nginx.org/proxy-read-timeout "3600s"; NGINX Gateway Fabric: ProxySettingsPolicy timeout.read 3600s)'
)
_ENVOY_TOTAL = (
    "set timeouts.request in the HTTPRoute's rule to 0s (Contour: HTTPProxy timeoutPolicy.response infinity; "
    "Cilium: annotation ingress.cilium.io/request-timeout 0s; plain Envoy: the route's timeout 0s, whose default "
    "is 15 s)"
)
_ENVOY_IDLE = (
    "set timeout.http.streamIdleTimeout in Envoy Gateway's BackendTrafficPolicy to 3600s (Contour: HTTPProxy "
    "timeoutPolicy.idle infinity; plain Envoy: stream_idle_timeout and the route's idle_timeout)"
)
_ALB_IDLE = (
    ASK + "to set idle_timeout.timeout_seconds=3600 in loadBalancerAttributes of its IngressClassParams"
)
_KONG_READ = "set the annotation konghq.com/read-timeout=3600000 (ms) on the Service with kubectl annotate"
_PROXIES: dict[Proxy, dict[Symptom | None, str]] = {
    Proxy.NGINX: {
        _S.GZIP_BLOCK: _NGINX_OFF + ", or remove text/event-stream from gzip_types",
        _S.BLOCK: _NGINX_OFF,
        _S.SIZED_BURSTS: _NGINX_OFF + " and proxy_http_version 1.1",
        _S.IDLE_CUT: _NGINX_READ,
        _S.GATEWAY_TIMEOUT: _NGINX_READ,
        _S.CUT: ASK + "to raise worker_shutdown_timeout in nginx.conf above the longest stream: reloads cut",
        _S.TOO_BIG: (
            "set client_max_body_size 64m in nginx's location of this route (ingress-nginx: annotation "
            '{prefix}/proxy-body-size "64m")'
        ),
        _S.BAD_GATEWAY: "check the address in proxy_pass: nginx's error log names the upstream that it cannot reach",
        _S.LIMITED: ASK + "to raise limit_req and limit_conn in nginx.conf, or to exempt this route",
    },
    Proxy.HAPROXY: {
        _S.GATEWAY_TIMEOUT: (
            "set timeout server 3600s in HAProxy's backend (annotation haproxy-ingress.github.io/timeout-server or "
            "haproxy.org/timeout-server 3600s)"
        ),
        _S.UNAVAILABLE: "HAProxy has no server that is up: check the endpoints of its backend and their health checks",
        _S.BAD_GATEWAY: (
            "the server behind HAProxy closed the connection or did not speak HTTP: see its log and HAProxy's"
        ),
        _S.LIMITED: ASK + "to raise the rate limit (http-request deny deny_status 429) in HAProxy's frontend",
    },
    Proxy.ENVOY: {
        _S.TOTAL_CUT: _ENVOY_TOTAL,
        _S.GATEWAY_TIMEOUT: _ENVOY_TOTAL + "; for `stream timeout` " + _ENVOY_IDLE,
        _S.IDLE_CUT: _ENVOY_IDLE,
        _S.KEPT_CONNECTION: (
            "the server behind Envoy closed a connection that Envoy had kept for the next request, sooner than it "
            "promised: retry such requests (retryOn reset-before-request; Envoy Gateway: BackendTrafficPolicy retry), "
            "raise the server's keep-alive timeout, or let Envoy use each connection once (max_requests_per_connection "
            "1; llama.cpp ends connections after each answer)"
        ),
        _S.UNAVAILABLE: "Envoy cannot reach its upstream: check the endpoints of the backendRef and Envoy's clusters",
        _S.LIMITED: "raise rateLimit in the BackendTrafficPolicy of this route, or remove it",
        _S.TOO_BIG: "raise clientRequestBody or the buffer filter's max_request_bytes in {edge}",
        _S.CONTENT_LENGTH: (
            ASK
            + "to let no filter read the whole body (Lua body(), ext_proc with response body mode BUFFERED) "
            "in Envoy's filter chain"
        ),
    },
    Proxy.CADDY: {
        _S.HELD_HEAD: "remove response_buffers from Caddy's reverse_proxy, or set flush_interval -1 and no buffer",
        _S.BLOCK: "remove response_buffers from Caddy's reverse_proxy: it holds that many bytes back",
        _S.IDLE_CUT: "remove read_timeout from the http transport of Caddy's reverse_proxy, or set it to 1h",
        _S.TOTAL_CUT: ASK + "to remove timeouts.write from the servers options of the Caddyfile",
        _S.GATEWAY_TIMEOUT: "raise response_header_timeout in the http transport of Caddy's reverse_proxy",
        _S.BAD_GATEWAY: "check the upstream address of Caddy's reverse_proxy",
        _S.TOO_BIG: "raise max_size of request_body in the Caddyfile",
    },
    Proxy.TRAEFIK: {
        _S.GATEWAY_TIMEOUT: ASK
        + "to set forwardingTimeouts.responseHeaderTimeout of its ServersTransport to 0s",
        _S.BAD_GATEWAY: "Traefik cannot reach its backend: check the endpoints of the Service that the route names",
        _S.UNAVAILABLE: "Traefik has no server for this route: check the endpoints of the Service that it names",
        _S.LIMITED: "raise average and burst of the rateLimit Middleware on this route, or remove it",
    },
    Proxy.ALB: {
        _S.IDLE_CUT: _ALB_IDLE,
        _S.GATEWAY_TIMEOUT: _ALB_IDLE + ", or set engine.sseKeepAliveSeconds",
    },
    Proxy.GOOGLE: {
        _S.TOTAL_CUT: (
            "set timeoutSec 3600 in the Service's BackendConfig (Gateway: GCPBackendPolicy spec.default.timeoutSec); "
            "the default is 30 s"
        ),
    },
    Proxy.AZURE: {
        _S.BLOCK: ASK + "to set globalConfiguration.enableResponseBuffering false in the Application Gateway",
        _S.GATEWAY_TIMEOUT: 'set the annotation appgw.ingress.kubernetes.io/request-timeout to "3600"',
    },
    Proxy.KONG: {
        _S.BLOCK: 'set the annotation konghq.com/response-buffering "false" on the route',
        _S.IDLE_CUT: _KONG_READ,
        _S.GATEWAY_TIMEOUT: _KONG_READ,
    },
}
_ANY: dict[Symptom | None, str] = {
    _S.BLOCK: (
        ASK + "to turn response buffering and gzip of text/event-stream off in its proxy (Traefik: remove "
        "the buffering Middleware from this route)"
    ),
    _S.GZIP_BLOCK: ASK + "to turn gzip of text/event-stream off, or response buffering, in its proxy",
    _S.SIZED_BURSTS: ASK
    + "to turn response buffering off in its proxy (a buffer fills before anything is sent)",
    _S.CONTENT_LENGTH: (ASK + "to turn whole-response buffering off for text/event-stream in its proxy"),
    _S.NOT_A_STREAM: ASK
    + 'to pass the request\'s "stream": true and the response through unchanged, in its gateway',
    _S.TIMED_BURSTS: ASK
    + "to send small writes without delay in its proxy (HAProxy: option http-no-delay in its backends, by "
    "config-defaults or backend-config-snippet in the ConfigMap of its controller)",
    _S.BURSTS: "the pod could not be asked for comparison: see its log, then verify again",
    _S.ONE_EVENT: ASK
    + "to pass events on as they come instead of one event with the whole text, in its gateway",
    _S.HELD_HEAD: ASK
    + "to turn the buffer before the first bytes off in its proxy (Caddy: response_buffers)",
    _S.IDLE_CUT: (
        ASK + "to raise the idle or read timeout in its proxy (HAProxy: timeout server), or lower "
        "engine.sseKeepAliveSeconds below it"
    ),
    _S.CUT: ASK
    + "to look for reloads and restarts at that time in its proxy's log (HAProxy: hard-stop-after)",
    _S.TOTAL_CUT: (
        "set timeouts.request in the HTTPRoute's rule to 0s; where the proxy ignores it, not settable per route: ask "
        "the administrator of {edge} to raise the limit for a whole request in its proxy (Traefik: the entry point's "
        "respondingTimeouts.writeTimeout)"
    ),
    _S.HANGS: ASK + "to check whether something on its path drops connections silently (NAT, load balancer)",
    _S.GATEWAY_TIMEOUT: ASK
    + "to raise the timeout of the first byte in its proxy, or set engine.sseKeepAliveSeconds",
    _S.UNAVAILABLE: (
        "the edge has no healthy backend: check the endpoints of the Service and the log of {edge}"
    ),
    _S.BAD_GATEWAY: "{edge} cannot reach the Service: check its endpoints, the port's name and network policies",
    _S.LIMITED: ASK + "to raise its rate limit for {host}",
    _S.TOO_BIG: ASK + "to raise the largest request body in its proxy",
    _S.LATE_FIRST: "the pod responds in time: look for a queue or an authentication request in {edge}",
    _S.LONG_GAP: "the pod has no such pause: check the load of {edge} and the network in front of it",
    _S.NO_ROUTE: "{edge} does not serve {host}: check class, host and path prefixes",
    _S.WRONG_PATH: "another service answers at {host}: check exposure.host and exposure.pathPrefixes",
    _S.REDIRECT: "use https: set exposure.ingress.tls or a TLS listener",
    _S.PLAIN_HTTP: "use https: set exposure.ingress.tls, or correct the port in the operator's edges[]",
    _S.CERTIFICATE: (
        "set verification.tls.caConfigMapRef to the CA that signed the certificate, or fix the certificate"
        " for {host}"
    ),
    _S.HANDSHAKE: "check that the edge speaks TLS for {host} on this port",
    _S.NAME: "create the DNS record of {host}, or set the edge's address (chart value edges[])",
    _S.FORBIDDEN_ADDRESS: (
        "the operator's administrator can set the edge's address (chart value edges[]) or allow a private network "
        "(settings.allowedAddresses); a key goes to a public address over https only"
    ),
    _S.OPEN: "something on the path adds a key to requests that have none: remove it from {edge}",
    _S.LEFT_RUNNING: ASK
    + "to close its upstream when the client disconnects (nginx: no proxy_store, no proxy_cache)",
    _S.NO_CONNECTION: "check that the edge runs and that a NetworkPolicy lets the operator reach it",
    _S.KEY_BROKEN: _BROKEN_KEY,
    _S.KEY_MISSING: "the edge requires credentials of its own, or set engine.apiKeySecretRef",
    _S.KEY_REFUSED: "{edge} refuses the key that the model server accepts: check its own authentication",
    _S.UNKNOWN_MODEL: (
        "the route leads to a server that does not serve this model: check host conflicts and "
        "model.servedName or model.adapters"
    ),
    _S.BUSY: _CAPACITY,
    _S.IN_STREAM: _REPLICA,
    _S.ABORTED: _REPLICA,
    _S.NO_REASON: "something in {edge} rewrites events: the pod that was probed sends a finish reason",
    _S.UNKNOWN_REASON: "look the finish reason up in the engine's documentation, and for its cause in "
    + _LOGS,
    _S.KEPT_WAITING: "the connection is kept alive, the request waits: check the queues of the other replicas",
    _S.BAD_REQUEST: "check {edge} for limits on requests, and the engine's log",
    _S.NO_TOKEN: "the edge accepts requests that never get a first token: check its log and its timeouts",
    _S.NO_DONE: ASK + "to pass streams through to their end in its proxy",
    _S.LOGIN: (
        "a login page stands before {host}, which no client of the API can pass: exempt the path from it at {edge}, or "
        "send what it accepts with verification.headersSecretRef"
    ),
    _S.CHALLENGE: ASK
    + "to exempt the endpoint's path from its WAF or bot protection: it refuses the client itself",
    _S.CLIENT_CERTIFICATE: "set verification.tls.clientCertSecretRef to a certificate that the edge accepts",
    _S.HTTP2_ONLY: "the edge speaks HTTP/2 alone at this port: set one that speaks HTTP/1.1 in the operator's edges[]",
    _S.UNREADABLE: ASK
    + "to leave bodies as the pod sends them: what it adds or rewrites cannot be read, as quoted",
    _S.UNCLEAR: _TOKENS,
    _S.TOO_LARGE: "{edge} sends far more than the pod that was probed: check what its proxy adds to responses",
}


def _table() -> dict[tuple[str, Symptom | None], Row]:
    scopes: dict[str, Mapping[Symptom | None, str] | Mapping[Symptom, str]] = {
        "engine": _ENGINE,
        "any": _ANY,
        "url": URL,
    }
    scopes |= {proxy.value: rows for proxy, rows in (_PROXIES | FRONTS).items()}
    scopes |= {route.name: route.remedies for route in routes.registry().values()}
    return {
        (scope, symptom): Row(scope, symptom, advice)
        for scope, rows in scopes.items()
        for symptom, advice in rows.items()
    }


TABLE = _table()
"""Every row by scope and symptom; None as symptom is the row for all others of its scope."""


_BY_A_CHECK = "found by a check of the operator alone"
NO_ADVICE: dict[Symptom, str] = {
    _S.FINE: "nothing to do",
    _S.BUNDLED: "nothing to do on the path: the engine bundles (`--stream-interval`, speculative decoding, load)",
    _S.KEPT_CONNECTION: "Envoy alone says so: see its rows in the fault zoo",
    _S.OPEN: _BY_A_CHECK,
    _S.WRONG_MODEL: _BY_A_CHECK,
    _S.LEFT_RUNNING: _BY_A_CHECK,
}
"""Symptoms for which a finding has no remedy, of a URL or anywhere, and why: for docs/probe.md."""


def remedy(hop: Hop, symptom: Symptom, names: Names, fingerprint: str = "") -> str:
    """One sentence; empty where there is nothing to change."""
    row = find(hop, symptom, names, fingerprint)
    return row.sentence(names) if row else ""


def find(hop: Hop, symptom: Symptom, names: Names, fingerprint: str = "") -> Row | None:
    """The row of a symptom at a hop; `fingerprint` is the proxy that the finding names."""
    if symptom in (Symptom.FINE, Symptom.BUNDLED):
        return None
    for scope in _scopes(hop, names, fingerprint):
        if (row := TABLE.get((scope, symptom))) is not None:
            return row
    return None if names.is_plain else TABLE["engine", None]


def _scopes(hop: Hop, names: Names, fingerprint: str) -> tuple[str, ...]:
    """The scopes whose rows are tried, in this order."""
    proxy = Proxy.NGINX if fingerprint == Proxy.INGRESS_NGINX else fingerprint
    if names.is_plain:
        return (proxy, "url")
    if hop is Hop.POD:
        return ("engine",)
    if hop is Hop.SERVICE:
        return (proxy, "engine")
    route = routes.of_profile(names.profile) if hop is Hop.EXPOSURE else None
    return (route.name, proxy, "any") if route is not None and proxy in route.proxies else (proxy, "any")
