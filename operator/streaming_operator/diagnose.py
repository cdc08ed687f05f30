"""
Diagnose one endpoint from a person's machine: its children, its conditions, and a stream through every hop.

Pod and Service have no address outside the cluster: they are asked through the API server's port-forward, whose own
effect cannot be separated from theirs and is therefore not judged. The route is asked at the address of its users.
Nothing is written.
"""

import ipaddress
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from streaming_operator.api.endpoint import InvalidEndpoint, StreamingEndpoint
from streaming_operator.api.reasons import EXPLAINED, Hop, Reason, Verdict
from streaming_operator.api.verification import Checks
from streaming_operator.cluster import ClusterReader, EndpointView
from streaming_operator.errors import ClusterError
from streaming_operator.probe import (
    IDENTITY_KEYS,
    ApiKey,
    Credentials,
    Guard,
    Trigger,
    headers_of,
    identity_of,
    plan_for,
)
from streaming_operator.probe.endpoint_plan import inside
from streaming_operator.probe.http import connection
from streaming_operator.probe.http.request import PATHS
from streaming_operator.probe.http.response import NoResponse
from streaming_operator.probe.verification import Plan, verify
from streaming_operator.values import ProbeResult, Problem

PORT_FORWARD_NOTE = (
    "asked through the API server's port-forward, which is not judged itself: it may hold bytes back"
)
CONNECT_SECONDS = 3.0
"""Limit for a connection to an address of a status, which may lead nowhere from this machine."""
_NO_TARGET = (
    "nothing is exposed: ask somebody who may forward ports to pods (pods/portforward: get and create)"
)


class EndpointNotFound(Exception):
    """There is no such endpoint; the text lists those that exist."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the person chose."""

    namespace: str
    name: str
    via: tuple[str, int | None] | None = None
    """IP and port of the edge instead of those that the cluster gives; None as port is the scheme's default."""
    key: ApiKey | None = None
    """Used instead of the key in the endpoint's Secret."""
    ca: str | None = None
    first_token: float = 120.0
    """Seconds until the first token."""


@dataclass(frozen=True, slots=True)
class ObjectState:
    """The state of one object, or of one condition, in a line."""

    kind: str
    name: str
    state: str
    healthy: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class NotVerified:
    """Why no stream was started."""

    cause: str
    """A verdict or a reason."""
    hop: str
    evidence: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The objects' states, with a verification or the reason why there is none."""

    model: str | None
    states: tuple[ObjectState, ...]
    result: ProbeResult | None = None
    not_verified: NotVerified | None = None
    forwarded: dict[Hop, str] = field(default_factory=dict)
    """Pod and port of every hop that was asked through the API server."""


async def diagnose(
    reader: ClusterReader, options: Options, prepare: Callable[[Plan, str], Plan]
) -> Diagnosis:
    """
    Read the endpoint and its children, then verify it; raises `EndpointNotFound` and `ClusterError`.

    *prepare* gets the plan and the model's name before the first request, so that a caller can add its callbacks.
    """
    body = await reader.read_endpoint(options.namespace, options.name)
    if body is None:
        raise EndpointNotFound(_not_found(options, await reader.names(options.namespace)))
    try:
        endpoint = StreamingEndpoint.from_body(body)
    except InvalidEndpoint as invalid:
        cause = _explained(Reason.INVALID_SPEC, "Spec", "; ".join(invalid.problems))
        return Diagnosis(None, _conditions(body), not_verified=cause)
    view = await reader.view(endpoint)
    diagnosis = Diagnosis(endpoint.served_name, (*_states(endpoint, view), *_conditions(body)))
    if (shown := _not_verifiable(endpoint, view)) is not None:
        return replace(diagnosis, not_verified=shown)
    try:
        credentials = await _credentials(reader, endpoint, options)
    except ClusterError as error:
        remedy = (
            "give a key with --api-key-env, a CA bundle with --ca; what else it is must be readable for you"
        )
        return replace(
            diagnosis,
            not_verified=NotVerified(str(Reason.SECRET_NOT_READABLE), "Secret", str(error), remedy),
        )
    # A header from a Secret goes over plain http to no public address, whoever gave the key beside it.
    guard = Guard(local=True, own_key=options.key is not None and not credentials.headers)
    async with _inner_hops(reader, endpoint, view) as (inner, forwarded, unavailable):
        plan = await _plan(endpoint, view, inner, options, credentials, guard)
        if not plan.targets:
            evidence = "; ".join(dict.fromkeys(unavailable.values()))
            cause = NotVerified(str(Verdict.UNREACHABLE), "Service", evidence, _NO_TARGET)
            return replace(diagnosis, not_verified=cause)
        pinned = await pin(plan)
        if isinstance(pinned, NotVerified):
            return replace(diagnosis, not_verified=pinned)
        result = await verify(prepare(pinned, endpoint.served_name))
    states = (*(_not_asked(hop, why) for hop, why in unavailable.items()), *diagnosis.states)
    return replace(diagnosis, result=result, forwarded=forwarded, states=states)


# ---- why there is nothing to verify ------------------------------------------------------------------------


def _not_verifiable(endpoint: StreamingEndpoint, view: EndpointView) -> NotVerified | None:
    """What the children already show: a stream would tell no more."""
    observed = view.observed
    if endpoint.spec.suspend and not view.pods:
        return _explained(Reason.SUSPENDED, "Workload", "spec.suspend is true and no pod runs")
    if observed.desired_replicas == 0:
        return _explained(Reason.SCALED_TO_ZERO, "Workload", "spec.replicas is 0: no pod runs")
    if not any(pod.ready for pod in observed.pods):
        problem = observed.workload_problem or Problem(Reason.PODS_PENDING, "no pod is ready")
        return _explained(problem.reason, "Workload", problem.message)
    if observed.route is not None and observed.route.problem is not None:
        return _explained(observed.route.problem.reason, str(Hop.EXPOSURE), observed.route.problem.message)
    return None


def _explained(reason: Reason, hop: str, evidence: str) -> NotVerified:
    return NotVerified(str(reason), hop, evidence, EXPLAINED[reason].remedy.replace("`", ""))


def _not_found(options: Options, names: tuple[str, ...]) -> str:
    existing = f"there are {', '.join(names)}" if names else "there is none"
    return f"no StreamingEndpoint {options.name} in namespace {options.namespace}: {existing}"


# ---- the plan ----------------------------------------------------------------------------------------------


async def _credentials(reader: ClusterReader, endpoint: StreamingEndpoint, options: Options) -> Credentials:
    """As the operator reads them, with the person's own key and CA bundle before those of the cluster."""
    namespace, verification = endpoint.namespace, endpoint.spec.verification
    key, ca = await _key(reader, endpoint, options), await _ca(reader, endpoint, options)
    made = Credentials(key, ca)
    if (ref := verification.headers_secret_ref) is not None:
        entries = await reader.secret_entries(namespace, ref.name)
        made = replace(made, headers=headers_of(f"{namespace}/{ref.name}", entries))
    if (ref := verification.tls.client_cert_secret_ref) is not None:
        entries = await reader.secret_entries(namespace, ref.name, IDENTITY_KEYS)
        made = replace(made, identity=identity_of(f"{namespace}/{ref.name}", entries))
    return made


async def _key(reader: ClusterReader, endpoint: StreamingEndpoint, options: Options) -> ApiKey | None:
    ref = endpoint.spec.engine.api_key_secret_ref
    if options.key is not None or ref is None:
        return options.key
    return ApiKey(await reader.secret_key(endpoint.namespace, ref.name, ref.key))


async def _ca(reader: ClusterReader, endpoint: StreamingEndpoint, options: Options) -> str | None:
    ref = endpoint.spec.verification.tls.ca_config_map_ref
    if options.ca is not None or ref is None:
        return options.ca
    return await reader.config_map_key(endpoint.namespace, ref.name, ref.key)


@asynccontextmanager
async def _inner_hops(
    reader: ClusterReader, endpoint: StreamingEndpoint, view: EndpointView
) -> AsyncIterator[tuple[tuple[connection.Target, ...], dict[Hop, str], dict[Hop, str]]]:
    """Pod and Service as local targets, the pod and port behind each, and why one is unavailable."""
    targets: list[connection.Target] = []
    forwarded: dict[Hop, str] = {}
    unavailable: dict[Hop, str] = {}
    async with AsyncExitStack() as stack:
        for hop, pod_port in _pods_to_ask(endpoint, view).items():
            if pod_port is None:
                unavailable[hop] = "no pod is ready behind it"
                continue
            pod, port = pod_port
            try:
                local = await stack.enter_async_context(reader.tunnel(endpoint.namespace, pod, port))
            except ClusterError as error:
                unavailable[hop] = str(error)
                continue
            targets.append(inside(endpoint, connection.Target(hop, "127.0.0.1", local)))
            forwarded[hop] = f"pod/{pod}:{port}"
        yield tuple(targets), forwarded, unavailable


def _pods_to_ask(endpoint: StreamingEndpoint, view: EndpointView) -> dict[Hop, tuple[str, int] | None]:
    """The pod of each inner hop: the newest that is ready, and one behind the Service, another if there is one."""
    ready = [pod for pod in view.observed.pods if pod.ready and not pod.terminating]
    newest = [pod for pod in ready if pod.template_hash == view.observed.pod_template_hash]
    pod = next((pod.name for pod in (*newest, *ready)), None)
    behind = sorted(view.behind_service, key=lambda entry: entry[0] == pod)
    return {
        Hop.POD: (pod, endpoint.spec.engine.port) if pod else None,
        Hop.SERVICE: behind[0] if behind else None,
    }


async def _plan(
    endpoint: StreamingEndpoint,
    view: EndpointView,
    inner: tuple[connection.Target, ...],
    options: Options,
    credentials: Credentials,
    guard: Guard,
) -> Plan:
    """The operator's own plan for this endpoint, with addresses that can be reached from this machine."""
    plan = plan_for(
        endpoint,
        view.observed,
        capabilities=view.capabilities,
        edge=None,
        credentials=credentials,
        trigger=Trigger(),
        guard=guard,
        clock=lambda: datetime.now(UTC),
        canaries=view.canary_headers,
    )
    outer = [
        await reachable(target, view.addresses, options.via) if target.hop is Hop.EXPOSURE else target
        for target in plan.targets
        if target.hop not in (Hop.POD, Hop.SERVICE)
    ]
    targets = (*(replace(target, path=PATHS[plan.api]) for target in inner), *outer)
    further = [
        replace(one, target=targets[-1])
        if one.target in plan.targets  # an adapter: where its model is asked
        else replace(one, target=await reachable(one.target, view.addresses, options.via))
        for one in plan.further
        if targets
    ]
    limits = replace(plan.limits, first_token=options.first_token)
    # The pods' own addresses lead nowhere from here: no gauges, and no replica but the forwarded one.
    checks = Checks(auth=plan.checks.auth)
    return replace(
        plan,
        replicas=(),
        gauges=None,
        further=tuple(further),
        checks=checks,
        targets=targets,
        limits=limits,
        every_hop=True,
    )


async def reachable(
    target: connection.Target, addresses: tuple[str, ...], via: tuple[str, int | None] | None
) -> connection.Target:
    """The edge at *via*, else at the first address of its status that accepts connections, else by its host's DNS."""
    if via is not None:
        address, port = via
        return replace(target, address=address, port=port or target.port)
    for address in addresses:
        if _is_loopback(address):
            continue  # it means another machine than this one
        pinned = await _connectable(replace(target, address=address))
        if pinned is not None:
            return pinned
    return target


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


async def _connectable(target: connection.Target) -> connection.Target | None:
    """The target with the address that accepted a connection; None where there is none."""
    try:
        pinned = await connection.resolve(target, Guard(local=True), None)
    except connection.NoResponseError:
        return None
    limits = connection.Limits(connect=CONNECT_SECONDS)
    return pinned if await connection.connect_times(pinned, 1, limits) else None


async def pin(plan: Plan) -> Plan | NotVerified:
    """
    Resolve every name once: the address that is judged is the one that gets the key.

    A name without an address stays, and the verification reports it; should it resolve by then, the plan's guard
    judges that address. A key from a Secret goes over plain http to no public address.
    """
    pinned: dict[connection.Target, connection.Target] = {}
    for target in (*plan.targets, *(further.target for further in plan.further)):
        if target in pinned:
            continue
        try:
            pinned[target] = await connection.resolve(target, plan.guard, plan.key)
        except connection.NoResponseError as error:
            if error.cause is NoResponse.REFUSED_BY_US:
                remedy = f"serve {target.host} over https, or give the key yourself with --api-key-env"
                return NotVerified(str(Verdict.UNREACHABLE), str(target.hop), error.detail, remedy)
            pinned[target] = target
    return replace(
        plan,
        targets=tuple(pinned[target] for target in plan.targets),
        further=tuple(replace(further, target=pinned[further.target]) for further in plan.further),
    )


# ---- the children ------------------------------------------------------------------------------------------


def _states(endpoint: StreamingEndpoint, view: EndpointView) -> tuple[ObjectState, ...]:
    observed, name = view.observed, endpoint.name
    desired, ready = observed.desired_replicas, observed.ready_replicas
    problem = observed.workload_problem
    states = [
        ObjectState(
            "Deployment",
            name,
            f"{ready}/{desired} ready, {observed.updated_replicas} of the newest template",
            problem is None and ready == desired,
            problem.message if problem else "",
        )
    ]
    for pod, problem, image in view.pods:
        state = str(problem.reason) if problem else "ready"
        detail = problem.message if problem else f"image {image}" if image else ""
        states.append(ObjectState("Pod", pod, state, problem is None, detail))
    behind = len(view.behind_service)
    states.append(ObjectState("Service", name, f"{behind} ready addresses", behind > 0))
    if observed.route is not None:
        kind = "Ingress" if endpoint.spec.exposure and endpoint.spec.exposure.ingress else "HTTPRoute"
        addresses = ", ".join(view.addresses) or "no address"
        problem = observed.route.problem
        detail = problem.message if problem else ""
        states.append(ObjectState(kind, name, addresses, observed.route.admitted, detail))
    if view.hidden:
        kinds = ", ".join(view.hidden)
        states.append(
            ObjectState("Rights", "yours", f"may not list {kinds}", True, "taken to be as the endpoint says")
        )
    return tuple(states)


def _conditions(body: dict[str, object]) -> tuple[ObjectState, ...]:
    """The conditions of the status, as the operator wrote them."""
    status = body.get("status")
    conditions = status.get("conditions") if isinstance(status, dict) else None
    return tuple(
        ObjectState(
            "Condition",
            str(entry["type"]),
            f"{entry['status']} ({entry['reason']})",
            entry["status"] == ("False" if entry["type"] in ("Reconciling", "Stalled") else "True"),
            str(entry.get("message") or ""),
        )
        for entry in conditions or ()
    ) or (ObjectState("Condition", "none", "no operator has looked at it yet", False),)


def _not_asked(hop: Hop, why: str) -> ObjectState:
    return ObjectState("Hop", str(hop), "not asked", False, why)
