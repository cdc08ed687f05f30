"""
One kind, kept in step with the API server: list, replace, watch; on any error list again.

Owns the cache of the kind and nothing else. It reports each change once, whatever brought it: an event, a list after a
gap, or the response to our own write. No failure ends it; it comes back with backoff.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from typing import Any, Generic, TypeVar

from streaming_operator import metrics
from streaming_operator.errors import ClusterError, Expired, Unreachable
from streaming_operator.kinds import Key, Kind
from streaming_operator.kube import decode, paging
from streaming_operator.kube.client import METADATA, METADATA_LIST, Transport
from streaming_operator.kube.objects import Body, StoredObject, unchanged

WATCH_SECONDS = 300
"""Shortest life of one watch; up to a third is added, so that watches do not end together."""
FIRST_BACKOFF_SECONDS = 0.5
LONGEST_BACKOFF_SECONDS = 30.0

MOST_NAMED = 100
"""Unreadable objects of a kind that the log names; the metric counts all of them."""

SHORT_WATCH_SECONDS = 1.0
"""A watch that lasted less and brought nothing counts as a failure: the next one waits."""


class Change(Enum):
    """What is new about an object that is reported."""

    FOREIGN = "somebody else changed it, or made or deleted it"
    OWN = "we wrote it ourselves"
    NONE = "nothing that is kept differs; only its version moved"


Stored = TypeVar("Stored", bound=StoredObject)
Changed = Callable[[Stored | None, Stored | None, Change], None]
"""Called with the object before and after; None: it did not or does not exist."""

log = logging.getLogger(__name__)


class Informer(Generic[Stored]):
    """The cache of one kind in one namespace, or in all of them; `keep` makes what is stored of a body."""

    def __init__(
        self,
        transport: Transport,
        kind: Kind,
        keep: Callable[[Body], Stored],
        changed: Changed[Stored],
        *,
        namespace: str | None = None,
        selector: str | None = None,
        metadata_only: bool = False,
        wanted: Callable[[Stored], bool] = lambda stored: True,
        same: Callable[[Stored, Stored], Stored] = lambda old, new: new,
    ) -> None:
        """
        `wanted` says which objects are kept; `same` may carry over to the new version what was learnt of one that did
        not differ.
        """
        self.kind = kind
        self._transport = transport
        self._changed = changed
        self._path = kind.path(namespace)
        self._query = {"labelSelector": selector} if selector else {}
        self._keep = keep
        self._wanted = wanted
        self._same = same
        self._left_out: dict[str, None] = {}
        """Objects of which the log has said that they cannot be read."""
        self._metadata_only = metadata_only
        self._objects: dict[Key, Stored] = {}
        self._gone: dict[str, str | None] = {}
        """By uid: the version of the event that told it; None where a list did not have the object."""
        self._writing: dict[Key, str | None] = {}
        self._listing: dict[Key, Stored] | None = None
        """Objects that we wrote while a list was under way: the list may have been taken before."""
        self._version = ""
        self._failures = 0
        self._sign_of_life: float | None = None
        self._heard = 0.0
        self.synced = asyncio.Event()

    def __iter__(self) -> Iterator[Stored]:
        """Every object that is known now."""
        return iter(tuple(self._objects.values()))

    def __len__(self) -> int:
        """How many objects are known."""
        return len(self._objects)

    def get(self, key: Key) -> Stored | None:
        """The object of that `(namespace, name)`."""
        return self._objects.get(key)

    @property
    def age(self) -> float:
        """
        Seconds since this informer last heard of the API server or failed to: it moves; infinite before the first list.
        """
        now = asyncio.get_running_loop().time()
        return float("inf") if self._sign_of_life is None else now - self._sign_of_life

    @property
    def silence(self) -> float:
        """Seconds since the API server last answered or sent something here, or since the start."""
        return asyncio.get_running_loop().time() - self._heard

    async def run(self) -> None:
        """Keep the cache in step until cancelled."""
        self._heard = asyncio.get_running_loop().time()
        listed = False
        short = 0
        while True:
            try:
                if not listed:
                    await self._list()
                    listed = True
                    self.synced.set()
                short = 0 if await self._watch() else short + 1
                if short:
                    await asyncio.sleep(_backoff(short))
            except ClusterError as error:
                listed = False
                self._alive()
                self._failures += 1
                metrics.WATCH_RESTARTS.labels(kind=self.kind.kind).inc()
                log.log(
                    logging.INFO if self._failures < 3 else logging.WARNING,
                    "watch of %s: %s; listing again",
                    self.kind.kind,
                    error,
                )
                await asyncio.sleep(_backoff(self._failures))
            except Exception:  # a response of unexpected form must not end the informer
                listed = False
                self._alive()
                self._failures += 1
                log.exception("watch of %s failed unexpectedly; listing again", self.kind.kind)
                await asyncio.sleep(_backoff(self._failures))

    @contextmanager
    def writing(self, key: Key) -> Iterator[None]:
        """
        While we write an object, its first event is probably our own and wakes nobody.

        If the answer (`note`) does not turn out to be that very version, it was somebody else's: reported afterwards.
        """
        self._writing[key] = None
        try:
            yield
        finally:
            unexplained = self._writing.pop(key, None)
            known = self._objects.get(key)
            if unexplained is not None and known is not None:
                self._changed(known, known, Change.FOREIGN)

    def note(self, body: Body) -> Stored:
        """
        Take in the response to our own write; returns what is stored then, which is newer where the watch was faster.
        """
        key, version = _key_of(body["metadata"]), body["metadata"]["resourceVersion"]
        known = self._objects.get(key)
        if self._writing.get(key) == version:
            self._writing[key] = None
        if known is not None and not _newer(version, known.resource_version):
            return known
        written = self._keep(body)
        if not self._is_gone(written.uid, version):
            self._objects[written.key] = written
            if self._listing is not None:
                self._listing[written.key] = written
            self._changed(known, written, Change.OWN)
        return written

    async def _list(self) -> None:
        """Read all pages and replace the cache; what is no longer there is reported as deleted."""
        fresh: dict[Key, Stored] = {}
        self._listing = {}
        try:
            pages = paging.pages(
                self._transport,
                self._path,
                f"list {self.kind.plural}",
                query=self._query,
                accept=METADATA_LIST if self._metadata_only else None,
            )
            version = self._version
            async for page in pages:
                for body in page.items():
                    stored = self._stored(body)
                    if stored is not None and self._wanted(stored):
                        fresh[stored.key] = stored
                self._hear()
                version = page.metadata["resourceVersion"]
                del page  # not held while the next one is read
            self._version = version
            self._replace(fresh | self._written_since(fresh))
        finally:
            self._listing = None

    def _written_since(self, fresh: dict[Key, Stored]) -> dict[Key, Stored]:
        """What we wrote while the list was under way and the list does not show yet."""
        return {
            key: written
            for key, written in (self._listing or {}).items()
            if key in self._objects
            and (key not in fresh or _newer(written.resource_version, fresh[key].resource_version))
        }

    def _replace(self, fresh: dict[Key, Stored]) -> None:
        """
        Take over a whole list. It is right whatever its versions are: after a restore of etcd they begin lower.
        """
        for key in [key for key in self._objects if key not in fresh]:
            self._drop(key, None)
        for key, stored in fresh.items():
            self._put(key, stored, authoritative=True)

    async def _watch(self) -> bool:
        """
        Follow the changes since the last version until the watch ends by itself.

        False for one that ended at once without a line, as a proxy or a server that shuts down makes it.
        """
        opened, lines_read = asyncio.get_running_loop().time(), 0
        query = {
            **self._query,
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version,
            "timeoutSeconds": str(WATCH_SECONDS + random.randrange(WATCH_SECONDS // 3)),
        }
        accept = METADATA if self._metadata_only else None
        async with self._transport.watch(self._path, query, f"watch {self.kind.plural}", accept) as lines:
            self._hear()
            async for line in lines:
                self._hear()
                if line:
                    self._take(line)
                    self._failures = 0
                    lines_read += 1
        return lines_read > 0 or asyncio.get_running_loop().time() - opened >= SHORT_WATCH_SECONDS

    def _take(self, line: bytes) -> None:
        """Apply one line of a watch; raises `Expired` or `Unreachable` for an error event."""
        try:
            event: dict[str, Any] = decode.value(line)
            kind, body = event["type"], event["object"]
        except (ValueError, KeyError, TypeError) as error:
            raise Unreachable(f"cannot watch {self.kind.plural}: a line is not an event") from error
        if kind == "ERROR":
            code = body.get("code")
            raise (Expired if code == 410 else Unreachable)(
                f"cannot watch {self.kind.plural}: {body.get('message')} ({code})"
            )
        version = body["metadata"]["resourceVersion"]
        if kind != "BOOKMARK" and (kind == "DELETED" or not self._is_stored(body["metadata"])):
            self._take_object(body, deleted=kind == "DELETED")
        self._version = version

    def _take_object(self, body: Body, *, deleted: bool) -> None:
        """Store or drop the object of an event."""
        key, metadata = _key_of(body["metadata"]), body["metadata"]
        if deleted:
            self._drop(key, metadata["uid"], metadata["resourceVersion"])
            return
        stored, old = self._stored(body), self._objects.get(key)
        if stored is not None and self._wanted(stored):
            self._put(key, stored)
        elif old is not None and not _newer(old.resource_version, metadata["resourceVersion"]):
            del self._objects[key]  # what was kept of it is no longer so
            self._changed(old, None, Change.FOREIGN)

    def _stored(self, body: Body | decode.Unreadable) -> Stored | None:
        """What is kept of an object; None for one that cannot be read: it costs only itself."""
        if isinstance(body, decode.Unreadable):
            self._leave_out(body.name, body.cause)
            return None
        try:
            return self._keep(body)
        except Exception as error:  # noqa: BLE001 - somebody has stored what no code expects: the log names the object
            metadata = body.get("metadata") or {}
            name = f"{metadata.get('namespace', '')}/{metadata.get('name', '')}"
            self._leave_out(name, f"{type(error).__name__}: {error}"[:200])
            return None

    def _leave_out(self, name: str, cause: str) -> None:
        metrics.UNREADABLE.labels(kind=self.kind.kind).inc()
        if name not in self._left_out and len(self._left_out) < MOST_NAMED:
            self._left_out[name] = None
            log.warning(
                "%s %s cannot be read and is left out", self.kind.kind, name[:512], extra={"cause": cause}
            )

    def _is_stored(self, metadata: Mapping[str, Any]) -> bool:
        """Whether this very version is stored already: most events are of our own writes, noted from the response."""
        known = self._objects.get(_key_of(metadata))
        return known is not None and (known.uid, known.resource_version) == (
            metadata["uid"],
            metadata["resourceVersion"],
        )

    def _drop(self, key: Key, uid: str | None, version: str | None = None) -> None:
        """Forget an object and report it, if it is the one of that uid (None: whichever is there)."""
        old = self._objects.get(key)
        self._remember_gone(uid or (old.uid if old is not None else None), version)
        if old is not None and uid in (None, old.uid):
            del self._objects[key]
            self._changed(old, None, Change.FOREIGN)

    def _put(self, key: Key, new: Stored, *, authoritative: bool = False) -> None:
        """Replace one object and report it; an event that is older than what is stored changes nothing."""
        old = self._objects.get(key)
        if old is not None and not authoritative and _newer(old.resource_version, new.resource_version):
            return
        if old is not None and old.uid == new.uid and unchanged(old, new):
            self._objects[key] = new = self._same(old, new)
            self._changed(old, new, Change.NONE)
            return
        self._objects[key] = new
        ours = key in self._writing and self._writing[key] is None
        if ours:
            self._writing[key] = new.resource_version
        self._changed(old, new, Change.OWN if ours else Change.FOREIGN)

    def _is_gone(self, uid: str, version: str) -> bool:
        """
        Whether that version is of an object that is no longer there. One that only lost the label by which it is
        listed is told as deleted too: a version that is written later has the label again.
        """
        if uid not in self._gone:
            return False
        told = self._gone[uid]
        return told is None or not _newer(version, told)

    def _remember_gone(self, uid: str | None, version: str | None) -> None:
        """Keep the last uids that were deleted, so that a late response to our own write does not bring one back."""
        if uid is not None:
            self._gone[uid] = version
            if len(self._gone) > 1000:
                del self._gone[next(iter(self._gone))]

    def clear(self) -> None:
        """Forget everything: the kind itself is gone."""
        self._replace({})

    def _hear(self) -> None:
        """Note that the API server has sent something that was asked for."""
        self._alive()
        self._heard = asyncio.get_running_loop().time()

    def _alive(self) -> None:
        """Note that this informer moves."""
        self._sign_of_life = asyncio.get_running_loop().time()


def _key_of(metadata: Mapping[str, Any]) -> Key:
    """`(namespace, name)` of the object with this metadata."""
    return (metadata.get("namespace", ""), metadata["name"])


def _newer(known: str, other: str) -> bool:
    """Whether *known* is later than *other*; both come from one etcd, where versions are numbers."""
    return known.isdigit() and other.isdigit() and int(known) > int(other)


def _backoff(failures: int) -> float:
    """Seconds before the next try, with jitter."""
    seconds = min(FIRST_BACKOFF_SECONDS * 2.0 ** min(failures - 1, 20), LONGEST_BACKOFF_SECONDS)
    return seconds * random.uniform(0.5, 1.0)
