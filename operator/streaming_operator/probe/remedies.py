"""
What to set, on which object, to which value: one table, as data.

A row is found by edge profile and symptom; the profile `*` is every edge. Rows for a hop inside (Pod,
Service) come before those of the edge, since no proxy's setting cures the engine. Pure: names are filled
in, nothing is looked up.
"""

from dataclasses import dataclass

from streaming_operator.api.conditions import Hop
from streaming_operator.facts import EdgeProfile
from streaming_operator.probe.finding import Symptom


@dataclass(frozen=True, slots=True)
class Names:
    """What the sentences speak of."""

    workload: str = ""
    """Name of the Deployment."""
    secret: str | None = None
    """Secret that holds the API key."""
    profile: EdgeProfile | None = None
    """None for a person's probe of a plain URL: nothing is known of the path."""
    edge: str = "the edge"
    """How the edge is called, e.g. `IngressClass nginx`."""
    host: str = "the host"
    prefix: str = "nginx.ingress.kubernetes.io"
    """Prefix of the annotations that the controller reads."""


_ASK = "not settable from this resource: ask the administrator of {edge} to "
_NGINX_GZIP = (
    "{prefix}/proxy-buffering is off already; in the ConfigMap of ingress-nginx take text/event-stream out "
    'of gzip-types (or set use-gzip to "false"), and X-Accel-Buffering out of hide-headers'
)
_RAISE_IDLE = "raise exposure.timeouts.idleSeconds, or set engine.sseKeepAliveSeconds below it"

_S = Symptom
_ENGINE: dict[Symptom, str] = {
    _S.BLOCK: (
        "the model server itself holds the stream: remove VLLM_DEBUG_LOG_API_SERVER_RESPONSE or the "
        "middleware that reads whole answers"
    ),
    _S.TIMED_BURSTS: (
        "the model server or a sidecar of its pod writes in bursts: look at its CPU and at injected proxies"
    ),
    _S.CUT: "the model server went away: kubectl logs --previous on the pods of deployment/{workload}",
    _S.HANGS: "the engine behind the server stands still: kubectl logs of the pods of deployment/{workload}",
    _S.IN_STREAM: "the engine failed while it generated: kubectl logs of the pods of deployment/{workload}",
    _S.NO_DONE: "the model server ends streams without [DONE]: check engine.version and user middleware",
    _S.ABORTED: "the engine aborted the request: it was stopping, or it is out of cache blocks",
    _S.NO_TOKEN: (
        "the model is too slow for its first token: raise verification.firstRequestTimeoutSeconds or give "
        "it more"
    ),
    _S.UNKNOWN_MODEL: "the engine serves another name: check model.servedName and engine.args",
    _S.BUSY: "the model server has no room: raise replicas or its queue limits",
    _S.UNCLEAR: "raise verification.request.maxTokens, or look at the load of the node",
    _S.UNAVAILABLE: "kubectl logs of the pods of deployment/{workload} tell why the engine fails",
    _S.NO_CONNECTION: "check that a NetworkPolicy lets the operator reach the pods of deployment/{workload}",
}
_INSIDE = "look at the pods of deployment/{workload}: logs, injected sidecars, user middleware, engine.args"
_EDGE: dict[EdgeProfile, dict[Symptom, str]] = {
    "ingress-nginx": {
        _S.BLOCK: _NGINX_GZIP,
        _S.GZIP_BLOCK: _NGINX_GZIP,
        _S.SIZED_BURSTS: (
            "look for a second proxy before ingress-nginx: {prefix}/proxy-buffering is off and "
            "{prefix}/proxy-http-version 1.1 already"
        ),
        _S.CONTENT_LENGTH: (
            "take text/event-stream out of SecResponseBodyMimeType if ModSecurity is on; else look for "
            "a proxy before ingress-nginx that holds whole answers"
        ),
        _S.IDLE_CUT: _RAISE_IDLE,
        _S.GATEWAY_TIMEOUT: _RAISE_IDLE,
        _S.CUT: (
            "a reload of ingress-nginx cuts streams after worker-shutdown-timeout (240s): raise it in "
            "the controller's ConfigMap"
        ),
        _S.NO_ROUTE: (
            "the controller does not serve this Ingress: check exposure.ingress.className, the host "
            "{host} and the controller's log"
        ),
        _S.REDIRECT: "set exposure.ingress.tls, so that users and the probe speak https",
    },
}
_REPLICA = "the pod that was asked answers well: look at the other pods of deployment/{workload}"
_ANY: dict[Symptom, str] = {
    _S.BLOCK: _ASK + "turn response buffering and gzip of text/event-stream off",
    _S.GZIP_BLOCK: _ASK + "turn gzip of text/event-stream off, or response buffering, or both",
    _S.SIZED_BURSTS: _ASK + "turn response buffering off (a buffer has to fill before anything is sent)",
    _S.CONTENT_LENGTH: _ASK + "turn whole-response buffering off for text/event-stream",
    _S.NOT_A_STREAM: _ASK + 'pass the request\'s "stream": true and the answer through unchanged',
    _S.TIMED_BURSTS: _ASK + "let small writes pass at once (HAProxy: option http-no-delay)",
    _S.HELD_HEAD: _ASK + "turn the response buffer in front of the first bytes off (Caddy: response_buffers)",
    _S.IDLE_CUT: _ASK + "raise its idle or read timeout, or lower engine.sseKeepAliveSeconds below it",
    _S.CUT: _ASK + "check its total timeout and its reloads (Envoy cuts a route at 15 s by default)",
    _S.HANGS: _ASK + "check whether the edge drops connections silently",
    _S.GATEWAY_TIMEOUT: _ASK + "raise the timeout for the first byte, or set engine.sseKeepAliveSeconds",
    _S.UNAVAILABLE: (
        "the edge has no healthy backend: check the endpoints of the Service and the log of {edge}"
    ),
    _S.NO_ROUTE: "{edge} does not serve {host}: check class, host and path prefixes",
    _S.WRONG_PATH: "another service answers at {host}: check exposure.host and exposure.pathPrefixes",
    _S.REDIRECT: "use https: set exposure.ingress.tls or a TLS listener",
    _S.CERTIFICATE: (
        "set verification.tls.caConfigMapRef to the CA that signed the certificate, or mend the certificate"
        " for {host}"
    ),
    _S.HANDSHAKE: "check that the edge speaks TLS for {host} on this port",
    _S.NAME: "create the DNS record of {host}, or tell the operator the edge's address (chart value edges[])",
    _S.FORBIDDEN_ADDRESS: "tell the operator the edge's address (chart value edges[]), or use https",
    _S.NO_CONNECTION: "check that the edge runs and that a NetworkPolicy lets the operator reach it",
    _S.KEY_BROKEN: "mend the value in Secret {secret}: --from-literal adds no line feed",
    _S.KEY_MISSING: "the edge asks for credentials of its own, or set engine.apiKeySecretRef",
    _S.KEY_REFUSED: "{edge} refuses the key that the model server accepts: check its own authentication",
    _S.UNKNOWN_MODEL: (
        "the route leads to a server that does not serve this model: check host conflicts and "
        "model.servedName"
    ),
    _S.BUSY: _ENGINE[_S.BUSY],
    _S.IN_STREAM: _REPLICA,
    _S.ABORTED: _REPLICA,
    _S.BAD_REQUEST: "check {edge} for limits on requests, and the engine's log",
    _S.NO_TOKEN: "the edge takes requests that never get a first token: check its log and its timeouts",
    _S.NO_DONE: _ASK + "pass streams through to their end",
    _S.UNCLEAR: _ENGINE[_S.UNCLEAR],
}
_KEY = {
    _S.KEY_BROKEN: _ANY[_S.KEY_BROKEN],
    _S.KEY_REFUSED: (
        "Secret {secret} may have changed after the pods started: restart them with kubectl rollout restart"
        " deployment/{workload}"
    ),
    _S.KEY_MISSING: "the model server asks for a key: set engine.apiKeySecretRef to the Secret that holds it",
}
_PLAIN: dict[Symptom, str] = {
    _S.BLOCK: (
        "turn response buffering and gzip of text/event-stream off in the proxies on the way, or probe the "
        "server directly with --via to see whether it is the server"
    ),
    _S.TIMED_BURSTS: "a proxy on the way waits before it sends (HAProxy: option http-no-delay)",
    _S.CERTIFICATE: (
        "give the CA that signed the certificate with --ca, or use the name that the certificate is for"
    ),
    _S.NAME: "check the name, or give the address with --via",
    _S.NO_CONNECTION: "check the address and that the server runs",
    _S.NO_ROUTE: "check the host and the path",
    _S.REDIRECT: "probe the address that it redirects to",
    _S.KEY_MISSING: "name the variable that holds the key with --api-key-env",
    _S.KEY_REFUSED: "check the key",
    _S.UNKNOWN_MODEL: "name a model that /v1/models lists with --model",
    _S.NO_TOKEN: "raise --timeout",
    _S.UNCLEAR: "raise --max-tokens",
}


def remedy(hop: Hop, symptom: Symptom, names: Names) -> str:
    """One sentence, or nothing where there is nothing to advise."""
    return _row(hop, symptom, names).format(
        workload=names.workload,
        secret=names.secret or "of the API key",
        edge=names.edge,
        host=names.host,
        prefix=names.prefix,
    )


def _row(hop: Hop, symptom: Symptom, names: Names) -> str:
    if names.profile is None and not names.workload:
        return _PLAIN.get(symptom, "")
    if symptom in (Symptom.FINE, Symptom.BUNDLED):
        return ""
    if hop is not Hop.EXPOSURE:
        return _KEY.get(symptom) or _ENGINE.get(symptom) or _INSIDE
    return (_EDGE.get(names.profile, {}).get(symptom) if names.profile else None) or _ANY.get(symptom, "")
