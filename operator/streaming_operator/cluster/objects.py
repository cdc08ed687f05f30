"""
What is kept of an object: only what some decision reads, since there are thousands. Pure.
"""

import sys
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Protocol

from streaming_operator.api.endpoint import (
    GROUP,
    KIND,
    UNREADABLE,
    VERIFY_ANNOTATION,
    StreamingEndpoint,
    verification_request,
)
from streaming_operator.api.naming import ENDPOINT_LABEL, FIELD_MANAGER
from streaming_operator.cluster.places import says_where
from streaming_operator.kinds import Key, Kind
from streaming_operator.kube.objects import Body, StoredObject, as_json
from streaming_operator.kube.packing import Packer

Trim = Callable[[Body], Body]


ENDED = ("Succeeded", "Failed")
"""Phases of a pod that runs no more."""


LARGEST_SPEC = 256 << 10
"""Bytes of an endpoint's spec as JSON that are kept; the largest that were seen have 20 KiB."""
LARGEST_STATUS = 64 << 10
"""Bytes of an endpoint's status that are kept; ours has about 6 KiB. A larger one is somebody else's, and replaced."""
LARGEST_DATA = 64 << 10
"""Characters in a ConfigMap that are kept; ours have 8,000. A larger one never is what we render."""


class Cached(StoredObject):
    """One object as it was last read, and which endpoint controls it."""

    __slots__ = ("carries", "endpoint", "written_at")

    def __init__(self, body: Body, written_at: datetime | None = None, packer: Packer | None = None) -> None:
        """*written_at* is when our field manager last changed it."""
        super().__init__(body, packer)
        self.written_at = written_at
        self.carries: str | None = None
        """The applied hash that this very version was found (or written) to carry in full."""
        self.endpoint: Key | None = _endpoint_of(self, body)
        """Key of the endpoint that controls it, or whose pod template it comes from; worked out once, for indexes."""


class Source(Protocol):
    """Where objects are looked up: caches that follow the cluster, or one snapshot of it."""

    def has(self, kind: Kind) -> bool:
        """Whether the cluster has the kind."""

    def every(self, kind: Kind) -> Iterable[Cached]:
        """All objects of a kind."""

    def get(self, kind: Kind, key: Key) -> Cached | None:
        """One object."""

    def of_endpoint(self, key: Key, kind: Kind) -> list[Cached]:
        """Everything of a kind that belongs to an endpoint."""

    def of_others(self, kind: Kind) -> Iterable[Cached]:
        """The policies of a kind that retry and belong to no endpoint (`retries`)."""

    def serving(self, host: str) -> list[tuple[str, Cached]]:
        """Every Ingress and HTTPRoute that names *host*, a wildcard as it is written; with its kind."""


def own(source: Source, endpoint: StreamingEndpoint, kind: Kind) -> Cached | None:
    """The endpoint's own object of a kind of which it has one; not that of an earlier endpoint of its name."""
    candidates = source.of_endpoint(endpoint.key, kind)
    return next((stored for stored in candidates if stored.is_controlled_by(endpoint.uid)), None)


def cluster_ip(service: Body) -> str | None:
    """A Service's own address; headless ones have none."""
    address = (service.get("spec") or {}).get("clusterIP")
    return None if address in (None, "", "None") else str(address)


def _endpoint_of(stored: Cached, body: Body) -> Key | None:
    """Key of the endpoint that controls an object, or whose pod template it comes from."""
    owner = stored.controller
    if owner is None:
        return None
    if owner.kind == KIND and owner.api_version.startswith(f"{GROUP}/"):
        return (stored.key[0], owner.name)
    name = (body["metadata"].get("labels") or {}).get(ENDPOINT_LABEL)
    return (stored.key[0], sys.intern(name)) if name and owner.kind in ("Deployment", "ReplicaSet") else None


def cache(body: Body, trim: Trim, packer: Packer | None = None) -> Cached:
    """Keep what *trim* keeps of *body*, and when we wrote it."""
    managed = body["metadata"].pop("managedFields", None) or ()
    ours = [
        entry["time"]
        for entry in managed
        if entry.get("manager") == FIELD_MANAGER and "time" in entry and "subresource" not in entry
    ]
    return Cached(trim(body), datetime.fromisoformat(max(ours)) if ours else None, packer)


_ENDPOINT_METADATA = (
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
)
"""
The rest of an endpoint's metadata means nothing to a pass, and may be of any size; of its annotations, only the one by
which a verification is asked for is kept.
"""


def endpoint(body: Body) -> Body:
    """Keep of an endpoint what a pass reads; a spec that is too large becomes the reason why it is not kept."""
    kept: Body = {name: body[name] for name in ("apiVersion", "kind") if name in body}
    kept["metadata"] = identity(body)
    if len(as_json(body.get("spec") or {})) > LARGEST_SPEC:
        kept[UNREADABLE] = f"spec: has more than {LARGEST_SPEC >> 10} KiB"
    elif "spec" in body:
        kept["spec"] = body["spec"]
    if len(as_json(body.get("status") or {})) <= LARGEST_STATUS:
        kept["status"] = body.get("status") or {}
    return kept


def identity(body: Body) -> Body:
    """Metadata of an endpoint as far as a pass reads it; raises `KeyError` for what is no object."""
    metadata = body["metadata"]
    named = {"name": metadata["name"], "uid": metadata["uid"]}
    kept = named | {name: metadata[name] for name in _ENDPOINT_METADATA if name in metadata}
    if request := verification_request(metadata):
        kept["annotations"] = {VERIFY_ANNOTATION: request}
    return kept


def of_an_endpoint(stored: Cached) -> bool:
    """Whether an object belongs to an endpoint; one that only has our label means nothing to us."""
    return stored.endpoint is not None


def whole(body: Body) -> Body:
    """Keep all: the object is compared with what we want."""
    return body


def config_map(body: Body) -> Body:
    """Keep all, but nothing of foreign size."""
    data = body.get("data")
    body.pop("binaryData", None)
    if data and sum(map(len, data.values())) > LARGEST_DATA:
        body["data"] = {}
    return body


def ingress(body: Body) -> Body:
    """Keep all of our own; of foreign ones only what they serve, to see a host that is served twice."""
    if Cached(body).endpoint is not None:
        return body
    kept = identity_and_age(body)
    annotations = body["metadata"].get("annotations") or {}
    if decisive := {key: value for key, value in annotations.items() if says_where(key)}:
        kept["annotations"] = decisive
    spec = body.get("spec") or {}
    rules = [
        {
            "host": rule.get("host", ""),
            "http": {
                "paths": [
                    {"path": path.get("path", "/")} for path in (rule.get("http") or {}).get("paths") or ()
                ]
            },
        }
        for rule in spec.get("rules") or ()
    ]
    classes = {"ingressClassName": spec["ingressClassName"]} if spec.get("ingressClassName") else {}
    return {"metadata": kept, "spec": {**classes, "rules": rules}, "services": _services(spec)}


def _services(spec: Body) -> list[str]:
    """The Services that the rules of an Ingress lead to; an empty name stands for a backend that is none."""
    backends = [
        path.get("backend") or {}
        for rule in spec.get("rules") or ()
        for path in (rule.get("http") or {}).get("paths") or ()
    ]
    return sorted({(backend.get("service") or {}).get("name", "") for backend in backends})


def http_route(body: Body) -> Body:
    """Keep all of our own; of foreign ones only what they serve."""
    if Cached(body).endpoint is not None:
        return body
    spec = body.get("spec") or {}
    parents = [
        {key: ref[key] for key in ("name", "namespace") if key in ref} for ref in spec.get("parentRefs") or ()
    ]
    rules = [
        {
            "matches": [
                {"path": {"value": (match.get("path") or {}).get("value")}}
                | (
                    {"headers": [header["name"] for header in match["headers"]]}
                    if match.get("headers")
                    else {}
                )
                for match in rule["matches"]
            ]
        }
        if rule.get("matches")
        else {}
        for rule in spec.get("rules") or ()
    ]
    served = {"parentRefs": parents, "hostnames": spec.get("hostnames") or [], "rules": rules}
    return {"metadata": identity_and_age(body), "spec": served}


def pod(body: Body) -> Body:
    """Keep what tells whether it serves and why not, and which ConfigMaps it mounts."""
    metadata, spec, status = body["metadata"], body.get("spec") or {}, body.get("status") or {}
    return {
        "metadata": {k: v for k, v in metadata.items() if k != "annotations"},
        "spec": {
            "configMaps": [v["configMap"]["name"] for v in spec.get("volumes") or () if "configMap" in v],
            "claims": [
                v["persistentVolumeClaim"]["claimName"]
                for v in spec.get("volumes") or ()
                if "persistentVolumeClaim" in v
            ]
            + [f"Secret {v['secret'].get('secretName')}" for v in spec.get("volumes") or () if "secret" in v],
            "images": {
                c["name"]: c["image"] for c in (*spec.get("initContainers", ()), *spec.get("containers", ()))
            },
            "memoryLimits": {
                c["name"]: c["resources"]["limits"]["memory"]
                for c in (*spec.get("initContainers", ()), *spec.get("containers", ()))
                if "memory" in ((c.get("resources") or {}).get("limits") or {})
            },
            "startSeconds": {
                c["name"]: c["startupProbe"].get("periodSeconds", 10)
                * c["startupProbe"].get("failureThreshold", 3)
                for c in spec.get("containers", ())
                if "startupProbe" in c
            },
            "graceSeconds": spec.get("terminationGracePeriodSeconds", 30),
        },
        "status": {
            key: status[key]
            for key in (
                "phase",
                "podIP",
                "reason",
                "message",
                "conditions",
                "containerStatuses",
                "initContainerStatuses",
            )
            if key in status
        },
    }


def bare(body: Body) -> Body:
    """Keep metadata without annotations that change for no reason of ours, and the revision."""
    metadata = dict(body["metadata"])
    revision = (metadata.pop("annotations", None) or {}).get("deployment.kubernetes.io/revision", "")
    return {"metadata": metadata, "revision": revision}


def ingress_class(body: Body) -> Body:
    """Keep the controller."""
    return {"metadata": _name(body), "spec": {"controller": (body.get("spec") or {}).get("controller", "")}}


def gateway_class(body: Body) -> Body:
    """Keep the controller and the features it claims."""
    features = (body.get("status") or {}).get("supportedFeatures") or ()
    names = sorted(feature["name"] if isinstance(feature, dict) else str(feature) for feature in features)
    return {
        "metadata": _name(body),
        "spec": {"controllerName": (body.get("spec") or {}).get("controllerName", "")},
        "features": names,
    }


def gateway(body: Body) -> Body:
    """Keep its class, where it listens and for whom, whether its author chose the addresses, and what selects it."""
    labels = body["metadata"].get("labels")
    return {
        "metadata": _name(body) | ({"labels": labels} if labels else {}),
        "spec": {"gatewayClassName": (body.get("spec") or {}).get("gatewayClassName", "")},
        "placed": bool((body.get("spec") or {}).get("addresses")),
        "listeners": [_listener(listener) for listener in (body.get("spec") or {}).get("listeners") or ()],
        "addresses": [
            entry["value"]
            for entry in (body.get("status") or {}).get("addresses") or ()
            if entry.get("value")
        ],
    }


def _listener(listener: Body) -> Body:
    """Name, port and hostname of a listener, what it does with TLS, which routes attach; with the API's defaults."""
    allowed = listener.get("allowedRoutes") or {}
    return {
        "name": listener["name"],
        "port": int(listener["port"]),
        "protocol": listener["protocol"],
        "hostname": listener.get("hostname") or "",
        "mode": (listener.get("tls") or {}).get("mode") or "Terminate",
        "from": (allowed.get("namespaces") or {}).get("from") or "Same",
        "kinds": [kind["kind"] for kind in allowed.get("kinds") or ()],
    }


def identity_and_age(body: Body) -> Body:
    """Identity, version and age of an object of somebody else; its deletion, too."""
    fields = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp", "deletionTimestamp")
    return {key: body["metadata"][key] for key in fields if key in body["metadata"]}


def _name(body: Body) -> Body:
    """Identity and version of an object that is never written."""
    metadata = body["metadata"]
    return {k: metadata[k] for k in ("name", "namespace", "uid", "resourceVersion") if k in metadata}


def still_carries(old: Cached, new: Cached) -> Cached:
    """A version in which nothing differs carries what the one before it was found to carry."""
    new.carries = old.carries
    return new
