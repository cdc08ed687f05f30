"""
Bring the children of one endpoint to what was rendered: refuse, write what differs, prune.

One code path for a first apply, a changed spec, drift and a restart. Nothing is written before every child's
name was found free or ours; a missing child is made only for an endpoint that was just read and is alive.
"""

import asyncio
import logging
from dataclasses import dataclass

from streaming_operator import metrics
from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.cluster.drift import APPLIED_HASH, carries, sealed
from streaming_operator.cluster.objects import Cached, whole
from streaming_operator.cluster.store import Caches
from streaming_operator.errors import Conflict, EndpointGone, NotFound, NotOurs, Rejected
from streaming_operator.kube import resources
from streaming_operator.kube.client import METADATA, Transport
from streaming_operator.kube.objects import Body
from streaming_operator.kube.resources import Kind
from streaming_operator.values import Manifest

FROM_CACHE = {"resourceVersion": "0"}
"""Asks the API server to answer from its memory: good enough to see whose name it is, and a third of the cost."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Applied:
    """What one apply did."""

    written: tuple[str, ...] = ()
    """`Kind/name` of every child that was created or changed."""
    pruned: tuple[str, ...] = ()
    """`Kind/name` of every child that was deleted because it is no longer rendered."""

    @property
    def writes(self) -> int:
        """Requests that changed something."""
        return len(self.written) + len(self.pruned)


@dataclass(frozen=True, slots=True)
class Child:
    """One manifest with what is known of the object of its name."""

    kind: Kind
    manifest: Manifest
    seen: Cached | None

    @property
    def title(self) -> str:
        """`Kind/name`."""
        return f"{self.kind.kind}/{self.manifest['metadata']['name']}"

    @property
    def differs(self) -> bool:
        """Whether it must be written; the answer is kept with the cached object until that changes."""
        if self.seen is None:
            return True
        wanted: str = self.manifest["metadata"]["annotations"][APPLIED_HASH]
        if self.seen.carries != wanted:
            if not carries(self.seen.body, self.manifest):
                return True
            self.seen.carries = wanted
        return False


class Applier:
    """Writes children; keeps nothing between two calls."""

    def __init__(self, transport: Transport, caches: Caches) -> None:
        self._transport = transport
        self._caches = caches

    async def apply(self, endpoint: StreamingEndpoint, manifests: tuple[Manifest, ...]) -> Applied:
        """
        Make the cluster hold exactly *manifests* for *endpoint*.

        Raises `NotOurs` naming the object and its owner, `EndpointGone` when the endpoint is, `Conflict` while an
        object of an earlier endpoint of the same name is still being deleted, or what the API server says.
        """
        children = [self._child(endpoint, manifest) for manifest in manifests]
        for child in children:
            if child.seen is not None:
                check_owner(endpoint, child, child.seen)
        due = [
            child
            for child in children
            if child.differs and not (child.seen is not None and child.seen.deleting)
        ]
        missing = [child for child in due if child.seen is None]
        if missing:
            await self._check_alive(endpoint)
            adopted = await asyncio.gather(*(self._look(endpoint, child) for child in missing))
            found = {id(child): seen for child, seen in zip(missing, adopted, strict=True)}
            due = [Child(c.kind, c.manifest, found[id(c)]) if id(c) in found else c for c in due]
        for child in due:
            await self._write(child)
        pruned = [await self._prune(kind, seen) for kind, seen in self._surplus(endpoint, children)]
        return Applied(tuple(child.title for child in due), tuple(pruned))

    def _child(self, endpoint: StreamingEndpoint, manifest: Manifest) -> Child:
        """Lay a manifest beside the object of its name."""
        kind = resources.BY_NAME[manifest["apiVersion"], manifest["kind"]]
        seen = self._caches.get(kind, (endpoint.namespace, manifest["metadata"]["name"]))
        return Child(kind, sealed(manifest), seen)

    async def _check_alive(self, endpoint: StreamingEndpoint) -> None:
        """Read the endpoint fresh: no child is ever made for one that is gone."""
        path = resources.ENDPOINTS.path(endpoint.namespace, endpoint.name)
        try:
            body = await self._transport.get(
                path, f"read StreamingEndpoint {_name(endpoint)}", accept=METADATA
            )
        except NotFound as error:
            raise EndpointGone(str(error)) from error
        if body["metadata"]["uid"] != endpoint.uid or "deletionTimestamp" in body["metadata"]:
            raise EndpointGone(
                f"StreamingEndpoint {_name(endpoint)} of uid {endpoint.uid} is gone or being deleted"
            )

    async def _look(self, endpoint: StreamingEndpoint, child: Child) -> Cached | None:
        """
        Find an object of a missing child's name; foreign ones lack our label and are in no cache.

        One that is ours all the same (somebody took the label away) is written again, not refused.
        """
        path = child.kind.path(endpoint.namespace, child.manifest["metadata"]["name"])
        doing = f"read {child.title} in {endpoint.namespace}"
        try:
            body = await self._transport.get(path, doing, query=FROM_CACHE, accept=METADATA)
        except NotFound:
            return None
        seen = Cached(whole(body))
        check_owner(endpoint, child, seen)
        if seen.deleting:
            raise Conflict(f"{child.title} is being deleted; it is made again when it is gone")
        return seen

    async def _write(self, child: Child) -> None:
        """Server-side apply; the uid keeps an update from raising an object that was deleted meanwhile."""
        manifest = child.manifest
        if child.seen is not None:
            manifest = {**manifest, "metadata": {**manifest["metadata"], "uid": child.seen.uid}}
        namespace, name = manifest["metadata"]["namespace"], manifest["metadata"]["name"]
        informer = self._caches.informer(child.kind, namespace)
        with informer.writing((namespace, name)):
            response = await self._send(child, manifest)
            version = response["metadata"]["resourceVersion"]
            stored = informer.note(response)
        metrics.WRITES.labels(kind=child.kind.kind, verb="apply").inc()
        # The API server has just taken all of it: a spelling unknown to `carries` is not written again. That holds for
        # the version of this response only: what the watch has brought since may be somebody else's edit.
        wanted = manifest["metadata"]["annotations"][APPLIED_HASH]
        if stored.resource_version == version:
            stored.carries = wanted

    async def _send(self, child: Child, manifest: Manifest) -> Body:
        """The request itself, and the one kind of refusal that can be overcome."""
        namespace, name = manifest["metadata"]["namespace"], manifest["metadata"]["name"]
        path, doing = child.kind.path(namespace, name), f"write {child.title} in {namespace}"
        try:
            return await self._transport.apply(path, manifest, doing)
        except Rejected:
            if child.kind is not resources.SERVICES or child.seen is None:
                raise
            # Ports that somebody added by hand stay under server-side apply and may contradict ours (same
            # name, other number): take the list over first.
            ports = {"metadata": {"uid": child.seen.uid}, "spec": {"ports": manifest["spec"]["ports"]}}
            await self._transport.merge(path, ports, doing)
            return await self._transport.apply(path, manifest, doing)

    def _surplus(self, endpoint: StreamingEndpoint, children: list[Child]) -> list[tuple[Kind, Cached]]:
        """Objects of this very endpoint that are no longer rendered and that nothing needs any more."""
        wanted = {(child.kind, child.manifest["metadata"]["name"]) for child in children}
        mounted = {
            name
            for pod in self._caches.of_endpoint(endpoint.key, resources.PODS)
            if pod.body["status"].get("phase") not in ("Succeeded", "Failed")
            for name in pod.body["spec"]["configMaps"]
        }
        return [
            (kind, seen)
            for kind, seen in self._caches.owned(endpoint.key)
            if (kind, seen.key[1]) not in wanted
            and not seen.deleting
            and seen.controller is not None
            and seen.controller["uid"] == endpoint.uid
            and not (kind is resources.CONFIG_MAPS and seen.key[1] in mounted)
        ]

    async def _prune(self, kind: Kind, seen: Cached) -> str:
        """Delete one object if it is still the one that was seen."""
        namespace, name = seen.key
        title = f"{kind.kind}/{name}"
        try:
            await self._transport.delete(
                kind.path(namespace, name), seen.uid, f"delete {title} in {namespace}"
            )
        except (NotFound, Conflict) as error:
            log.debug("pruning %s in %s: already gone (%s)", title, namespace, error)
        metrics.WRITES.labels(kind=kind.kind, verb="delete").inc()
        return title


def check_owner(endpoint: StreamingEndpoint, child: Child, seen: Cached) -> None:
    """Refuse an object that this endpoint does not control."""
    owner = seen.controller
    if owner is not None and owner["uid"] == endpoint.uid:
        return
    if owner is not None and seen.endpoint == endpoint.key and owner["kind"] == resources.ENDPOINTS.kind:
        raise Conflict(
            f"{child.title} still belongs to an earlier endpoint of this name and is being deleted"
        )
    held = (
        f"is controlled by {owner['kind']}/{owner['name']}"
        if owner is not None
        else "is controlled by nobody"
    )
    raise NotOurs(
        f"{child.title} in namespace {endpoint.namespace} exists and {held}: "
        "delete or rename it, or give this endpoint another name"
    )


def _name(endpoint: StreamingEndpoint) -> str:
    """`namespace/name`."""
    return f"{endpoint.namespace}/{endpoint.name}"
