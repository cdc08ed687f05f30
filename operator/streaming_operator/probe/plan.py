"""
From an endpoint and what was observed of it to the plan of one verification. Pure.

The outermost hop judges: the edge when the endpoint is exposed, else the Service.
"""

from collections.abc import Callable
from datetime import datetime

from streaming_operator.api.conditions import Hop
from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.facts import Capabilities, Edge, EdgeAddress, Observed
from streaming_operator.probe.hops import Plan
from streaming_operator.probe.remedies import Names
from streaming_operator.probe.request import ApiKey
from streaming_operator.probe.safety import Guard
from streaming_operator.probe.wire import Limits, Target
from streaming_operator.routes import edge_of

CAP_TOKENS = 1024
"""The most tokens one stream asks for."""
PROMPT_ROOM = 256
"""Tokens of the model's length that prompt and chat template get."""
ROUTINE_FIRST_TOKEN = 120.0
"""Patience in seconds once the endpoint has streamed: graphs are compiled by then."""
GENERATION = 300.0
"""Seconds for the tokens after the first: 1,024 of a very slow model."""


def plan(
    endpoint: StreamingEndpoint,
    observed: Observed,
    *,
    capabilities: Capabilities,
    edge: EdgeAddress | None,
    key: ApiKey | None,
    ca: str | None,
    routine: bool,
    guard: Guard,
    clock: Callable[[], datetime],
) -> Plan:
    """
    Say whom to ask, for what, and what the result will speak of.

    *edge* is None when nothing in the cluster tells where the edge listens: then DNS of the host does.
    A *routine* verification costs one stream; others ask with and without compression.
    """
    verification = endpoint.spec.verification
    length = endpoint.spec.engine.max_model_len
    cap = CAP_TOKENS if length is None else max(16, min(CAP_TOKENS, length - PROMPT_ROOM))
    first_token = float(verification.first_request_timeout_seconds)
    if routine:
        first_token = min(first_token, ROUTINE_FIRST_TOKEN)
    return Plan(
        targets=_targets(endpoint, observed, edge, ca),
        model=endpoint.served_name,
        names=_names(endpoint, edge_of(endpoint, capabilities)),
        key=key,
        prompt=verification.request.prompt,
        start_tokens=min(verification.request.max_tokens, cap),
        cap_tokens=cap,
        encodings=("gzip",) if routine else ("gzip", "identity"),
        limits=Limits(first_token=first_token, total=first_token + GENERATION),
        guard=guard,
        pod_template_hash=observed.pod_template_hash or "",
        route_hash=observed.route_hash,
        ready_pods=frozenset(pod.name for pod in observed.pods if pod.ready and not pod.terminating),
        clock=clock,
    )


def _targets(
    endpoint: StreamingEndpoint, observed: Observed, edge: EdgeAddress | None, ca: str | None
) -> tuple[Target, ...]:
    """One target a hop, from the engine outwards; a hop without an address is left out."""
    targets = []
    newest = (pod for pod in observed.pods if pod.ready and not pod.terminating)
    pod = next((pod for pod in newest if pod.ip and pod.template_hash == observed.pod_template_hash), None)
    if pod is not None and pod.ip is not None:
        targets.append(Target(Hop.POD, pod.ip, endpoint.spec.engine.port))
    if observed.service_address is not None:
        targets.append(Target(Hop.SERVICE, observed.service_address, 80))
    exposure = endpoint.spec.exposure
    if exposure is not None:
        where = edge or EdgeAddress(exposure.host)
        tls = exposure.ingress is not None and exposure.ingress.tls is not None
        targets.append(
            Target(
                Hop.EXPOSURE,
                where.address,
                where.https_port if tls else where.http_port,
                scheme="https" if tls else "http",
                host=exposure.host,
                ca=ca,
            )
        )
    return tuple(targets)


def _names(endpoint: StreamingEndpoint, edge: Edge | None) -> Names:
    """What the remedies call things."""
    exposure, ref = endpoint.spec.exposure, endpoint.spec.engine.api_key_secret_ref
    called = "the edge"
    if exposure is not None and exposure.ingress is not None:
        called = f"IngressClass {exposure.ingress.class_name}"
    elif exposure is not None and exposure.http_route is not None:
        called = f"Gateway {exposure.http_route.parent_refs[0].name}"
    return Names(
        workload=endpoint.name,
        secret=ref.name if ref else None,
        profile=edge.profile if edge else None,
        edge=called,
        host=exposure.host if exposure else "",
        prefix=edge.annotations_prefix if edge else "nginx.ingress.kubernetes.io",
    )
