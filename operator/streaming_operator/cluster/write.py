"""
Write one child: server-side apply, and what it takes where others' fields stand in its way.

Applying sets our fields and leaves those of others. Where both together are invalid (a literal beside a reference,
a second source of a volume), we become the owner of what stands beside ours and apply again: what we own and do not
send goes away.
"""

from dataclasses import dataclass

from streaming_operator import metrics
from streaming_operator.api.naming import FIELD_MANAGER
from streaming_operator.cluster.drift import APPLIED_HASH, carries, first_difference, outlived_mirrors
from streaming_operator.cluster.objects import Cached
from streaming_operator.cluster.store import Caches
from streaming_operator.errors import ClusterError, Rejected
from streaming_operator.kinds import Key, Kind
from streaming_operator.kube import managed_fields
from streaming_operator.kube.client import Transport
from streaming_operator.kube.managed_fields import Path
from streaming_operator.kube.objects import Body
from streaming_operator.values import Manifest


@dataclass(frozen=True, slots=True)
class Child:
    """One manifest with what is known of the object of its name."""

    kind: Kind
    manifest: Manifest
    stored: Cached | None

    @property
    def key(self) -> Key:
        """`(namespace, name)`."""
        return (self.manifest["metadata"]["namespace"], self.manifest["metadata"]["name"])

    @property
    def title(self) -> str:
        """`Kind/name`."""
        return f"{self.kind.kind}/{self.key[1]}"

    @property
    def path(self) -> str:
        """Its address in the API."""
        return self.kind.path(*self.key)

    @property
    def hash(self) -> str:
        """The applied hash of the manifest."""
        value: str = self.manifest["metadata"]["annotations"][APPLIED_HASH]
        return value

    @property
    def differs(self) -> bool:
        """Whether it must be written; the answer is kept with the cached object until that changes."""
        if self.stored is None:
            return True
        if self.stored.carries != self.hash:
            if not carries(self.stored.body, self.manifest):
                return True
            self.stored.carries = self.hash
        return False


class Writer:
    """Writes children; keeps nothing between two calls."""

    def __init__(self, transport: Transport, caches: Caches) -> None:
        self._transport = transport
        self._caches = caches

    async def write(self, child: Child) -> None:
        """Make the object as the manifest says; the uid keeps it from raising one that was deleted meanwhile."""
        manifest = child.manifest
        if child.stored is not None:
            manifest = {**manifest, "metadata": {**manifest["metadata"], "uid": child.stored.uid}}
        informer = self._caches.informer(child.kind, child.key[0])
        with informer.writing(child.key):
            response = await self._apply(child, manifest)
            version = response["metadata"]["resourceVersion"]
            stored = informer.note(response)
        metrics.WRITES.labels(kind=child.kind.kind, verb="apply").inc()
        # The API server has just taken all of it: a spelling unknown to `carries` is not written again. That holds for
        # the version of this response only: what the watch has brought since may be somebody else's edit.
        if stored.resource_version == version:
            stored.carries = child.hash

    async def author(self, child: Child) -> str:
        """Who changed the child last, by field manager; ourselves when a second operator has our name."""
        try:
            live = await self._read(child)
        except ClusterError:
            return "somebody who deletes it"
        names = first_difference(live, child.manifest)
        field = ".".join(names) or "a field"
        other = managed_fields.last_author(live, names, FIELD_MANAGER)
        if other is None:
            return f"field manager {FIELD_MANAGER} ({field}): a second operator with other settings?"
        return f"field manager {other} ({field})"

    async def _apply(self, child: Child, manifest: Manifest) -> Body:
        """Server-side apply; what it is refused for is overcome when it is the union with others' fields."""
        if child.stored is not None and (mirrors := outlived_mirrors(child.stored.body, manifest)):
            await self._disown_mirrors(child, mirrors)
        try:
            return await self._send(child, manifest)
        except Rejected as error:
            refusal = error
        if child.stored is None or not refusal.fields or not await self._is_valid_alone(child):
            raise refusal
        beside = [managed_fields.names_of(field) for field in refusal.fields]
        for items in (
            False,
            True,
        ):  # single fields first; whole items that others added only if that is not enough
            live = await self._read(child)
            paths = managed_fields.not_sent(live, manifest, beside, items=items)
            if not paths:
                continue
            await self._take_over(child, live, paths)
            try:
                return await self._send(child, manifest)
            except Rejected as error:
                refusal = error
        raise refusal

    async def _disown_mirrors(self, child: Child, mirrors: list[Path]) -> None:
        """Copies that the API server made of a field of ours go with it, unless somebody else has set them."""
        live = await self._read(child)
        if not any(set(managed_fields.owners(live, path)) - {FIELD_MANAGER} for path in mirrors):
            await self._take_over(child, live, mirrors)

    async def _take_over(self, child: Child, live: Body, paths: list[Path]) -> None:
        """Make us the only owner of these fields; changes nothing else, and nothing of a newer version."""
        metadata = live["metadata"]
        change = {
            "uid": metadata["uid"],
            "resourceVersion": metadata["resourceVersion"],
            "managedFields": managed_fields.handed_over(live, paths, FIELD_MANAGER, child.kind.api_version),
        }
        await self._transport.merge(child.path, {"metadata": change}, self._doing("take over", child))

    async def _is_valid_alone(self, child: Child) -> bool:
        """Whether the API server would take the manifest if nobody else had touched the object."""
        metadata = dict(child.manifest["metadata"])
        metadata["generateName"] = f"{metadata.pop('name')}-"
        collection = child.kind.path(child.key[0])
        try:
            await self._transport.validate(
                collection, {**child.manifest, "metadata": metadata}, self._doing("check", child)
            )
        except ClusterError:
            return False
        return True

    async def _send(self, child: Child, manifest: Manifest) -> Body:
        """Take fields from others in an object that is ours; not in one that was made since none was found."""
        force = child.stored is not None
        return await self._transport.apply(child.path, manifest, self._doing("write", child), force=force)

    async def _read(self, child: Child) -> Body:
        return await self._transport.read(child.path, self._doing("read", child))

    def _doing(self, verb: str, child: Child) -> str:
        return f"{verb} {child.title} in {child.key[0]}"
