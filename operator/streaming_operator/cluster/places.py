"""
What an Ingress or HTTPRoute serves, and whether two of them want the same requests. Pure.

Hosts count with their wildcards and aliases, paths with everything below them.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product

from streaming_operator.kinds import Key
from streaming_operator.values import Manifest

Place = tuple[str, str, str]
"""`(edge, host, path)`; the edge is `class NAME` or `Gateway NAMESPACE/NAME`."""

LEGACY_CLASS = "kubernetes.io/ingress.class"
"""Annotation that names an Ingress' class where `ingressClassName` does not."""
ALIAS = "/server-alias"
"""End of the annotation by which ingress-nginx serves further hosts."""
CANARY = "/canary"
"""End of the annotation by which ingress-nginx adds an Ingress to another one of its host and path."""
_PATTERN = re.compile(r"[\\()\[\]{}*+?|^$]")
"""Begins the part of a path that some edges read as a regular expression."""


def says_where(annotation: str) -> bool:
    """Whether an annotation of an Ingress decides which requests it gets."""
    return annotation == LEGACY_CLASS or annotation.endswith((ALIAS, CANARY))


def places_of(route: Manifest, namespace: str, kind: str = "") -> frozenset[Place]:
    """What an Ingress or HTTPRoute serves; a path ends without a slash. *kind* is for an object that has none."""
    spec = route.get("spec") or {}
    if (kind or route["kind"]) == "Ingress":
        annotations = (route.get("metadata") or {}).get("annotations") or {}
        edge = f"class {_class_of(route)}"
        served = [
            (rule.get("host", ""), _path(path.get("path")))
            for rule in spec.get("rules") or ()
            for path in (rule.get("http") or {}).get("paths") or ()
        ]
        served += product(_aliases(annotations), {path for _, path in served})
        return frozenset((edge, host, path) for host, path in served)
    edges = [_gateway(ref, namespace) for ref in spec.get("parentRefs") or ()]
    matches: list[Manifest] = [
        match for rule in spec.get("rules") or () for match in rule.get("matches") or [{}]
    ]
    paths = [_path((match.get("path") or {}).get("value")) for match in matches]
    return frozenset(product(edges, spec.get("hostnames") or (), paths or ["/"]))


def is_canary(ingress: Manifest, prefixes: Mapping[str, str]) -> bool:
    """
    Whether the controller of an Ingress' class takes it as a canary: it gets a share of the requests of another
    Ingress, and none without that one. *prefixes*: a class of ingress-nginx -> its controller's annotation prefix. An
    HTTPRoute is one that gets only requests with a header.
    """
    rules = (ingress.get("spec") or {}).get("rules") or ()
    if rules and all(
        rule.get("matches") and all(m.get("headers") for m in rule["matches"]) for rule in rules
    ):
        return True
    prefix = prefixes.get(_class_of(ingress))
    annotations = (ingress.get("metadata") or {}).get("annotations") or {}
    return prefix is not None and annotations.get(f"{prefix}{CANARY}") == "true"


def _class_of(ingress: Manifest) -> str:
    """Name of an Ingress' class, by field or annotation; "" without one."""
    annotations = (ingress.get("metadata") or {}).get("annotations") or {}
    return str((ingress.get("spec") or {}).get("ingressClassName") or annotations.get(LEGACY_CLASS, ""))


def hosts_of(route: Manifest) -> set[str]:
    """Host names of an Ingress or HTTPRoute, wildcards as they are written; not the catch-all."""
    spec = route.get("spec") or {}
    rules = {rule.get("host", "") for rule in spec.get("rules") or ()}
    aliases = _aliases((route.get("metadata") or {}).get("annotations") or {})
    return (rules | set(spec.get("hostnames") or ()) | aliases) - {""}


def covering(host: str) -> tuple[str, ...]:
    """A host, and every wildcard that covers it."""
    labels = host.split(".")
    return (host, *(f"*.{'.'.join(labels[at:])}" for at in range(1, len(labels))))


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Which edges are one, and how far two objects may share a host."""

    controllers: Mapping[str, str]
    """Name of an IngressClass -> its controller, which serves all classes of that value."""
    trusted: bool
    """Of one namespace, or of one that the administrator gave the host: only the very same path is a conflict."""

    def shared(self, ours: Iterable[Place], theirs: Iterable[Place]) -> Place | None:
        """The first of *ours* whose requests *theirs* would get as well; None when there is none."""
        return next((one for one, _ in self.collisions(ours, theirs)), None)

    def collisions(self, ours: Iterable[Place], theirs: Iterable[Place]) -> Iterator[tuple[Place, Place]]:
        """Every pair of *ours* and *theirs* that would get the same requests."""
        pairs = product(sorted(ours), sorted(theirs))
        return (pair for pair in pairs if self._collide(*pair))

    def _collide(self, ours: Place, theirs: Place) -> bool:
        (edge, host, path), (other_edge, other_host, other_path) = ours, theirs
        if self.trusted:
            return (edge, host, path) == (other_edge, other_host, other_path)
        hosts = other_host in covering(host) or host in covering(other_host)
        by_ingress = edge.startswith("class ")
        return (
            hosts and self._same_edge(edge, other_edge) and _nested(path, other_path, as_patterns=by_ingress)
        )

    def _same_edge(self, edge: str, other: str) -> bool:
        if edge == other:
            return True
        classes = (edge.removeprefix("class "), other.removeprefix("class "))
        if not (edge.startswith("class ") and other.startswith("class ")):
            return False
        # An Ingress without a class may be served by every controller.
        if "" in classes:
            return True
        controllers = [self.controllers.get(name) for name in classes]
        return bool(controllers[0]) and controllers[0] == controllers[1]


def without(
    route: Manifest, namespace: str, lost: frozenset[Place], served: frozenset[Place]
) -> Manifest | None:
    """
    A route without these places of it; None when nothing is left, or when it has no part that could be left out alone.

    An HTTPRoute serves all its paths on all its hosts and Gateways, so that hosts, paths or Gateways are left out: of
    these what keeps the most of *served*, then the most of all.
    """
    if not lost:
        return route
    spec = route["spec"]
    if route["kind"] == "Ingress":
        shorter = [_ingress_without(spec, lost)]
    else:
        edges, hosts, paths = ({place[part] for place in lost} for part in range(3))
        rules = [
            {**rule, "matches": matches}
            for rule in spec["rules"]
            if (matches := [match for match in rule["matches"] if _path(match["path"]["value"]) not in paths])
        ]
        parents = [ref for ref in spec["parentRefs"] if _gateway(ref, namespace) not in edges]
        shorter = [
            {**spec, "hostnames": [host for host in spec["hostnames"] if host not in hosts]},
            *([{**spec, "rules": rules}] if rules else []),
            {**spec, "parentRefs": parents},
        ]
    candidates = [
        ({**route, "spec": part}, places_of({**route, "spec": part}, namespace)) for part in shorter
    ]
    left = [(part, places) for part, places in candidates if places and places.isdisjoint(lost)]
    best = max(left, key=lambda one: (len(one[1] & served), len(one[1])), default=None)
    return best[0] if best is not None else None


def _ingress_without(spec: Manifest, lost: frozenset[Place]) -> Manifest:
    """The spec of an Ingress without some of its paths, and without the hosts of which none is left."""
    gone = {(host, path) for _, host, path in lost}
    rules = [
        {**rule, "http": {"paths": paths}}
        for rule in spec["rules"]
        if (
            paths := [
                path for path in rule["http"]["paths"] if (rule["host"], _path(path["path"])) not in gone
            ]
        )
    ]
    hosts = {rule["host"] for rule in rules}
    tls = [
        {**entry, "hosts": [host for host in entry["hosts"] if host in hosts]}
        for entry in spec.get("tls", ())
    ]
    return {**spec, "rules": rules, **({"tls": tls} if tls else {})}


def key_of(namespace: str, name: str, home: str) -> str:
    """How an object is called towards people of the namespace *home*: those of others are not theirs to know."""
    return f"{namespace}/{name}" if namespace == home else "of another namespace"


def age(metadata: Mapping[str, object], key: Key) -> tuple[str, str, str]:
    """Order of creation; names break a tie."""
    return (str(metadata.get("creationTimestamp") or ""), *key)


def _aliases(annotations: Mapping[str, str]) -> set[str]:
    """Further hosts by annotation; regular expressions (`~...`) cannot be compared."""
    lists = (value for key, value in annotations.items() if key.endswith(ALIAS))
    names = (name.strip().lower() for text in lists for name in text.split(","))
    return {name for name in names if name and not name.startswith("~")}


def _gateway(ref: Manifest, namespace: str) -> str:
    """The Gateway of a parentRef, as an edge."""
    return f"Gateway {ref.get('namespace') or namespace}/{ref['name']}"


def _path(path: str | None) -> str:
    return (path or "/").rstrip("/") or "/"


def is_below(place: Place, other: Place) -> bool:
    """Whether a place is the other one, or lies below it on the same host of the same edge."""
    return place[:2] == other[:2] and _below(place[2], other[2])


def _nested(path: str, other: str, *, as_patterns: bool) -> bool:
    """Whether one path lies below the other."""
    return any(_below(*pair, as_patterns=as_patterns) for pair in ((path, other), (other, path)))


def _below(path: str, other: str, *, as_patterns: bool = False) -> bool:
    """
    Whether a path begins with the other one: element by element, or by text where one is a pattern.

    *as_patterns*: as ingress-nginx reads every path of a host of which any Ingress has a pattern: letters of either
    case are the same, and a dot is any character.
    """
    if _PATTERN.search(path + other):
        first, second = (_PATTERN.split(text)[0] for text in (path, other))
    else:
        first, second = (f"{text.rstrip('/')}/" for text in (path, other))
    if not as_patterns:
        return first.startswith(second)
    characters = zip(first.lower(), second.lower(), strict=False)
    return len(first) >= len(second) and all(one == two or "." in (one, two) for one, two in characters)
