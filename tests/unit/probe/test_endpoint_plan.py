"""From an endpoint and what is observed of it to a question: whom, how patiently, and what is judged."""

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from streaming_operator import probe
from streaming_operator.api.reasons import Hop
from streaming_operator.api.verification import Checks
from streaming_operator.probe.http.request import ExtraHeader
from streaming_operator.probe.http.tls import ClientCertificate
from streaming_operator.values import Capabilities, Edge, EdgeAddress, ObservedPod
from tests.unit.status.worlds import CAPABILITIES, NOON, an_endpoint, observed

EDGE = EdgeAddress("10.0.0.1", 80, 443)
ROUTINE = probe.Trigger(routine=True, warm=True, may_skip=True)


def planned(
    edge: EdgeAddress | None = EDGE,
    trigger: probe.Trigger = ROUTINE,
    world: Any = None,
    verification: dict[str, Any] | None = None,
    credentials: probe.Credentials | None = None,
    canaries: Collection[str] = (),
    capabilities: Capabilities = CAPABILITIES,
    **spec: Any,
) -> probe.Plan:
    """The plan for the four-line resource, with parts replaced."""
    return probe.plan_for(
        an_endpoint(verification=verification or {}, **spec),
        world or observed(),
        capabilities=capabilities,
        edge=edge,
        credentials=credentials or probe.Credentials(),
        trigger=trigger,
        guard=probe.Guard(),
        clock=lambda: NOON,
        canaries=canaries,
    )


def test_hops_from_the_engine_outwards() -> None:
    """Pod, Service, edge with the users' host, and the public URL where there is one."""
    plan = planned(verification={"publicURL": "https://llm.example.com:8443/qwen"})
    assert [(target.hop, str(target), target.path, target.named_by_cluster) for target in plan.targets] == [
        (Hop.POD, "http://10.0.0.7:8000", "/v1/chat/completions", True),
        (Hop.SERVICE, "http://10.96.0.9:80", "/v1/chat/completions", True),
        (Hop.EXPOSURE, "http://10.0.0.1:80", "/v1/chat/completions", True),
        (Hop.PUBLIC, "https://llm.example.com:8443", "/qwen/v1/chat/completions", False),
    ]
    assert (plan.targets[2].host, plan.targets[3].host) == ("qwen.example.com", "llm.example.com:8443")


def test_an_edge_that_only_dns_knows_is_not_trusted() -> None:
    """Nobody in the cluster says where it listens: the host's DNS does, and its author may have written that."""
    exposure = planned(edge=None).targets[-1]
    assert (exposure.address, exposure.named_by_cluster) == ("qwen.example.com", False)


def test_without_exposure_the_service_judges_unless_there_is_a_public_url() -> None:
    """Somebody else may have exposed it."""
    assert planned(edge=None, exposure=None).targets[-1].hop is Hop.SERVICE
    public = planned(edge=None, exposure=None, verification={"publicURL": "http://llm.example.com"})
    assert (public.targets[-1].hop, public.targets[-1].port) == (Hop.PUBLIC, 80)


def test_every_ready_pod_of_the_newest_template_is_a_replica() -> None:
    """Not those on their way out, not ready, without an address, or of an older template."""
    good = ObservedPod("a", "10.0.0.7", True, "t1")
    pods = (
        replace(good, name="leaving", terminating=True),
        replace(good, name="loading", ready=False),
        replace(good, name="unplaced", ip=None),
        replace(good, name="old", template_hash="t0"),
        good,
        replace(good, name="b", ip="10.0.0.8"),
    )
    plan = planned(world=observed(pods=pods))
    assert [replica.pod for replica in plan.replicas] == ["a", "b"]
    assert plan.targets[0].address == "10.0.0.7"


def test_routine_costs_one_stream() -> None:
    """Only the first verification, and one after a failure, asks with and without gzip."""
    assert (len(planned().encodings), len(planned(trigger=probe.Trigger()).encodings)) == (1, 2)


def test_the_first_request_may_take_long_and_its_ttft_is_not_judged() -> None:
    """Graphs compile after a start, and on each new pod; a warm endpoint answers in less, or is too slow."""
    limits = {"firstRequestTimeoutSeconds": 900, "thresholds": {"ttftMilliseconds": 1500}}
    cold, warm = planned(trigger=probe.Trigger(), verification=limits), planned(verification=limits)
    new_pod = planned(trigger=probe.Trigger(routine=True), verification=limits)
    assert (cold.limits.first_token, cold.max_ttft) == (900, None)
    assert (new_pod.limits.first_token, new_pod.max_ttft) == (900, None)
    assert (warm.limits.first_token, warm.max_ttft) == (120, 1.5)


def test_enabled_checks_are_planned() -> None:
    """Checks, the longest gap, the engine's gauges and its promise of comments."""
    checks = {"perReplica": True, "cancel": True}
    plan = planned(verification={"checks": checks, "thresholds": {"maxGapMilliseconds": 250}})
    assert (plan.checks, plan.max_gap, plan.keep_alive) == (Checks(per_replica=True, cancel=True), 0.25, 15.0)
    assert plan.gauges is not None
    assert plan.gauges.waiting == "vllm:num_requests_waiting"
    assert (planned().checks, planned().max_gap) == (Checks(), None)


def test_the_api_of_the_spec_at_every_hop() -> None:
    """The request and the paths of all hops and replicas are of one API; chat by default."""
    assert planned().api == "chat"
    for api, path in (("Completions", "/v1/completions"), ("Responses", "/v1/responses")):
        plan = planned(verification={"publicURL": "https://llm.example.com/qwen", "request": {"api": api}})
        targets = (*plan.targets, *(replica.target for replica in plan.replicas))
        assert plan.api == api.lower()
        assert {target.path.removeprefix("/qwen") for target in targets} == {path}


def test_what_the_engine_was_told_to_load_is_checked() -> None:
    """The model argument, so that a stream of another model is not believed."""
    assert planned(model={"source": {"huggingFace": {"repo": "Qwen/Qwen3-8B"}}}).source == "Qwen/Qwen3-8B"
    assert (
        planned(model={"source": {"persistentVolumeClaim": {"claimName": "w", "path": "q"}}}).source
        == "/models/q"
    )


def test_every_name_and_every_adapter_is_checked() -> None:
    """By the engine's list each time, and by a stream of each adapter unless it is routine."""
    model = {
        "source": {"huggingFace": {"repo": "Qwen/Qwen3-8B"}},
        "servedNames": ["chat", "gpt-4"],
        "adapters": [
            {"name": "sql", "source": {"huggingFace": {"repo": "org/sql"}}},
            {"name": "fin", "source": {"persistentVolumeClaim": {"claimName": "adapters", "path": "fin"}}},
        ],
    }
    routine, first = planned(model=model), planned(model=model, trigger=probe.Trigger())
    assert (routine.model, routine.other_names) == ("chat", ("gpt-4",))
    assert routine.adapters == {"sql": "org/sql", "fin": "/adapters/1/fin"}
    assert routine.further == ()
    assert [(further.label, further.model) for further in first.further] == [
        ("adapter sql", "sql"),
        ("adapter fin", "fin"),
    ]
    assert {further.target for further in first.further} == {first.targets[-1]}
    # Two encodings, one more, and one stream an adapter, each of 300 s after the first token.
    assert first.longest == 300 + (3 + 2) * 300
    assert planned(engine={"args": ["--lora-modules", "sql=org/sql"]}).adapters == {"sql": "org/sql"}


def test_pods_with_tls_are_asked_over_it() -> None:
    """By the kubelets' trust where an address is asked; the users' own address, when it is the Service, by its CA."""
    tls, ca = {"tls": {"secretName": "qwen-tls"}}, probe.Credentials(ca="PEM")
    exposed = planned(engine=tls, credentials=ca)
    inside = planned(engine=tls, credentials=ca, edge=None, exposure=None)
    assert [(str(target), target.insecure) for target in exposed.targets] == [
        ("https://10.0.0.7:8000", True),
        ("https://10.96.0.9:443", True),
        ("http://10.0.0.1:80", False),
    ]
    service = inside.targets[-1]
    assert (service.hop, service.insecure, service.ca) == (Hop.SERVICE, False, "PEM")
    assert (service.server_name, service.host_header) == ("qwen.chat.svc", "qwen.chat.svc")
    assert [replica.target.scheme for replica in exposed.replicas] == ["https"]


def test_remedies_name_the_gateway_that_is_asked() -> None:
    """Of several parents the first that exists is the edge, and not the first that is named."""
    parents = [{"name": "nowhere"}, {"name": "outside", "namespace": "infra"}]
    known = replace(
        CAPABILITIES,
        gateways={"infra/outside": "public"},
        gateway_classes={"public": Edge(profile="envoy-gateway")},
    )
    plan = planned(
        capabilities=known, exposure={"host": "qwen.example.com", "httpRoute": {"parentRefs": parents}}
    )
    assert (plan.names.edge, plan.names.profile) == ("Gateway outside", "envoy-gateway")


def test_a_canary_asks_for_itself_and_its_endpoint_never_does() -> None:
    """By the canary's header at the users' address; it only routes, so that its value is hidden nowhere."""
    exposure = {"host": "qwen.example.com", "ingress": {"className": "nginx"}}
    canary = planned(exposure=exposure | {"canary": {"of": "stable", "header": "X-New"}})
    stable = planned(canaries=["X-New"])
    headers = [
        [(header.name, header.value.secret) for header in plan.targets[-1].headers]
        for plan in (canary, stable, planned())
    ]
    assert headers == [[("X-New", "always")], [("X-New", "never")], []]
    assert (canary.secrets, canary.targets[0].headers) == ((), ())


def test_headers_and_the_client_certificate_go_to_the_users_address_alone() -> None:
    """To the edge and the public URL, the certificate where there is TLS; the key goes to every hop."""
    headers = (ExtraHeader("X-Gateway-Key", probe.ApiKey("g4teway-secret")),)
    identity = ClientCertificate("certificate", "private key")
    plan = planned(
        credentials=probe.Credentials(headers=headers, identity=identity),
        verification={"publicURL": "https://llm.example.com", "headersSecretRef": {"name": "gateway"}},
    )
    assert {target.hop: (target.headers, target.identity) for target in plan.targets} == {
        Hop.POD: ((), None),
        Hop.SERVICE: ((), None),
        Hop.EXPOSURE: (headers, None),
        Hop.PUBLIC: (headers, identity),
    }
    assert [(replica.target.headers, replica.target.identity) for replica in plan.replicas] == [((), None)]
    assert plan.secrets == (headers[0].value,)
    assert not any(secret in repr(plan) for secret in ("g4teway-secret", "private key"))
