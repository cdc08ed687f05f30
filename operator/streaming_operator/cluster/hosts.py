"""
Which endpoint may serve a host, decided before anything is written; the elder one, and it keeps what it has.

An edge that finds two routes for one host and path chooses one of them, and the other takes over as soon as that is
deleted, with the users' requests and API keys. So the loser has no route at all. Sends no request.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.api.naming import child_name
from streaming_operator.cluster import resources
from streaming_operator.cluster.objects import Cached, Source, own
from streaming_operator.cluster.places import (
    Neighbours,
    Place,
    age,
    covering,
    is_below,
    is_canary,
    key_of,
    places_of,
)
from streaming_operator.kinds import Key, Kind
from streaming_operator.values import Manifest

ROUTES: Mapping[str, Kind] = {kind.kind: kind for kind in resources.ROUTES}
"""The kinds of objects that serve a host, by their names in manifests."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What one endpoint wants to serve."""

    endpoint: Key
    created: str
    """creationTimestamp of the endpoint; Kubernetes times of one form sort as text."""
    uid: str
    places: frozenset[Place]
    settled: frozenset[Place] = frozenset()
    """What it has wanted from its creation on, or was given; not what it moved to or added later."""
    canary_of: Key | None = None
    """The endpoint whose host it shares by intent."""
    canary_header: str = ""
    """By which a request is for the canary."""

    def rank(self, place: Place, other: Place) -> tuple[bool, str, str]:
        """
        Sorts first who may serve what a place has in common with another's: the elder one, and before all those that
        came to it later.

        An endpoint that is old and moves would take the host from whoever has it. Uids break a tie for good.
        """
        edge, host, path = place
        common = (edge, host, max(path, other[2], key=len))
        settled = any(is_below(one, before) for one in (place, common) for before in self.settled)
        return (not settled, self.created, self.uid)


class Claims:
    """The claims of all endpoints that are known, by host."""

    def __init__(self) -> None:
        self._claims: dict[Key, Claim] = {}
        self._by_host: dict[str, set[Key]] = {}

    def claim(
        self, endpoint: StreamingEndpoint, children: Iterable[Manifest], held: Iterable[Place] = ()
    ) -> frozenset[Key]:
        """Replace an endpoint's claim; *held* is what its routes serve now. Returns the others that this concerns."""
        new = self.of(endpoint, children, held)
        if self._claims.get(endpoint.key) == new:
            return frozenset()
        concerned = self.forget(endpoint.key)
        self._claims[endpoint.key] = new
        for host in _hosts(new.places):
            self._by_host.setdefault(host, set()).add(endpoint.key)
        return concerned | self._sharing(new)

    def settle(self, key: Key, given: frozenset[Place] | None = None) -> None:
        """
        Note that an endpoint was given what it wants, all of it or *given*: it keeps that against everybody who comes
        later.
        """
        claim = self._claims[key]
        settled = claim.places if given is None else claim.settled | given
        if claim.settled != settled:
            self._claims[key] = replace(claim, settled=settled)

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

    def canary_headers(self, key: Key) -> frozenset[str]:
        """The headers by which canaries of an endpoint are asked."""
        claim = self._claims.get(key)
        others = (self._claims[other] for other in self._sharing(claim)) if claim is not None else ()
        return frozenset(other.canary_header for other in others if other.canary_of == key)

    def before(self, claim: Claim, controllers: Mapping[str, str]) -> Iterator[tuple[Claim, Place]]:
        """The endpoints that may serve some of the same places before this one, with the place, the first one first."""
        others = sorted(
            (self._claims[key] for key in self._sharing(claim)),
            key=lambda other: (other.created, other.uid),
        )
        for other in others:
            if other.endpoint == claim.canary_of or other.canary_of == claim.endpoint:
                continue
            near = Neighbours(controllers, trusted=other.endpoint[0] == claim.endpoint[0])
            for place, theirs in near.collisions(claim.places, other.places):
                if other.rank(theirs, place) < claim.rank(place, theirs):
                    yield other, place

    def of(self, endpoint: StreamingEndpoint, children: Iterable[Manifest], held: Iterable[Place]) -> Claim:
        """What an endpoint wants with these children; nothing is noted."""
        places = frozenset(
            place
            for child in children
            if child["kind"] in ROUTES
            for place in places_of(child, endpoint.namespace)
        )
        old, settled = self._claims.get(endpoint.key), places
        if not (endpoint.generation == 1 or _exposed(endpoint)):
            kept = old.settled if old is not None and old.uid == endpoint.uid else frozenset()
            settled = frozenset(
                one
                for one in kept.union(held)
                if any(is_below(one, place) or is_below(place, one) for place in places)
            )
        claim = Claim(endpoint.key, endpoint.created, endpoint.uid, places, settled)
        canary = endpoint.spec.exposure.canary if endpoint.spec.exposure is not None else None
        if canary is None:
            return claim
        return replace(claim, canary_of=(endpoint.namespace, canary.of), canary_header=canary.header)

    def _sharing(self, claim: Claim) -> frozenset[Key]:
        keys = {key for host in _hosts(claim.places) for key in self._by_host.get(host, ())}
        return frozenset(keys - {claim.endpoint})


@dataclass(frozen=True, slots=True)
class Conflict:
    """Who else holds places that a route wants, and what to do."""

    message: str
    lost: frozenset[Place]
    """What is not the route's to serve; the rest is."""


def conflict(
    endpoint: StreamingEndpoint,
    children: Iterable[Manifest],
    source: Source,
    claims: Claims,
    *,
    served: frozenset[Place],
    controllers: Mapping[str, str] | None = None,
    canary_prefixes: Mapping[str, str] | None = None,
    bound: frozenset[str] = frozenset(),
) -> Conflict | None:
    """
    Who else holds places that the route among *children* wants; None when nobody does.

    Between endpoints the elder one wins, and one that moved to a host comes after all that are there. Against an
    Ingress or HTTPRoute that no known endpoint made, the one that was there first does: ours stays while it is older,
    and is not made while the other one exists. *served* is what the endpoint's own routes serve now. *bound* are
    hosts that the administrator gave to the namespace: nobody has one by a wildcard or a path above or below.

    A canary of the endpoint's own namespace (`places.is_canary`, by *canary_prefixes*) shares the host by intent. One
    of another namespace takes requests that are not its own. An Ingress of the namespace that leads to the endpoint's
    own Service takes nothing from it: so an endpoint comes back from another edge (docs/migrate-from-ingress-nginx.md).

    What is served already and is only a part of the other's host or path is not lost: the two have lived beside each
    other.
    """
    known = controllers or {}
    claim = claims.of(endpoint, children, served)
    messages: dict[str, str] = {}
    lost: set[Place] = set()
    for (namespace, name), place in ((first.endpoint, place) for first, place in claims.before(claim, known)):
        edge, host, path = place
        lost.add(place)
        messages.setdefault(
            host,
            f"StreamingEndpoint {key_of(namespace, name, endpoint.namespace)}, which comes first, already serves "
            f"{host}{path} on {edge}: change {field_of(endpoint, host)}, or delete that endpoint",
        )
    for kind, other in _foreign(endpoint, claim, source, claims):
        theirs = places_of(other.body, other.key[0], kind)
        same = other.key[0] == endpoint.namespace
        if same and is_canary(other.body, canary_prefixes or {}):
            continue
        if claim.canary_of is not None and other.endpoint == claim.canary_of:
            continue  # that endpoint is not known yet, as after a restart
        if same and other.body.get("services") == [child_name(endpoint)]:
            continue  # whichever of the two an edge takes, the endpoint's own pods get the requests
        for trusted in (True,) if same else (True, False):
            near = Neighbours(known, trusted=trusted)
            for place, wanted in near.collisions(claim.places, theirs):
                edge, host, path = place
                if host in bound and not trusted:
                    continue
                if _was_first(endpoint, source, other, wanted, near):
                    continue
                if trusted or place not in served:
                    lost.add(place)
                messages.setdefault(
                    host,
                    f"{kind} {key_of(*other.key, endpoint.namespace)} of {edge} already serves {host}{path}: "
                    f"change {field_of(endpoint, host)}, or remove that rule",
                )
    return Conflict(". ".join(messages.values()), frozenset(lost)) if messages else None


def field_of(endpoint: StreamingEndpoint, host: str) -> str:
    """Which field wants a host."""
    exposure = endpoint.spec.exposure
    return f"spec.exposure.{exposure.field_of(host) if exposure is not None else 'host'}"


def held(endpoint: StreamingEndpoint, source: Source) -> frozenset[Place]:
    """What the endpoint's own routes serve as they are stored."""
    return frozenset(
        place
        for kind in resources.ROUTES
        if (stored := own(source, endpoint, kind)) is not None
        for place in places_of(stored.body, endpoint.namespace, kind.kind)
    )


def _foreign(
    endpoint: StreamingEndpoint, claim: Claim, source: Source, claims: Claims
) -> list[tuple[str, Cached]]:
    """Routes of the claim's hosts that are neither ours nor of an endpoint that is known, the oldest first."""
    served = {
        (kind, stored.key): stored
        for host in _hosts(claim.places)
        for name in covering(host)
        for kind, stored in source.serving(name)
    }
    foreign = []
    for (kind, _), stored in served.items():
        owner = claims.get(stored.endpoint) if stored.endpoint is not None else None
        of_known = owner is not None and stored.is_controlled_by(owner.uid)
        if not (of_known or stored.deleting or stored.is_controlled_by(endpoint.uid)):
            foreign.append((kind, stored))
    return sorted(foreign, key=lambda entry: age(entry[1].metadata, entry[1].key))


def _was_first(
    endpoint: StreamingEndpoint, source: Source, other: Cached, wanted: Place, near: Neighbours
) -> bool:
    """Whether a route of ours serves what is wanted of the other object's places, and is older than that object."""
    for kind in resources.ROUTES:
        ours = own(source, endpoint, kind)
        if ours is None or age(ours.metadata, ours.key) >= age(other.metadata, other.key):
            continue
        if near.shared(places_of(ours.body, endpoint.namespace, kind.kind), [wanted]):
            return True
    return False


def _exposed(endpoint: StreamingEndpoint) -> bool:
    """Whether its status says that this very generation was exposed; it outlives a restart of the operator."""
    return any(
        condition.get("type") == "Exposed"
        and condition.get("status") == "True"
        and condition.get("observedGeneration") == endpoint.generation
        for condition in endpoint.previous_status.get("conditions") or ()
    )


def _hosts(places: Iterable[Place]) -> set[str]:
    return {host for _, host, _ in places}
