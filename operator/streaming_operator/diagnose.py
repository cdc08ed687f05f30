"""
One endpoint looked at from a person's machine: its children, its conditions, and a stream through every hop.

Pod and Service have no address out here: they are asked through the API server, whose own part cannot be told from
theirs and is therefore not judged. The route is asked where its users find it. Nothing is written anywhere.
"""

import ipaddress
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from streaming_operator.api.endpoint import InvalidEndpoint, StreamingEndpoint
from streaming_operator.api.exposure import Checks
from streaming_operator.api.reasons import EXPLAINED, Hop, Reason, Verdict
from streaming_operator.cluster import ClusterReader, EndpointView
from streaming_operator.errors import ClusterError
from streaming_operator.probe import ApiKey, Guard, Occasion, plan_for
from streaming_operator.probe.http import connection
from streaming_operator.probe.http.guard import key_refused
from streaming_operator.probe.verification import Plan, verify
from streaming_operator.values import ProbeResult, Problem

THROUGH = "asked through the API server's port-forward, which is not judged itself: it may hold bytes back"
REACHED_WITHIN = 3.0
"""Seconds for a connection to an address that may be of no use out here."""
_NO_WAY = "nothing is exposed: ask somebody who may forward ports to pods (pods/portforward: get and create)"
_GUARD = Guard(local=True)


class Unknown(Exception):
    """There is no such endpoint; the text names those there are."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What the person chose."""

    namespace: str
    name: str
    via: tuple[str, int | None] | None = None
    """Where the edge listens, if it is not where the cluster says; None as port is the scheme's own."""
    key: ApiKey | None = None
    """Instead of the Secret's."""
    ca: str | None = None
    first_token: float = 120.0
    """Seconds until the first token."""


@dataclass(frozen=True, slots=True)
class State:
    """One object, or one condition, in a line."""

    kind: str
    name: str
    state: str
    healthy: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What was found: a verification, or why there was none to make."""

    model: str | None
    states: tuple[State, ...]
    result: ProbeResult | None = None
    hindrance: tuple[str, str, str, str] = ("", "", "", "")
    """Verdict or reason, hop, evidence and remedy, where nothing was asked."""
    places: dict[Hop, str] = field(default_factory=dict)
    """Pod and port of every hop that was asked through the API server."""


async def diagnose(reader: ClusterReader, wish: Wish, ready: Callable[[Plan, str], Plan]) -> Diagnosis:
    """
    Read, probe and judge; raises `Unknown` and what the API server says.

    *ready* gets the plan and the model's name before anything is asked: a picture adds its callbacks.
    """
    body = await reader.read_endpoint(wish.namespace, wish.name)
    if body is None:
        raise Unknown(_unknown(wish, await reader.names(wish.namespace)))
    try:
        endpoint = StreamingEndpoint.from_body(body)
    except InvalidEndpoint as invalid:
        told = _told(Reason.INVALID_SPEC, "Spec", "; ".join(invalid.problems))
        return Diagnosis(None, _conditions(body), hindrance=told)
    view = await reader.view(endpoint)
    found = Diagnosis(endpoint.served_name, (*_states(endpoint, view), *_conditions(body)))
    hindrance = _hindrance(endpoint, view)
    if hindrance is not None:
        return replace(found, hindrance=hindrance)
    try:
        key, ca = await _key(reader, endpoint, wish), await _ca(reader, endpoint, wish)
    except ClusterError as error:
        told = str(Reason.SECRET_NOT_READABLE), "Secret", str(error), "give it with --api-key-env or --ca"
        return replace(found, hindrance=told)
    async with _hops(reader, endpoint, view) as (inner, places, lost):
        asked = await _asked(endpoint, view, inner, replace(wish, key=key, ca=ca))
        if not asked.targets:
            told = str(Verdict.UNREACHABLE), "Service", "; ".join(dict.fromkeys(lost.values())), _NO_WAY
            return replace(found, hindrance=told)
        if wish.key is None and (risk := await _risk_for_key(asked)) is not None:
            return replace(found, hindrance=risk)
        result = await verify(ready(asked, endpoint.served_name))
    states = (*(_not_asked(hop, why) for hop, why in lost.items()), *found.states)
    return replace(found, result=result, places=places, states=states)


# ---- what is in the way ------------------------------------------------------------------------------------


def _hindrance(endpoint: StreamingEndpoint, view: EndpointView) -> tuple[str, str, str, str] | None:
    """Why asking would tell nothing that is not known already."""
    observed = view.observed
    if endpoint.spec.suspend and not view.pods:
        return _told(Reason.SUSPENDED, "Workload", "spec.suspend is true and no pod runs")
    if observed.desired_replicas == 0:
        return _told(Reason.SCALED_TO_ZERO, "Workload", "spec.replicas is 0: no pod runs")
    if not any(pod.ready for pod in observed.pods):
        problem = observed.workload_problem or Problem(Reason.PODS_PENDING, "no pod is ready")
        return _told(problem.reason, "Workload", problem.message)
    if observed.route is not None and observed.route.problem is not None:
        return _told(observed.route.problem.reason, str(Hop.EXPOSURE), observed.route.problem.message)
    return None


def _told(reason: Reason, hop: str, evidence: str) -> tuple[str, str, str, str]:
    return str(reason), hop, evidence, EXPLAINED[reason].remedy.replace("`", "")


def _unknown(wish: Wish, names: tuple[str, ...]) -> str:
    there = f"there are {', '.join(names)}" if names else "there is none"
    return f"no StreamingEndpoint {wish.name} in namespace {wish.namespace}: {there}"


# ---- whom to ask -------------------------------------------------------------------------------------------


async def _key(reader: ClusterReader, endpoint: StreamingEndpoint, wish: Wish) -> ApiKey | None:
    ref = endpoint.spec.engine.api_key_secret_ref
    if wish.key is not None or ref is None:
        return wish.key
    return ApiKey(await reader.secret_key(endpoint.namespace, ref.name, ref.key))


async def _ca(reader: ClusterReader, endpoint: StreamingEndpoint, wish: Wish) -> str | None:
    ref = endpoint.spec.verification.tls.ca_config_map_ref
    if wish.ca is not None or ref is None:
        return wish.ca
    return await reader.config_map_key(endpoint.namespace, ref.name, ref.key)


@asynccontextmanager
async def _hops(
    reader: ClusterReader, endpoint: StreamingEndpoint, view: EndpointView
) -> AsyncIterator[tuple[tuple[connection.Target, ...], dict[Hop, str], dict[Hop, str]]]:
    """Pod and Service as local targets, where they lead, and why one is missing."""
    targets: list[connection.Target] = []
    places: dict[Hop, str] = {}
    lost: dict[Hop, str] = {}
    async with AsyncExitStack() as stack:
        for hop, chosen in _chosen(endpoint, view).items():
            if chosen is None:
                lost[hop] = "no pod is ready behind it"
                continue
            pod, port = chosen
            try:
                local = await stack.enter_async_context(reader.tunnel(endpoint.namespace, pod, port))
            except ClusterError as error:
                lost[hop] = str(error)
                continue
            targets.append(connection.Target(hop, "127.0.0.1", local))
            places[hop] = f"pod/{pod}:{port}"
        yield tuple(targets), places, lost


def _chosen(endpoint: StreamingEndpoint, view: EndpointView) -> dict[Hop, tuple[str, int] | None]:
    """The pod of each inner hop: the newest that is ready, and one that the Service would pick, another if it can."""
    ready = [pod for pod in view.observed.pods if pod.ready and not pod.terminating]
    newest = [pod for pod in ready if pod.template_hash == view.observed.pod_template_hash]
    pod = next((pod.name for pod in (*newest, *ready)), None)
    behind = sorted(view.behind_service, key=lambda entry: entry[0] == pod)
    return {
        Hop.POD: (pod, endpoint.spec.engine.port) if pod else None,
        Hop.SERVICE: behind[0] if behind else None,
    }


async def _asked(
    endpoint: StreamingEndpoint, view: EndpointView, inner: tuple[connection.Target, ...], wish: Wish
) -> Plan:
    """The operator's own plan for this endpoint, with addresses that lead somewhere from here."""
    planned = plan_for(
        endpoint,
        view.observed,
        capabilities=view.capabilities,
        edge=None,
        key=wish.key,
        ca=wish.ca,
        occasion=Occasion(),
        guard=_GUARD,
        clock=lambda: datetime.now(UTC),
    )
    outer = [target for target in planned.targets if target.hop not in (Hop.POD, Hop.SERVICE)]
    seen = [
        await placed(target, view.addresses, wish.via) if target.hop is Hop.EXPOSURE else target
        for target in outer
    ]
    targets = (*inner, *seen)
    limits = replace(planned.limits, first_token=wish.first_token)
    # Pods' own addresses lead nowhere from here: no gauges, and no replica but the one behind the tunnel.
    checks = Checks(auth=planned.checks.auth)
    inside = replace(planned, replicas=(), gauges=None, checks=checks)
    return replace(inside, targets=targets, limits=limits, every_hop=True)


async def placed(
    target: connection.Target, addresses: tuple[str, ...], via: tuple[str, int | None] | None
) -> connection.Target:
    """The edge where it can be reached: as the person says, else as its status says, else as DNS does."""
    if via is not None:
        address, port = via
        return replace(target, address=address, port=port or target.port)
    for address in addresses:
        found = replace(target, address=address)
        if _usable(address) and await _reached(found):
            return found
    return target


async def _risk_for_key(asked: Plan) -> tuple[str, str, str, str] | None:
    """A key that was read from a Secret goes nowhere that its owner would not send it."""
    for target in asked.targets if asked.key is not None else ():
        try:
            address = (await connection.resolve(target, _GUARD, None)).address
        except connection.NoResponseError:
            continue  # the verification will tell
        if (refusal := key_refused(address, target.scheme)) is not None:
            remedy = f"serve {target.host} over https, or give the key yourself with --api-key-env"
            return str(Verdict.UNREACHABLE), str(target.hop), refusal, remedy
    return None


def _usable(address: str) -> bool:
    """A status may hold loopback addresses, which mean another machine than this one."""
    try:
        return not ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address != "localhost"


async def _reached(target: connection.Target) -> bool:
    try:
        pinned = await connection.resolve(target, _GUARD, None)
    except connection.NoResponseError:
        return False
    return bool(await connection.connect_times(pinned, 1, connection.Limits(connect=REACHED_WITHIN)))


# ---- the children ------------------------------------------------------------------------------------------


def _states(endpoint: StreamingEndpoint, view: EndpointView) -> tuple[State, ...]:
    observed, name = view.observed, endpoint.name
    wanted, ready = observed.desired_replicas, observed.ready_replicas
    problem = observed.workload_problem
    states = [
        State(
            "Deployment",
            name,
            f"{ready}/{wanted} ready, {observed.updated_replicas} of the newest template",
            problem is None and ready == wanted,
            problem.message if problem else "",
        )
    ]
    states += [
        State("Pod", pod, str(why.reason) if why else "ready", why is None, why.message if why else "")
        for pod, why in view.pods
    ]
    behind = len(view.behind_service)
    states.append(State("Service", name, f"{behind} ready addresses", behind > 0))
    if observed.route is not None:
        route = "Ingress" if endpoint.spec.exposure and endpoint.spec.exposure.ingress else "HTTPRoute"
        where = ", ".join(view.addresses) or "no address"
        why = observed.route.problem
        told = why.message if why else ""
        states.append(State(route, name, where, observed.route.admitted, told))
    if view.hidden:
        kinds = ", ".join(view.hidden)
        states.append(
            State("Rights", "yours", f"may not list {kinds}", True, "taken to be as the endpoint says")
        )
    return tuple(states)


def _conditions(body: dict[str, object]) -> tuple[State, ...]:
    """As the operator told them."""
    status = body.get("status")
    told = status.get("conditions") if isinstance(status, dict) else None
    return tuple(
        State(
            "Condition",
            str(entry["type"]),
            f"{entry['status']} ({entry['reason']})",
            entry["status"] == ("False" if entry["type"] in ("Reconciling", "Stalled") else "True"),
            str(entry.get("message") or ""),
        )
        for entry in told or ()
    ) or (State("Condition", "none", "no operator has looked at it yet", False),)


def _not_asked(hop: Hop, why: str) -> State:
    return State("Hop", str(hop), "not asked", False, why)
