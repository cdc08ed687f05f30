"""
Which endpoint may serve a host: the elder one, always, decided before anything is written.

An edge that finds two routes for one host and path chooses one of them, and the other takes over as soon as that is
deleted, with the users' requests and API keys. So whoever loses has no route at all. Talks to nobody.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product

from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.cluster import resources
from streaming_operator.cluster.objects import Cached, Source, own
from streaming_operator.kinds import Key
from streaming_operator.values import Manifest

Place = tuple[str, str, str]
"""`(edge, host, path)`; the edge is `class NAME` or `Gateway NAMESPACE/NAME`."""
ROUTES = ("Ingress", "HTTPRoute")


@dataclass(frozen=True, slots=True)
class Claim:
    """What one endpoint wants to serve."""

    endpoint: Key
    created: str
    """creationTimestamp of the endpoint; Kubernetes times of one form sort as text."""
    uid: str
    places: frozenset[Place]

    @property
    def age(self) -> tuple[str, str]:
        """Sorts the elder one first; uids break a tie for good."""
        return (self.created, self.uid)


class Claims:
    """The claims of all endpoints that are known, by host."""

    def __init__(self) -> None:
        self._claims: dict[Key, Claim] = {}
        self._by_host: dict[str, set[Key]] = {}

    def claim(self, endpoint: StreamingEndpoint, children: Iterable[Manifest]) -> frozenset[Key]:
        """Replace an endpoint's claim; returns the others that the change concerns."""
        new = _claim(endpoint, children)
        if self._claims.get(endpoint.key) == new:
            return frozenset()
        concerned = self.forget(endpoint.key)
        self._claims[endpoint.key] = new
        for host in _hosts(new.places):
            self._by_host.setdefault(host, set()).add(endpoint.key)
        return concerned | self._sharing(new)

    def forget(self, key: Key) -> frozenset[Key]:
        """Drop the claim of an endpoint; returns the others that wanted one of its hosts."""
        old = self._claims.pop(key, None)
        if old is None:
            return frozenset()
        for host in _hosts(old.places):
            self._by_host[host].discard(key)
            if not self._by_host[host]:
                del self._by_host[host]
        return self._sharing(old)

    def get(self, key: Key) -> Claim | None:
        """The claim of an endpoint."""
        return self._claims.get(key)

    def elder(self, claim: Claim) -> tuple[Claim, Place] | None:
        """The eldest endpoint that claims one of the same places and is older, and the place."""
        others = sorted((self._claims[key] for key in self._sharing(claim)), key=lambda other: other.age)
        for other in others:
            shared = sorted(claim.places & other.places)
            if other.age < claim.age and shared:
                return other, shared[0]
        return None

    def _sharing(self, claim: Claim) -> frozenset[Key]:
        keys = {key for host in _hosts(claim.places) for key in self._by_host.get(host, ())}
        return frozenset(keys - {claim.endpoint})


def conflict(
    endpoint: StreamingEndpoint, children: Iterable[Manifest], source: Source, claims: Claims
) -> str | None:
    """
    Who else holds a place that the route among *children* wants, and what to do; None when nobody does.

    Between endpoints the elder one wins. Against an Ingress that no known endpoint made, the one that was there first
    does: ours stays while it is older, and is not made while the other one exists.
    """
    claim = _claim(endpoint, children)
    elder = claims.elder(claim)
    if elder is not None:
        (namespace, name), (edge, host, path) = elder[0].endpoint, elder[1]
        return (
            f"StreamingEndpoint {namespace}/{name}, which is older, already serves {host}{path} on {edge}: "
            "change spec.exposure.host, or delete that endpoint"
        )
    ours = own(source, endpoint, resources.INGRESSES)
    others = {other.key: other for host in _hosts(claim.places) for other in source.serving(host)}
    for other in sorted(others.values(), key=_age):
        owner = other.endpoint
        known = owner is not None and claims.get(owner) is not None
        first = ours is not None and _age(ours) < _age(other)
        if other is ours or known or first or other.deleting:
            continue
        shared = sorted(claim.places & places_of(other.body, other.key[0], "Ingress"))
        if shared:
            edge, host, path = shared[0]
            return (
                f"Ingress {other.key[0]}/{other.key[1]} of {edge} already serves {host}{path}: "
                "change spec.exposure.host, or remove that rule"
            )
    return None


def places_of(route: Manifest, namespace: str, kind: str = "") -> frozenset[Place]:
    """What an Ingress or HTTPRoute serves; a path ends without a slash. *kind* is for an object that has none."""
    spec = route.get("spec") or {}
    if (kind or route["kind"]) == "Ingress":
        return frozenset(
            (f"class {spec.get('ingressClassName', '')}", rule.get("host", ""), _path(path.get("path")))
            for rule in spec.get("rules") or ()
            for path in (rule.get("http") or {}).get("paths") or ()
        )
    edges = [
        f"Gateway {ref.get('namespace') or namespace}/{ref['name']}" for ref in spec.get("parentRefs") or ()
    ]
    paths = [
        _path((match.get("path") or {}).get("value"))
        for rule in spec.get("rules") or ()
        for match in rule.get("matches") or ()
    ]
    return frozenset(product(edges, spec.get("hostnames") or (), paths or ["/"]))


def _claim(endpoint: StreamingEndpoint, children: Iterable[Manifest]) -> Claim:
    places = (
        place
        for child in children
        if child["kind"] in ROUTES
        for place in places_of(child, endpoint.namespace)
    )
    return Claim(endpoint.key, endpoint.created, endpoint.uid, frozenset(places))


def _path(path: str | None) -> str:
    return (path or "/").rstrip("/") or "/"


def _hosts(places: Iterable[Place]) -> set[str]:
    return {host for _, host, _ in places}


def _age(stored: Cached) -> tuple[str, str, str]:
    """Order of creation; names break a tie."""
    return (str(stored.metadata.get("creationTimestamp") or ""), *stored.key)
