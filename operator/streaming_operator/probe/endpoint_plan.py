"""
Makes the plan of one verification for an endpoint and its observed children. Pure.

The outermost hop decides the verdict: the public URL if the spec has one, else the edge if the endpoint is exposed,
else the Service.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from urllib.parse import urlsplit

from streaming_operator import engines
from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.api.exposure import ProbedApi
from streaming_operator.api.reasons import Hop
from streaming_operator.probe.credentials import Credentials
from streaming_operator.probe.gauges import Gauges
from streaming_operator.probe.http.connection import Limits, Target
from streaming_operator.probe.http.guard import Guard
from streaming_operator.probe.http.request import PATHS, Api
from streaming_operator.probe.judge.remedies import Names
from streaming_operator.probe.plan import Plan, Replica
from streaming_operator.routes import UsersAddress, edge_of, users_address
from streaming_operator.routes.base import service_port
from streaming_operator.values import Capabilities, Edge, EdgeAddress, Observed

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
) -> Plan:
    """
    The targets of the verification, the request, and what the result refers to.

    *edge* is None when the address of the edge is not known in the cluster: then the host is resolved by DNS.
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
    return Plan(
        targets=_targets(
            endpoint, observed, replicas, users_address(endpoint, capabilities), edge, credentials, PATHS[api]
        ),
        api=api,
        model=endpoint.served_name,
        source=engine.source(endpoint),
        names=_names(endpoint, edge_of(endpoint, capabilities)),
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
        ask_adapters=not trigger.routine,
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


def _targets(
    endpoint: StreamingEndpoint,
    observed: Observed,
    replicas: tuple[Replica, ...],
    users: UsersAddress | None,
    edge: EdgeAddress | None,
    credentials: Credentials,
    path: str,
) -> tuple[Target, ...]:
    """One target a hop, from the engine outwards; a hop without an address is left out."""
    targets = [replica.target for replica in replicas[:1]]
    if observed.service_address is not None:
        address, port = observed.service_address, service_port(endpoint).number
        service = Target(Hop.SERVICE, address, port, path=path, named_by_cluster=True)
        targets.append(inside(endpoint, service, credentials.ca))
    public = endpoint.spec.verification.public_url
    if users is not None:
        listening = edge or EdgeAddress(users.host)
        known_port = listening.https_port if users.scheme == "https" else listening.http_port
        targets.append(
            Target(
                Hop.EXPOSURE,
                listening.address,
                known_port or users.port,
                scheme=users.scheme,
                host=users.authority,
                path=path,
                ca=credentials.ca,
                named_by_cluster=edge is not None,
                headers=credentials.headers,
                identity=credentials.identity if users.scheme == "https" else None,
            )
        )
    return (*targets, *([_public(public, credentials, path)] if public else []))


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


def _names(endpoint: StreamingEndpoint, edge: Edge | None) -> Names:
    """The names that the remedies use."""
    exposure, ref = endpoint.spec.exposure, endpoint.spec.engine.api_key_secret_ref
    edge_name = "the edge"
    if exposure is not None and exposure.ingress is not None:
        edge_name = f"IngressClass {exposure.ingress.class_name}"
    elif exposure is not None and exposure.http_route is not None:
        edge_name = f"Gateway {exposure.http_route.parent_refs[0].name}"
    return Names(
        workload=endpoint.name,
        secret=ref.name if ref else None,
        profile=edge.profile if edge else None,
        edge=edge_name,
        host=exposure.host if exposure else "",
        prefix=edge.annotations_prefix if edge else "nginx.ingress.kubernetes.io",
    )
