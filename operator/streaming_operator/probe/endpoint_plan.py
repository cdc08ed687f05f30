"""
Makes the plan of one verification for an endpoint and its observed children. Pure.

The outermost hop decides the verdict: the public URL if the spec has one, else the edge if the endpoint is exposed,
else the Service.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import datetime
from urllib.parse import urlsplit

from streaming_operator import engines
from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.api.reasons import Hop
from streaming_operator.api.verification import ProbedApi
from streaming_operator.probe.credentials import Credentials
from streaming_operator.probe.gauges import Gauges
from streaming_operator.probe.http.connection import Limits, Target
from streaming_operator.probe.http.guard import Guard
from streaming_operator.probe.http.request import PATHS, Api, ApiKey, ExtraHeader
from streaming_operator.probe.judge.remedies import Names
from streaming_operator.probe.plan import Further, Plan, Replica
from streaming_operator.routes import UsersAddress, edge_of, users_address
from streaming_operator.routes.base import service_port
from streaming_operator.routes.listeners import gateway_of
from streaming_operator.values import Capabilities, EdgeAddress, Observed

_API: dict[ProbedApi, Api] = {"Chat": "chat", "Completions": "completions", "Responses": "responses"}
CAP_TOKENS = 1024
"""The most tokens of one stream."""
PROMPT_ROOM = 256
"""Tokens of the model's length that are reserved for prompt and chat template."""
ROUTINE_FIRST_TOKEN = 120.0
"""Limit for the first token in seconds once the endpoint has streamed: its graphs are compiled by then."""
GENERATION = 300.0
"""Limit in seconds for the tokens after the first: 1,024 of a very slow model."""


@dataclass(frozen=True, slots=True)
class Trigger:
    """Why a verification is made, which decides what it costs and what it judges."""

    routine: bool = False
    """The endpoint streamed before and only the interval has passed: one stream, with a shorter first-token limit."""
    warm: bool = False
    """The same pods have streamed before: the time to the first token is what users get, and is judged."""
    may_skip: bool = False
    """It may be skipped while the engine's queue is full."""


def plan_for(
    endpoint: StreamingEndpoint,
    observed: Observed,
    *,
    capabilities: Capabilities,
    edge: EdgeAddress | None,
    credentials: Credentials,
    trigger: Trigger,
    guard: Guard,
    clock: Callable[[], datetime],
    quotes: bool = True,
    canaries: Collection[str] = (),
) -> Plan:
    """
    The targets of the verification, the request, and what the result refers to.

    *edge* is None when the address of the edge is not known in the cluster: then the host is resolved by DNS.
    *canaries* are the headers by which canaries of this endpoint are asked: its own probe does not mean them.
    """
    verification, engine = endpoint.spec.verification, engines.select(endpoint)
    api = _API[verification.request.api]
    length = endpoint.spec.engine.max_model_len
    cap = CAP_TOKENS if length is None else max(16, min(CAP_TOKENS, length - PROMPT_ROOM))
    first_token = float(verification.first_request_timeout_seconds)
    if trigger.routine and trigger.warm:
        first_token = min(first_token, ROUTINE_FIRST_TOKEN)
    thresholds = verification.thresholds
    replicas = _replicas(endpoint, observed, PATHS[api])
    routing = _routing(endpoint, canaries)
    credentials = replace(credentials, headers=(*credentials.headers, *routing))
    inner = _inner(endpoint, observed, replicas, credentials.ca, PATHS[api])
    outer = _outer(endpoint, capabilities, edge, credentials, PATHS[api])
    return Plan(
        targets=(*inner, *outer),
        api=api,
        model=endpoint.served_name,
        source=engine.source(endpoint),
        names=_names(endpoint, capabilities),
        key=credentials.key,
        prompt=verification.request.prompt,
        start_tokens=min(verification.request.max_tokens, cap),
        cap_tokens=cap,
        encodings=("gzip",) if trigger.routine else ("gzip", "identity"),
        limits=Limits(first_token=first_token, total=first_token + GENERATION),
        guard=guard,
        pod_template_hash=observed.pod_template_hash or "",
        route_hash=observed.route_hash,
        ready_pods=observed.ready_pods,
        replicas=replicas,
        gauges=Gauges(engine.metrics_path, engine.running_gauge, engine.waiting_gauge),
        may_skip=trigger.may_skip,
        checks=verification.checks,
        max_ttft=_seconds(thresholds.ttft_milliseconds) if trigger.warm else None,
        max_gap=_seconds(thresholds.max_gap_milliseconds),
        quotes=quotes,
        keep_alive=float(engine.keep_alive_seconds(endpoint)),
        other_names=endpoint.served_names[1:],
        adapters=engine.adapters(endpoint),
        further=()
        if trigger.routine
        else _further(endpoint, capabilities, (*inner, *outer), edge, credentials, PATHS[api]),
        clock=clock,
    )


def _seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000


def inside(endpoint: StreamingEndpoint, target: Target, ca: str | None = None) -> Target:
    """
    A hop before the edge, by HTTPS where the pods speak it. Their certificate is not checked, as kubelets do: they are
    asked by addresses. Where the Service is the users' own address and has a *ca*, it is, for the Service's name.
    """
    if endpoint.spec.engine.tls is None:
        return target
    users = endpoint.spec.exposure is None and endpoint.spec.verification.public_url is None
    if ca is None or not users or target.hop is not Hop.SERVICE:
        return replace(target, scheme="https", insecure=True)
    return replace(target, scheme="https", ca=ca, host=f"{endpoint.name}.{endpoint.namespace}.svc")


def _replicas(endpoint: StreamingEndpoint, observed: Observed, path: str) -> tuple[Replica, ...]:
    """Every ready pod of the newest template."""
    port = endpoint.spec.engine.port
    return tuple(
        Replica(
            pod.name,
            inside(endpoint, Target(Hop.POD, pod.ip, port, path=path, named_by_cluster=True)),
        )
        for pod in observed.pods
        if pod.ready and not pod.terminating and pod.ip and pod.template_hash == observed.pod_template_hash
    )


def _routing(endpoint: StreamingEndpoint, canaries: Collection[str]) -> tuple[ExtraHeader, ...]:
    """The headers that lead to this endpoint and to no canary of it, where edges divide the requests of its host."""
    exposure = endpoint.spec.exposure
    own = {exposure.canary.header: "always"} if exposure is not None and exposure.canary is not None else {}
    values = dict.fromkeys(sorted(canaries), "never") | own
    return tuple(ExtraHeader(name, ApiKey(value), routes=True) for name, value in values.items())


def _inner(
    endpoint: StreamingEndpoint,
    observed: Observed,
    replicas: tuple[Replica, ...],
    ca: str | None,
    path: str,
) -> tuple[Target, ...]:
    """A pod and the Service; one without an address is left out."""
    targets = [replica.target for replica in replicas[:1]]
    if observed.service_address is not None:
        address, port = observed.service_address, service_port(endpoint).number
        service = Target(Hop.SERVICE, address, port, path=path, named_by_cluster=True)
        targets.append(inside(endpoint, service, ca))
    return tuple(targets)


def _outer(
    endpoint: StreamingEndpoint,
    capabilities: Capabilities,
    edge: EdgeAddress | None,
    credentials: Credentials,
    path: str,
) -> tuple[Target, ...]:
    """The edge, then the public URL; what the spec does not have is left out."""
    public, users = endpoint.spec.verification.public_url, users_address(endpoint, capabilities)
    exposed = [_exposed(users, edge, credentials, path)] if users is not None else []
    return (*exposed, *([_public(public, credentials, path)] if public else []))


def _exposed(users: UsersAddress, edge: EdgeAddress | None, credentials: Credentials, path: str) -> Target:
    """The edge at its own address, as users of that host call it."""
    listening = edge or EdgeAddress(users.host)
    port = listening.https_port if users.scheme == "https" else listening.http_port
    return Target(
        Hop.EXPOSURE,
        listening.address,
        port or users.port,
        scheme=users.scheme,
        host=users.authority,
        path=f"{users.prefix}{path}",
        ca=credentials.ca,
        named_by_cluster=edge is not None,
        headers=credentials.headers,
        identity=credentials.identity if users.scheme == "https" else None,
    )


def _further(
    endpoint: StreamingEndpoint,
    capabilities: Capabilities,
    targets: tuple[Target, ...],
    edge: EdgeAddress | None,
    credentials: Credentials,
    path: str,
) -> tuple[Further, ...]:
    """Every adapter by its own name where users ask for it, and the model at each further host."""
    adapters = engines.select(endpoint).adapters(endpoint) if targets else ()
    asked = [Further(f"adapter {name}", name, targets[-1]) for name in adapters]
    hosts = endpoint.spec.exposure.hosts if endpoint.spec.exposure is not None else ()
    for host in hosts:
        users = users_address(endpoint, capabilities, host)
        if users is not None:
            target = _exposed(users, edge, credentials, path)
            asked.append(Further(f"host {host}", endpoint.served_name, target))
    return tuple(asked)


def _public(url: str, credentials: Credentials, path: str) -> Target:
    """The target of the public URL: its name is chosen by the author of the endpoint and resolved by DNS."""
    parts = urlsplit(url)
    tls = parts.scheme == "https"
    return Target(
        Hop.PUBLIC,
        parts.hostname or "",
        parts.port or (443 if tls else 80),
        scheme="https" if tls else "http",
        host=parts.netloc,
        path=f"{parts.path}{path}",
        ca=credentials.ca,
        headers=credentials.headers,
        identity=credentials.identity if tls else None,
    )


def _names(endpoint: StreamingEndpoint, capabilities: Capabilities) -> Names:
    """The names that the remedies use."""
    exposure, ref = endpoint.spec.exposure, endpoint.spec.engine.api_key_secret_ref
    edge = edge_of(endpoint, capabilities)
    edge_name = "the edge"
    if exposure is not None and exposure.ingress is not None:
        edge_name = f"IngressClass {exposure.ingress.class_name}"
    elif exposure is not None and exposure.http_route is not None:
        gateway = gateway_of(endpoint, capabilities)
        edge_name = (
            f"Gateway {gateway.partition('/')[2] if gateway else exposure.http_route.parent_refs[0].name}"
        )
    return Names(
        workload=endpoint.name,
        secret=ref.name if ref else None,
        profile=edge.profile if edge else None,
        edge=edge_name,
        host=exposure.host if exposure else "",
        prefix=edge.annotations_prefix if edge else "nginx.ingress.kubernetes.io",
    )
