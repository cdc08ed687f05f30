"""Who may serve a host: the elder endpoint, decided before anything is written."""

import itertools
from collections.abc import Iterable
from typing import Any, cast

import pytest

from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.cluster import objects
from streaming_operator.cluster.hosts import Claims, conflict, held
from streaming_operator.cluster.objects import Cached, Source
from streaming_operator.cluster.places import hosts_of, places_of, without
from streaming_operator.values import Manifest

HOST = "chat.example.com"


def an_endpoint(
    name: str,
    created: str,
    namespace: str = "demo",
    canary: dict[str, Any] | None = None,
    generation: int = 1,
) -> StreamingEndpoint:
    """An endpoint of that age."""
    metadata = {
        "name": name, "namespace": namespace, "uid": f"uid-{name}", "creationTimestamp": created,
        "generation": generation,
    }  # fmt: skip
    spec: dict[str, Any] = {"model": {"source": {"huggingFace": {"repo": "org/model"}}}}
    if canary is not None:
        spec["exposure"] = {"host": HOST, "canary": canary, "ingress": {"className": "nginx"}}
    return StreamingEndpoint.from_body({"metadata": metadata, "spec": spec})


def a_route(host: str = HOST, path: str = "/v1", class_name: str = "nginx") -> Manifest:
    """An Ingress with one rule, as rendered."""
    rules = [{"host": host, "http": {"paths": [{"path": path}]}}]
    return {"kind": "Ingress", "spec": {"ingressClassName": class_name, "rules": rules}}


def an_http_route(gateway: str, host: str = HOST, path: str = "/v1") -> Manifest:
    """An HTTPRoute with one match, as rendered."""
    match = {"path": {"type": "PathPrefix", "value": path}}
    parent = {"name": gateway, "namespace": "infra"}
    spec = {"parentRefs": [parent], "hostnames": [host], "rules": [{"matches": [match]}]}
    return {"kind": "HTTPRoute", "spec": spec}


def stored(name: str, created: str, owner: StreamingEndpoint | None = None, **rule: str) -> Cached:
    """An Ingress in the cluster, of an endpoint or of somebody else."""
    metadata: dict[str, Any] = {
        "name": name, "namespace": "demo", "uid": name, "resourceVersion": "1", "creationTimestamp": created,
    }  # fmt: skip
    if owner is not None:
        reference = {"apiVersion": "streamingendpoints.dev/v1alpha1", "kind": "StreamingEndpoint"}
        metadata["ownerReferences"] = [
            {**reference, "name": owner.name, "uid": owner.uid, "controller": True},
        ]
    return Cached({"metadata": metadata, **a_route(**rule)})


class Ingresses:
    """The Ingresses of a cluster."""

    def __init__(self, *ingresses: Cached) -> None:
        self.ingresses = ingresses

    def of_endpoint(self, key: object, kind: object) -> list[Cached]:
        """Those that belong to an endpoint."""
        return [one for one in self.ingresses if one.endpoint == key]

    def serving(self, host: str) -> list[tuple[str, Cached]]:
        """Those that name a host."""
        return [
            (
                "Ingress"
                if "rules" in one.body["spec"] and "hostnames" not in one.body["spec"]
                else "HTTPRoute",
                one,
            )
            for one in self.ingresses
            if host in hosts_of(one.body)
        ]


def conflict_of(
    endpoint: StreamingEndpoint,
    route: Manifest,
    claims: Claims | None = None,
    ingresses: Iterable[Cached] = (),
    **known: Any,
) -> str | None:
    """The conflict of an endpoint."""
    source = cast(Source, Ingresses(*ingresses))
    conflicting = conflict(
        endpoint, [route], source, claims or Claims(), served=held(endpoint, source), **known
    )
    return conflicting.message if conflicting else None


ELDER = an_endpoint("elder", "2026-01-01T00:00:00Z")
YOUNGER = an_endpoint("younger", "2026-01-02T00:00:00Z", "other")


def both_claim(elder: Manifest, younger: Manifest) -> Claims:
    """Both endpoints want something."""
    claims = Claims()
    claims.claim(YOUNGER, [younger])
    claims.claim(ELDER, [elder])
    return claims


def test_the_elder_endpoint_serves_a_host_and_the_conflict_of_the_younger_one_names_it() -> None:
    """Whoever came first by creation, in whatever order they are looked at, and whatever exists."""
    claims = both_claim(a_route(), a_route())

    assert conflict_of(ELDER, a_route(), claims) is None
    assert (
        "StreamingEndpoint of another namespace, which comes first, already serves chat.example.com/v1"
        in (conflict_of(YOUNGER, a_route(), claims) or "")
    )


def test_the_elder_endpoint_wins_also_where_the_younger_ones_ingress_is_there() -> None:
    """Its Ingress was deleted by hand, and the younger one's is the oldest now: that changes nothing."""
    claims = both_claim(a_route(), a_route())
    younger = stored("younger", "2026-01-03T00:00:00Z", an_endpoint("younger", YOUNGER.created))
    claims.claim(an_endpoint("younger", YOUNGER.created), [a_route()])

    assert conflict_of(ELDER, a_route(), claims, [younger]) is None


def test_endpoints_of_one_second_have_one_winner() -> None:
    """Creation times have seconds; the uid decides for good."""
    names = ("a", "b", "c")
    endpoints = [an_endpoint(name, ELDER.created) for name in names]
    for order in itertools.permutations(endpoints):
        claims = Claims()
        for endpoint in order:
            claims.claim(endpoint, [a_route()])
        assert [conflict_of(endpoint, a_route(), claims) is None for endpoint in endpoints] == [
            True,
            False,
            False,
        ]


def a_canary(
    namespace: str = "demo", prefix: str = "nginx.ingress.kubernetes.io", value: str = "true"
) -> Cached:
    """An Ingress that somebody else made as a canary for the same host and path, before there was any of ours."""
    body = stored("canary", "2025-01-01T00:00:00Z").body
    metadata = {**body["metadata"], "namespace": namespace, "annotations": {f"{prefix}/canary": value}}
    return objects.cache({**body, "metadata": metadata}, objects.ingress)


def test_a_canary_of_ones_own_namespace_is_no_conflict() -> None:
    """It gets a share of the endpoint's requests because somebody there wants it to, and none without the endpoint."""
    prefixes = {"nginx": "nginx.ingress.kubernetes.io"}

    assert conflict_of(ELDER, a_route(), ingresses=[a_canary()], canary_prefixes=prefixes) is None
    own = a_canary(prefix="edge.example.com")
    assert (
        conflict_of(ELDER, a_route(), ingresses=[own], canary_prefixes={"nginx": "edge.example.com"}) is None
    )


@pytest.mark.parametrize(
    ("canary", "prefixes"),
    [
        (a_canary("other"), {"nginx": "nginx.ingress.kubernetes.io"}),
        (a_canary(value="false"), {"nginx": "nginx.ingress.kubernetes.io"}),
        (a_canary(prefix="edge.example.com"), {"nginx": "nginx.ingress.kubernetes.io"}),
        (a_canary(), {}),
    ],
    ids=[
        "of another namespace",
        "that is switched off",
        "under a prefix that is not read",
        "of another edge",
    ],
)
def test_any_other_canary_is_an_ingress_that_wants_the_host(canary: Cached, prefixes: dict[str, str]) -> None:
    """What another namespace mixes into a host are requests and keys that are not its own."""
    message = conflict_of(ELDER, a_route(), ingresses=[canary], canary_prefixes=prefixes)

    assert "already serves chat.example.com/v1" in (message or "")


def test_what_does_not_collide_is_no_conflict() -> None:
    """Another host, path, class or Gateway may be served beside it."""
    routes = [a_route(host="b.example.com"), a_route(path="/ui"), a_route(class_name="other")]
    for other in routes:
        assert conflict_of(YOUNGER, a_route(), both_claim(other, a_route())) is None
    assert (
        conflict_of(YOUNGER, an_http_route("a"), both_claim(an_http_route("b"), an_http_route("a"))) is None
    )


@pytest.mark.parametrize(
    ("has", "wants"),
    [
        ("/Llama-3", "/llama-3/v1"),
        ("/Llama-3", r"/llama-3/(v1/.*)"),
        ("/llama-3", "/llama.3/v1"),
        ("/llama.3", "/llama-3/v1"),
    ],
)
def test_paths_that_only_a_pattern_makes_the_same_are_one_place_of_an_ingress(has: str, wants: str) -> None:
    """ingress-nginx reads all paths of a host as patterns in any case of letters once one Ingress has a pattern."""
    message = conflict_of(YOUNGER, a_route(path=wants), both_claim(a_route(path=has), a_route(path=wants)))
    assert f"already serves chat.example.com{wants}" in (message or "")

    routes = an_http_route("a", path=has), an_http_route("a", path="/llama_3/v1")
    assert conflict_of(YOUNGER, routes[1], both_claim(*routes)) is None


def test_prefixes_that_only_begin_alike_are_two_places() -> None:
    """What ingress-nginx gives to the one begins with the whole prefix and a slash."""
    routes = a_route(path=r"/llama/(v1/.*)"), a_route(path=r"/llama-3/(v1/.*)")
    assert conflict_of(YOUNGER, routes[1], both_claim(*routes)) is None
    assert (
        conflict_of(YOUNGER, a_route(path="/llama/v1"), both_claim(routes[0], a_route(path="/llama/v1")))
        is not None
    )


def test_a_host_on_one_gateway_has_one_owner_as_well() -> None:
    """HTTPRoutes of two endpoints on one Gateway."""
    claims = both_claim(an_http_route("a"), an_http_route("a"))
    assert "on Gateway infra/a" in (conflict_of(YOUNGER, an_http_route("a"), claims) or "")


def test_against_an_ingress_of_somebody_else_the_first_one_serves() -> None:
    """Ours stays while it is the older one, and is not made while the other one exists."""
    foreign = stored("a-other", "2026-01-02T00:00:00Z")
    before = stored("elder", "2026-01-01T00:00:00Z", ELDER)
    after = stored("elder", "2026-01-03T00:00:00Z", ELDER)

    assert "Ingress demo/a-other of class nginx already serves" in (
        conflict_of(ELDER, a_route(), None, [foreign]) or ""
    )
    assert conflict_of(ELDER, a_route(), None, [foreign, before]) is None
    assert conflict_of(ELDER, a_route(), None, [foreign, after]) is not None
    assert conflict_of(ELDER, a_route(path="/ui"), None, [foreign]) is None


def and_also(route: Manifest, other: Manifest) -> Manifest:
    """A route with the rules of both."""
    rules = [*route["spec"]["rules"], *other["spec"]["rules"]]
    return {**route, "spec": {**route["spec"], "rules": rules}}


def test_an_older_route_takes_no_further_host_from_a_younger_ingress_of_somebody_else() -> None:
    """Being the first on one host of that object says nothing about its others."""
    both = and_also(a_route(), a_route(host="b.example.com"))
    foreign = Cached({"metadata": stored("a-other", "2026-01-02T00:00:00Z").metadata, **both})
    ours = stored("elder", "2026-01-01T00:00:00Z", ELDER)

    assert conflict_of(ELDER, a_route(), None, [foreign, ours]) is None
    assert "already serves b.example.com/v1" in (conflict_of(ELDER, both, None, [foreign, ours]) or "")


def test_whoever_shares_a_host_is_named_when_a_claim_changes() -> None:
    """They are woken: a claim that is new, moved or gone, in both directions; one that is unchanged concerns nobody."""
    claims = Claims()
    assert claims.claim(ELDER, [a_route()]) == frozenset()
    assert claims.claim(YOUNGER, [a_route()]) == {ELDER.key}
    assert claims.claim(YOUNGER, [a_route()]) == frozenset()
    assert claims.claim(ELDER, [a_route(host="b.example.com")]) == {YOUNGER.key}
    assert conflict_of(YOUNGER, a_route(), claims) is None
    assert claims.claim(ELDER, [a_route()]) == {YOUNGER.key}
    assert claims.forget(ELDER.key) == {YOUNGER.key}
    assert claims.forget(ELDER.key) == frozenset()


EDITED = an_endpoint("elder", ELDER.created, generation=2)


@pytest.mark.parametrize(
    "after",
    [
        and_also(a_route(), a_route(host="b.example.com")),
        and_also(a_route(), a_route(path="/v2")),
        a_route(path="/v1/chat"),
        a_route(path="/"),
    ],
    ids=["a further host", "a further path", "less of the path", "more of the path"],
)
def test_an_edit_does_not_give_a_host_away_to_one_who_waits_for_it(after: Manifest) -> None:
    """What an endpoint has stays its own, whatever it asks for besides."""
    claims = both_claim(a_route(), a_route())
    served = [stored("elder", ELDER.created, ELDER)]
    claims.claim(EDITED, [after], held(EDITED, cast(Source, Ingresses(*served))))

    assert conflict_of(EDITED, after, claims, served) is None
    assert conflict_of(YOUNGER, a_route(), claims, served) is not None


@pytest.mark.parametrize(
    "wanted", [a_route(host="b.example.com"), a_route(path="/b/v1")], ids=["host", "path of its own host"]
)
def test_an_elder_endpoint_does_not_take_by_an_edit_what_a_younger_one_has(wanted: Manifest) -> None:
    """Age counts for what it has asked for from its creation on."""
    claims = both_claim(a_route(), wanted)
    claims.settle(YOUNGER.key)
    after, served = and_also(a_route(), wanted), [stored("elder", ELDER.created, ELDER)]
    claims.claim(EDITED, [after], held(EDITED, cast(Source, Ingresses(*served))))

    assert conflict_of(YOUNGER, wanted, claims, served) is None
    assert "which comes first" in (conflict_of(EDITED, after, claims, served) or "")


@pytest.mark.parametrize(
    ("namespace", "services", "in_conflict"),
    [
        ("demo", ["a"], False),
        ("demo", ["a", "other"], True),
        ("demo", ["other"], True),
        ("demo", [None], True),
        ("elsewhere", ["a"], True),
    ],
)
def test_an_ingress_that_leads_to_the_endpoints_own_service_takes_nothing_from_it(
    namespace: str, services: list[str | None], in_conflict: bool
) -> None:
    """As the copy that serves the host while the endpoint moves to another edge; None: a backend that is no Service."""
    backends = [
        {"service": {"name": name}} if name else {"resource": {"kind": "Bucket"}} for name in services
    ]
    paths = [{"path": f"/v{number}", "backend": backend} for number, backend in enumerate(backends, 1)]
    body = {
        "metadata": {
            "name": "a-before", "namespace": namespace, "uid": "u", "resourceVersion": "1",
            "creationTimestamp": "2026-01",
        },
        "spec": {"ingressClassName": "nginx", "rules": [{"host": HOST, "http": {"paths": paths}}]},
    }  # fmt: skip
    copy = objects.cache(body, objects.ingress)
    endpoint = an_endpoint("a", "2025")
    found = conflict(endpoint, [a_route()], cast("Source", Ingresses(copy)), Claims(), served=frozenset())
    assert (found is not None) is in_conflict


@pytest.mark.parametrize(
    "created", ["2025-12-31T00:00:00Z", "2026-01-03T00:00:00Z"], ids=["elder", "younger"]
)
def test_a_canary_shares_the_host_of_its_endpoint(created: str) -> None:
    """Whichever of the two is the elder, also while one of them is not known yet; and its header is known."""
    canary = an_endpoint("canary", created, canary={"of": "elder", "header": "X-New"})
    claims = Claims()
    assert conflict_of(canary, a_route(), claims, [stored("elder", ELDER.created, ELDER)]) is None

    claims.claim(ELDER, [a_route()])
    claims.claim(canary, [a_route()])

    assert (conflict_of(ELDER, a_route(), claims), conflict_of(canary, a_route(), claims)) == (None, None)
    assert (claims.canary_headers(ELDER.key), claims.canary_headers(canary.key)) == ({"X-New"}, frozenset())


def test_a_canary_of_another_endpoint_is_a_conflict() -> None:
    """It shares the host with the endpoint that it names, and with no other."""
    canary = an_endpoint("canary", "2026-01-03T00:00:00Z", canary={"of": "stable"})
    claims = Claims()
    claims.claim(ELDER, [a_route()])
    claims.claim(canary, [a_route()])

    assert "elder, which comes first" in (conflict_of(canary, a_route(), claims) or "")
    assert claims.canary_headers(ELDER.key) == frozenset()


def test_an_ingress_loses_the_paths_that_others_have_and_nothing_else() -> None:
    """Each path of each host by itself, and the certificate's hosts with them; nothing is left of a single one."""
    both = and_also(and_also(a_route(), a_route(path="/v2")), a_route(host="b.example.com"))
    both["spec"]["tls"] = [{"hosts": [HOST, "b.example.com"], "secretName": "edge"}]
    lost = places_of(and_also(a_route(path="/v2"), a_route(host="b.example.com")), "demo")

    left = without(both, "demo", lost, frozenset())

    assert left is not None
    assert (places_of(left, "demo"), left["spec"]["tls"][0]) == (
        places_of(a_route(), "demo"),
        {"hosts": [HOST], "secretName": "edge"},
    )
    assert without(a_route(), "demo", places_of(a_route(), "demo"), frozenset()) is None


@pytest.mark.parametrize(
    "added", ["hostnames", "parentRefs", "rules"], ids=["a host", "a Gateway", "a path of a rule of its own"]
)
def test_an_http_route_loses_what_was_added(added: str) -> None:
    """It serves all its paths on all its hosts and Gateways: what is served already stays."""
    before, route, other = an_http_route("a"), an_http_route("a"), an_http_route("b", "b.example.com", "/b")
    route["spec"][added] = [*route["spec"][added], *other["spec"][added]]
    served = places_of(before, "demo")

    left = without(route, "demo", places_of(route, "demo") - served, served)

    assert left == before


def test_a_host_that_is_refused_by_its_alias_has_no_part_of_its_own() -> None:
    """The annotation is on every rule, so that the whole route is refused."""
    aliased = {
        **a_route(),
        "metadata": {"annotations": {"nginx.ingress.kubernetes.io/server-alias": "b.example.com"}},
    }
    lost = frozenset(place for place in places_of(aliased, "demo") if place[1] == "b.example.com")

    assert without(aliased, "demo", lost, frozenset()) is None


def test_a_route_by_a_header_is_a_canary_of_its_namespace() -> None:
    """A Gateway sends it only what asks for it."""
    other = stored("other", "2025-01-01T00:00:00Z")
    route = an_http_route("public")
    route["spec"]["rules"][0]["matches"][0]["headers"] = [{"name": "X-New", "value": "always"}]
    by_header = objects.cache({"metadata": other.metadata, "spec": route["spec"]}, objects.http_route)

    assert conflict_of(ELDER, an_http_route("public"), ingresses=[by_header]) is None
