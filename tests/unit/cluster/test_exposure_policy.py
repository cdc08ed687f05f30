"""Which route is written, kept or taken back: what an administrator allows, against what is in the cluster."""

from typing import Any

from streaming_operator import render
from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.api.reasons import Reason
from streaming_operator.cluster import hosts, objects, resources
from streaming_operator.cluster.exposure_policy import ExposurePolicy, Refusal
from streaming_operator.cluster.hosts import Claims
from streaming_operator.cluster.objects import Cached
from streaming_operator.cluster.places import hosts_of
from streaming_operator.cluster.snapshot import Snapshot
from streaming_operator.settings import HostRule
from streaming_operator.values import Capabilities, Edge, Manifest


def with_class(edge: Edge | None) -> Capabilities:
    """A cluster whose IngressClass nginx is this edge, or is not there."""
    classes = {} if edge is None else {"nginx": edge}
    return Capabilities(service_monitors=False, http_routes=False, ingress_classes=classes)


NGINX, NO_CLASS = with_class(Edge(profile="ingress-nginx")), with_class(None)
CREATED = "2026-01-01T00:00:00Z"


def an_endpoint(generation: int = 2, **exposure: Any) -> StreamingEndpoint:
    """An endpoint behind class nginx."""
    exposure = {"host": "a.example.com", "ingress": {"className": "nginx"}} | exposure
    return StreamingEndpoint.from_body(
        {
            "metadata": {
                "name": "chat", "namespace": "demo", "uid": "u", "creationTimestamp": CREATED,
                "generation": generation,
            },
            "spec": {"model": {"source": {"huggingFace": {"repo": "a/b"}}}, "exposure": exposure},
        }
    )  # fmt: skip


def the_route(endpoint: StreamingEndpoint, capabilities: Capabilities) -> Manifest:
    """The Ingress as it is rendered."""
    return next(child for child in render.children(endpoint, capabilities) if child["kind"] == "Ingress")


def as_stored(route: Manifest, created: str = CREATED) -> Cached:
    """The Ingress as the cache keeps it."""
    identity = {"uid": "i", "resourceVersion": "1", "creationTimestamp": created}
    body = {**route, "metadata": route["metadata"] | identity}
    return objects.cache(body, objects.ingress)


class World:
    """An operator's memory and the Ingresses that it sees."""

    def __init__(self, *ingresses: Cached, rules: tuple[HostRule, ...] = ()) -> None:
        self.claims = Claims()
        self.source = Snapshot({resources.INGRESSES: list(ingresses)}, ())
        self.policy = ExposurePolicy(rules, self.source, self.claims)

    def decide(self, endpoint: StreamingEndpoint, capabilities: Capabilities) -> Refusal | None:
        """Claim what is rendered and judge it, as a pass does."""
        children = render.children(endpoint, capabilities)
        claimed = self.policy.claimable(endpoint, children, capabilities)
        self.claims.claim(endpoint, claimed, hosts.held(endpoint, self.source))
        refusal = self.policy.refusal(endpoint, children, capabilities)
        if refusal is None:
            self.claims.settle(endpoint.key)
        return refusal


def test_a_class_that_is_gone_for_a_while_takes_no_route_away() -> None:
    """A controller is installed anew: the Ingress with a prefix stays, and nobody comes before it meanwhile."""
    endpoint = an_endpoint(stripPrefix="/team")
    world = World(as_stored(the_route(endpoint, NGINX)))
    assert world.decide(endpoint, NGINX) is None
    settled = hosts.held(endpoint, world.source)

    refusal = world.decide(endpoint, NO_CLASS)

    claim = world.claims.get(endpoint.key)
    assert refusal is not None
    assert (refusal.problem.reason, refusal.keeps) == (Reason.NOT_SUPPORTED, True)
    assert claim is not None
    assert (claim.places, claim.settled) == (settled, settled)
    assert world.decide(endpoint, NGINX) is None


def test_an_operator_that_starts_while_the_class_is_gone_keeps_the_route() -> None:
    """What it serves is read from the stored Ingress alone."""
    endpoint = an_endpoint(stripPrefix="/team")
    world = World(as_stored(the_route(endpoint, NGINX)))

    refusal = world.decide(endpoint, NO_CLASS)

    claim = world.claims.get(endpoint.key)
    assert refusal is not None
    assert refusal.keeps
    assert claim is not None
    assert claim.settled == hosts.held(endpoint, world.source)


def test_a_class_that_is_gone_keeps_no_route_on_a_host_that_is_given_up_or_denied() -> None:
    """The Ingress on another host than the spec's or the administrator's goes, whatever the class."""
    before, after = (an_endpoint(stripPrefix="/team", host=f"{name}.example.com") for name in "ab")
    stored = as_stored(the_route(before, NGINX))
    elsewhere = (HostRule(namespaces=("other",), hosts=("*",)),)

    for world, endpoint in ((World(stored), after), (World(stored, rules=elsewhere), before)):
        refusal = world.decide(endpoint, NO_CLASS)
        assert refusal is not None
        assert not refusal.keeps


def test_a_known_class_without_the_means_takes_the_route_away() -> None:
    """A class that is served by another controller now: what was written for the old one says nothing to it."""
    endpoint = an_endpoint(stripPrefix="/team")
    world = World(as_stored(the_route(endpoint, NGINX)))
    traefik = with_class(Edge(profile="traefik"))

    refusal = world.decide(endpoint, traefik)

    assert refusal is not None
    assert (refusal.problem.reason, refusal.keeps) == (Reason.NOT_SUPPORTED, False)


AUTH = "nginx.ingress.kubernetes.io/auth-url"


def with_auth(url: str, *more_hosts: str) -> StreamingEndpoint:
    """An endpoint with an annotation that the administrator has to allow."""
    ingress = {"className": "nginx", "annotations": {AUTH: url}}
    return an_endpoint(ingress=ingress, **({"hosts": list(more_hosts)} if more_hosts else {}))


def test_a_route_that_is_kept_for_its_annotation_loses_the_host_that_it_may_not_serve_alone() -> None:
    """Two refusals at once: the undisputed host is served as before, and what is refused changes nothing."""
    allowing = with_class(Edge(profile="ingress-nginx", allowed_annotations=(AUTH,)))
    before = with_auth("https://one", "b.example.com")
    stored = as_stored(the_route(before, allowing))
    only_a = (HostRule(namespaces=("demo",), hosts=("a.example.com",)),)
    denied = World(stored, rules=only_a), with_auth("https://two", "b.example.com"), Reason.HOST_NOT_ALLOWED
    given_up = World(stored), with_auth("https://two"), Reason.ANNOTATION_NOT_ALLOWED

    for world, endpoint, reason in (denied, given_up):
        refusal = world.decide(endpoint, NGINX)

        assert refusal is not None
        assert (refusal.problem.reason, refusal.keeps) == (reason, False)
        assert refusal.route is not None
        assert hosts_of(refusal.route) == {"a.example.com"}
        assert refusal.route["metadata"]["annotations"][AUTH] == "https://one"
        shortened = World(as_stored(refusal.route), rules=only_a).decide(endpoint, NGINX)
        assert shortened is not None
        assert (shortened.keeps, shortened.route) == (True, None)


def test_a_refused_annotation_that_takes_a_disputed_host_goes_with_its_route() -> None:
    """An alias that is stored and no longer wanted cannot be left out alone."""
    alias = "nginx.ingress.kubernetes.io/server-alias"
    allowing = with_class(Edge(profile="ingress-nginx", allowed_annotations=(alias,)))
    before, after = (
        an_endpoint(ingress={"className": "nginx", "annotations": {alias: name}})
        for name in ("b.example.com", "c.example.com")
    )

    refusal = World(as_stored(the_route(before, allowing))).decide(after, NGINX)

    assert refusal is not None
    assert (refusal.keeps, refusal.route) == (False, None)


def a_wildcard(host: str) -> Cached:
    """An older Ingress of another namespace, on everything of a host."""
    metadata = {
        "name": "all", "namespace": "other", "uid": "w", "resourceVersion": "1",
        "creationTimestamp": "2025-01-01T00:00:00Z",
    }  # fmt: skip
    rules = [{"host": host, "http": {"paths": [{"path": "/"}]}}]
    body = {"metadata": metadata, "spec": {"ingressClassName": "nginx", "rules": rules}}
    return objects.cache(body, objects.ingress)


GIVEN_A = HostRule(namespaces=("demo",), hosts=("a.example.com",))


def test_a_host_that_the_namespace_was_given_is_in_no_wildcard_whatever_stands_beside_it() -> None:
    """A second host that everybody may use is still lost to the elder one."""
    world = World(
        a_wildcard("*.example.com"),
        rules=(GIVEN_A, HostRule(namespaces=("*",), hosts=("b.example.com",))),
    )

    refusal = world.decide(an_endpoint(hosts=["b.example.com"]), NGINX)

    assert refusal is not None
    assert refusal.problem.reason is Reason.HOST_CONFLICT
    assert refusal.route is not None
    assert hosts_of(refusal.route) == {"a.example.com"}


def test_an_alias_is_not_given_with_the_host() -> None:
    """The administrator gave the namespace one host; the alias is in somebody's wildcard."""
    alias = "nginx.ingress.kubernetes.io/server-alias"
    allowing = with_class(Edge(profile="ingress-nginx", allowed_annotations=(alias,)))
    endpoint = an_endpoint(ingress={"className": "nginx", "annotations": {alias: "x.other.example"}})

    refusal = World(a_wildcard("*.other.example"), rules=(GIVEN_A,)).decide(endpoint, allowing)

    assert refusal is not None
    assert (refusal.problem.reason, refusal.route) == (Reason.HOST_CONFLICT, None)
