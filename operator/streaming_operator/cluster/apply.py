"""
Bring the children of one endpoint to what was rendered: refuse, write what differs, prune.

One code path for a first apply, a changed spec, drift and a restart. Nothing is written before every child's
name was found free or ours; a missing child is made only for an endpoint that was just read and is alive. A child
that is refused keeps no other from being written, and one that others change back again and again is written less and
less often.
"""

import asyncio
import logging
from dataclasses import dataclass, replace

from streaming_operator import metrics
from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.cluster import resources
from streaming_operator.cluster.drift import sealed
from streaming_operator.cluster.objects import ENDED, Cached, whole
from streaming_operator.cluster.repairs import Repairs
from streaming_operator.cluster.store import Caches
from streaming_operator.cluster.write import Child, Writer
from streaming_operator.errors import (
    ClusterError,
    Conflict,
    EndpointGone,
    Forbidden,
    KindMissing,
    NamespaceGone,
    NotFound,
    NotOurs,
    Overwritten,
    Rejected,
    Unreachable,
)
from streaming_operator.kinds import Key, Kind
from streaming_operator.kube.client import METADATA, Transport
from streaming_operator.values import Manifest

ENDS_THE_PASS = (EndpointGone, NamespaceGone, Unreachable)
"""Errors that every further write would meet too; any other concerns one child."""

OF_ONE_KIND = (Forbidden, KindMissing, Rejected)
"""Errors of a look for a name that say nothing of children of other kinds."""

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


class Applier:
    """Writes children; remembers what it sent last, to notice that others change it back."""

    def __init__(self, transport: Transport, caches: Caches) -> None:
        self._transport = transport
        self._caches = caches
        self._writer = Writer(transport, caches)
        self._sent: dict[Key, dict[str, str]] = {}
        """By endpoint, then kind: the applied hash that was written last."""
        self._repairs = Repairs()

    def forget(self, key: Key) -> None:
        """Drop what is remembered of the children of an endpoint that is gone."""
        for kind in self._sent.pop(key, ()):
            self._repairs.forget((key, kind))

    async def apply(
        self,
        endpoint: StreamingEndpoint,
        manifests: tuple[Manifest, ...],
        kept: frozenset[Kind] = frozenset(),
    ) -> Applied:
        """
        Make the cluster hold exactly *manifests* for *endpoint*; objects of the kinds *kept* stay as they are.

        Raises `NotOurs` naming the object and its owner, `EndpointGone` when the endpoint is, `Conflict` while an
        object of an earlier endpoint of the same name is still being deleted, or what the API server says of the
        first child that it refuses, after the others were written; `Overwritten` naming who changes a child back
        again and again.
        """
        children = [self._child(endpoint, manifest) for manifest in manifests]
        for child in children:
            if child.stored is not None:
                check_owner(endpoint, child, child.stored)
        due = [
            child
            for child in children
            if child.differs and not (child.stored is not None and child.stored.deleting)
        ]
        missing = [child for child in due if child.stored is None]
        written: list[str] = []
        refusals: list[ClusterError] = []
        if missing:
            await self._check_alive(endpoint)
            objects, refusals = await self._find_all(endpoint, missing)
            due = [
                replace(child, stored=child.stored or objects[child.title])
                for child in due
                if child.stored is not None or child.title in objects
            ]
        for child in due:
            try:
                if await self._write(endpoint.key, child):
                    written.append(child.title)
            except ENDS_THE_PASS:
                raise
            except ClusterError as error:
                refusals.append(error)
        pruned = [
            await self._prune(kind, stored)
            for kind, stored in self._surplus(endpoint, children)
            if kind not in kept
            and not (
                refusals and kind is resources.CONFIG_MAPS
            )  # a Deployment that stays as it was may need it
        ]
        if refusals:
            raise refusals[0]
        self._check_undisturbed(endpoint.key, children)
        return Applied(tuple(written), tuple(pruned))

    def _child(self, endpoint: StreamingEndpoint, manifest: Manifest) -> Child:
        """Lay a manifest beside the object of its name."""
        kind = resources.BY_NAME[manifest["apiVersion"], manifest["kind"]]
        stored = self._caches.get(kind, (endpoint.namespace, manifest["metadata"]["name"]))
        if stored is not None and stored.endpoint is None and kind in resources.POLICIES:
            stored = None  # somebody else's, which keeps nothing else from being written
        return Child(kind, sealed(manifest), stored)

    async def _check_alive(self, endpoint: StreamingEndpoint) -> None:
        """Read the endpoint fresh: no child is ever made for one that is gone."""
        path = resources.ENDPOINTS.path(endpoint.namespace, endpoint.name)
        try:
            body = await self._transport.read(
                path, f"read StreamingEndpoint {_name(endpoint)}", accept=METADATA
            )
        except NotFound as error:
            raise EndpointGone(str(error)) from error
        if body["metadata"]["uid"] != endpoint.uid or "deletionTimestamp" in body["metadata"]:
            raise EndpointGone(
                f"StreamingEndpoint {_name(endpoint)} of uid {endpoint.uid} is gone or being deleted"
            )

    async def _find_all(
        self, endpoint: StreamingEndpoint, missing: list[Child]
    ) -> tuple[dict[str, Cached | None], list[ClusterError]]:
        """The objects that have the names of missing children, by title; and the refusals to read some of them."""
        results = await asyncio.gather(
            *(self._find(endpoint, child) for child in missing), return_exceptions=True
        )
        objects: dict[str, Cached | None] = {}
        refusals: list[ClusterError] = []
        for child, result in zip(missing, results, strict=True):
            # A policy that somebody wrote by hand under the endpoint's name keeps nothing else from being written.
            of_one = (*OF_ONE_KIND, NotOurs) if child.kind in resources.POLICIES else OF_ONE_KIND
            if isinstance(result, of_one):
                refusals.append(result)
            elif isinstance(result, BaseException):
                raise result
            else:
                objects[child.title] = result
        return objects, refusals

    async def _find(self, endpoint: StreamingEndpoint, child: Child) -> Cached | None:
        """
        Find an object of a missing child's name; foreign ones lack our label and are in no cache, or not taken from it.

        One that is ours all the same (somebody took the label away) is written again, not refused. The API server's
        watch cache is not asked (`resourceVersion=0`): it may not have an object yet, which we would then take over.
        """
        doing = f"read {child.title} in {endpoint.namespace}"
        try:
            body = await self._transport.read(child.path, doing, accept=METADATA)
        except NotFound:
            return None
        stored = Cached(whole(body))
        check_owner(endpoint, child, stored)
        if stored.deleting:
            raise Conflict(f"{child.title} is being deleted; it is made again when it is gone")
        return stored

    async def _write(self, key: Key, child: Child) -> bool:
        """Write a child; False when somebody changes it back so often that it has to wait."""
        sent, row = self._sent.setdefault(key, {}), (key, child.kind.kind)
        now = asyncio.get_running_loop().time()
        if sent.get(child.kind.kind) == child.hash:
            if self._repairs.pause(row, now) > 0:
                return False
            self._repairs.count(row, now)
            if self._repairs.pause(row, now) > 0:
                self._repairs.note_author(row, await self._writer.author(child))
        await self._writer.write(child)
        sent[child.kind.kind] = child.hash
        return True

    def _check_undisturbed(self, key: Key, children: list[Child]) -> None:
        """Raise `Overwritten` for children that somebody changes back again and again."""
        now = asyncio.get_running_loop().time()
        overwritten = [
            f"{child.title} in {child.key[0]} is changed back again and again by {author}"
            for child in children
            if (author := self._repairs.author((key, child.kind.kind), now))
        ]
        if overwritten:
            raise Overwritten(f"{'; '.join(overwritten)}. It is repaired once a minute until that ends")

    def _surplus(self, endpoint: StreamingEndpoint, children: list[Child]) -> list[tuple[Kind, Cached]]:
        """
        Objects of this very endpoint that are no longer rendered and that nothing needs any more; what is written last
        comes first.
        """
        wanted = {(child.kind, child.manifest["metadata"]["name"]) for child in children}
        surplus = [
            (kind, stored)
            for kind, stored in self._caches.owned(endpoint.key)
            if (kind, stored.key[1]) not in wanted
            and not stored.deleting
            and stored.is_controlled_by(endpoint.uid)
        ]
        surplus.sort(key=lambda one: resources.CHILDREN.index(one[0]), reverse=True)
        if not any(kind is resources.CONFIG_MAPS for kind, _ in surplus):
            return surplus
        pods = (pod.body for pod in self._caches.of_endpoint(endpoint.key, resources.PODS))
        mounted = {
            name
            for body in pods
            if body["status"].get("phase") not in ENDED
            for name in body["spec"]["configMaps"]
        }
        return [
            (kind, stored)
            for kind, stored in surplus
            if not (kind is resources.CONFIG_MAPS and stored.key[1] in mounted)
        ]

    async def _prune(self, kind: Kind, stored: Cached) -> str:
        """Delete one object if it is still the one that was seen."""
        namespace, name = stored.key
        title = f"{kind.kind}/{name}"
        try:
            await self._transport.delete(
                kind.path(namespace, name), stored.uid, f"delete {title} in {namespace}"
            )
        except (NotFound, Conflict) as error:
            log.debug("pruning %s in %s: already gone (%s)", title, namespace, error)
        metrics.WRITES.labels(kind=kind.kind, verb="delete").inc()
        return title


def check_owner(endpoint: StreamingEndpoint, child: Child, stored: Cached) -> None:
    """Refuse an object that this endpoint does not control."""
    owner = stored.controller
    if owner is not None and owner.uid == endpoint.uid:
        return
    if owner is not None and stored.endpoint == endpoint.key and owner.kind == resources.ENDPOINTS.kind:
        raise Conflict(
            f"{child.title} still belongs to an earlier endpoint of this name and is being deleted"
        )
    held = f"is controlled by {owner.kind}/{owner.name}" if owner is not None else "is controlled by nobody"
    raise NotOurs(
        f"{child.title} in namespace {endpoint.namespace} exists and {held}: "
        "delete or rename it, or give this endpoint another name"
    )


def _name(endpoint: StreamingEndpoint) -> str:
    """`namespace/name`."""
    return f"{endpoint.namespace}/{endpoint.name}"
