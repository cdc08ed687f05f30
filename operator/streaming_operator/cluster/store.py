"""
All informers together: which kinds are followed, which object belongs to which endpoint, who must be woken.

Optional kinds are followed while the cluster has them; that is asked again every minute, so that a CRD
installed later is noticed without following all CRDs.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import partial

from streaming_operator.api.naming import MANAGED_BY_SELECTOR
from streaming_operator.cluster import objects, resources, retries
from streaming_operator.cluster.objects import Cached, Trim
from streaming_operator.cluster.places import hosts_of
from streaming_operator.errors import ClusterError, KindMissing, Unreachable
from streaming_operator.kinds import Key, Kind
from streaming_operator.kube.client import Transport
from streaming_operator.kube.informer import Change, Informer
from streaming_operator.kube.packing import Packer

DISCOVERY_SECONDS = 60.0
SYNC_SECONDS = 20.0
"""Patience with the first list of an optional kind."""

Dependency = tuple[Kind | str, Key | str]
"""
What an endpoint waits for besides its own children: a class or a Gateway by its key, `("host", name)`, or what others
say of retries in a namespace, `("retries", namespace)`.
"""

TRIMS: dict[Kind, Trim] = {
    resources.CONFIG_MAPS: objects.config_map,
    resources.INGRESSES: objects.ingress,
    resources.HTTP_ROUTES: objects.http_route,
    resources.PODS: objects.pod,
    resources.REPLICA_SETS: objects.bare,
    resources.INGRESS_CLASSES: objects.ingress_class,
    resources.GATEWAY_CLASSES: objects.gateway_class,
    resources.GATEWAYS: objects.gateway,
    **retries.trims(),
}
"""What is kept of a kind; everything of those not named."""

PACKED = frozenset({*resources.CHILDREN, resources.PODS, resources.REPLICA_SETS})
"""Kinds that are read in passes of their own endpoint only, and of which there are thousands."""

FOLLOWED = (
    *resources.CHILDREN,
    resources.PODS,
    resources.REPLICA_SETS,
    resources.INGRESS_CLASSES,
    resources.GATEWAYS,
    resources.GATEWAY_CLASSES,
)
DISCOVERED = tuple(kind for kind in FOLLOWED if kind.optional)

UNFILTERED = frozenset(
    {
        *resources.ROUTES,
        resources.INGRESS_CLASSES,
        resources.GATEWAY_CLASSES,
        resources.GATEWAYS,
        *retries.RULES,
    }
)
"""Kinds of which foreign objects matter: classes, gateways, whatever serves the same host, and what may retry."""

log = logging.getLogger(__name__)


class Caches:
    """Every informer, and the indexes over them."""

    def __init__(
        self,
        transport: Transport,
        namespaces: tuple[str, ...],
        policies: Collection[Kind] = (),
        gateway_namespaces: tuple[str, ...] = (),
        assumed: Mapping[Kind, tuple[Cached, ...]] | None = None,
    ) -> None:
        """
        Follow objects in *namespaces*, or in all of them.

        *policies* are the kinds of edges' own that the operator may list; the others are not asked for. *assumed* are
        the objects of kinds that may not be read, for lack of rights outside namespaces; Gateways are then followed in
        *namespaces* and *gateway_namespaces* alone.
        """
        self._transport = transport
        self._discovered = tuple(
            kind for kind in DISCOVERED if kind not in resources.POLICIES or kind in policies
        )
        self._namespaces: tuple[str | None, ...] = namespaces or (None,)
        self._assumed = assumed or {}
        gateways = dict.fromkeys((*namespaces, *gateway_namespaces)) if self._assumed else (None,)
        self._namespaces_of: dict[Kind, tuple[str | None, ...]] = {
            kind: tuple(gateways)
            if kind is resources.GATEWAYS
            else self._namespaces
            if kind.namespaced
            else (None,)
            for kind in FOLLOWED
            if kind not in self._assumed
        }
        self._always = tuple(kind for kind in self._namespaces_of if not kind.optional)
        self._informers: dict[Kind, tuple[Informer[Cached], ...]] = {}
        self._tasks: dict[Kind, tuple[asyncio.Task[None], ...]] = {}
        self._rounds: asyncio.Task[None] | None = None
        self._wake: Callable[[Key], None] = lambda key: None
        self._by_endpoint: dict[Key, dict[tuple[Kind, str], Cached]] = {}
        self._by_host: dict[str, dict[tuple[str, Key], Cached]] = {}
        self._of_others: dict[Kind, dict[Key, Cached]] = {kind: {} for kind in retries.RULES}
        self._depends: dict[Key, frozenset[Dependency]] = {}
        self._dependents: dict[Dependency, set[Key]] = {}

    async def start(self, wake: Callable[[Key], None]) -> None:
        """
        Follow every kind that the cluster has; returns when all caches are filled.

        An optional kind that cannot be listed is left out, and tried again at the next discovery.
        """
        self._wake = wake
        present = await self._discover()
        for kind in (*self._always, *present):
            self._follow(kind)
        for kind in self._always:
            for informer in self._informers[kind]:
                await informer.synced.wait()
        await asyncio.gather(*(self._until_synced(kind) for kind in present))
        self._rounds = asyncio.create_task(self._rediscover(), name="discovery")

    async def close(self) -> None:
        """Stop following."""
        tasks = [task for group in self._tasks.values() for task in group]
        if self._rounds is not None:
            tasks.append(self._rounds)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def has(self, kind: Kind) -> bool:
        """Whether the cluster has the kind, and it could be listed."""
        informers = self._informers.get(kind, ())
        return bool(informers) and all(informer.synced.is_set() for informer in informers)

    def every(self, kind: Kind) -> Iterator[Cached]:
        """All objects of a kind."""
        yield from self._assumed.get(kind, ())
        for informer in self._informers.get(kind, ()):
            yield from informer

    def get(self, kind: Kind, key: Key) -> Cached | None:
        """One object."""
        candidates = (informer.get(key) for informer in self._informers.get(kind, ()))
        return next((stored for stored in candidates if stored is not None), None)

    def of_endpoint(self, key: Key, kind: Kind | None = None) -> list[Cached]:
        """Everything that belongs to an endpoint of that name, of one kind or of all."""
        return [stored for (of, _), stored in self._by_endpoint.get(key, {}).items() if kind in (None, of)]

    def owned(self, key: Key) -> list[tuple[Kind, Cached]]:
        """What an endpoint of that name controls itself, with its kind."""
        return [
            (kind, stored)
            for (kind, _), stored in self._by_endpoint.get(key, {}).items()
            if kind in resources.CHILDREN
        ]

    def of_others(self, kind: Kind) -> list[Cached]:
        """The policies of a kind that retry and belong to no endpoint."""
        return list(self._of_others[kind].values())

    def serving(self, host: str) -> list[tuple[str, Cached]]:
        """Every Ingress and HTTPRoute, ours or not, that names *host*, a wildcard as it is written; with its kind."""
        return [(kind, stored) for (kind, _), stored in self._by_host.get(host, {}).items()]

    def informer(self, kind: Kind, namespace: str) -> Informer[Cached]:
        """The informer of a kind in a namespace; raises `KindMissing` when the cluster no longer has the kind."""
        if kind not in self._informers:
            raise KindMissing(f"the cluster has no kind {kind.kind} ({kind.api_version}) any more")
        at = self._namespaces.index(namespace) if namespace in self._namespaces else 0
        return self._informers[kind][at]

    @property
    def age(self) -> float:
        """
        Seconds since the slowest informer last moved; one of an optional kind says nothing about the process.
        """
        return max(
            (informer.age for kind in self._always for informer in self._informers.get(kind, ())),
            default=float("inf"),
        )

    def silences(self) -> dict[str, float]:
        """Seconds since the API server last sent something of each kind that is followed, by the kind's name."""
        return {
            kind.kind: max(informer.silence for informer in informers)
            for kind, informers in self._informers.items()
        }

    def depend(self, key: Key, on: Iterable[Dependency]) -> None:
        """Wake an endpoint when one of these changes; replaces what it depended on before."""
        wanted = frozenset(on)
        for gone in self._depends.get(key, frozenset()) - wanted:
            self._dependents[gone].discard(key)
            if not self._dependents[gone]:
                del self._dependents[gone]
        for new in wanted - self._depends.get(key, frozenset()):
            self._dependents.setdefault(new, set()).add(key)
        self._depends[key] = wanted

    def forget(self, key: Key) -> None:
        """Wake an endpoint for nothing any more."""
        self.depend(key, ())
        del self._depends[key]

    def _follow(self, kind: Kind) -> None:
        """Start the informers of one kind."""
        packer = Packer() if kind in PACKED else None
        self._informers[kind] = tuple(
            Informer(
                self._transport,
                kind,
                partial(objects.cache, trim=TRIMS.get(kind, objects.whole), packer=packer),
                partial(self._changed, kind),
                namespace=namespace,
                selector=None if kind in UNFILTERED else MANAGED_BY_SELECTOR,
                wanted=_wanted(kind),
                same=objects.still_carries,
                metadata_only=kind is resources.REPLICA_SETS,
            )
            for namespace in self._namespaces_of[kind]
        )
        self._tasks[kind] = tuple(
            asyncio.create_task(informer.run(), name=f"informer {kind.plural}")
            for informer in self._informers[kind]
        )

    def _unfollow(self, kind: Kind) -> None:
        """Stop the informers of a kind that the cluster no longer has."""
        for task in self._tasks.pop(kind):
            task.cancel()
        for informer in self._informers.pop(kind):
            informer.clear()

    async def _discover(self) -> tuple[Kind, ...]:
        """Ask which optional kinds there are; raises what the transport raises."""
        served: dict[str, frozenset[str]] = {}
        for kind in self._discovered:
            if kind.group_path not in served:
                doing = f"discover {kind.api_version}"
                try:
                    answer = await self._transport.get(kind.group_path, doing)
                    served[kind.group_path] = frozenset(entry["name"] for entry in answer["resources"] or ())
                except KindMissing:
                    served[kind.group_path] = frozenset()
                except (KeyError, TypeError) as error:
                    raise Unreachable(f"cannot {doing}: the answer is not a list of resources") from error
        return tuple(
            kind
            for kind in self._discovered
            if kind.plural in served[kind.group_path] and kind in self._namespaces_of
        )

    async def _rediscover(self) -> None:
        """Notice optional kinds that come and go."""
        while True:
            await asyncio.sleep(DISCOVERY_SECONDS)
            try:
                await self.discover_again()
            except ClusterError as error:
                log.info("asking for optional kinds: %s; asking again in %d s", error, DISCOVERY_SECONDS)
            except Exception:  # a response of unexpected form must not end the rounds
                log.exception("asking for optional kinds failed; asking again in %d s", DISCOVERY_SECONDS)

    async def discover_again(self) -> None:
        """One round of discovery; wakes every endpoint when a kind came or went."""
        present = await self._discover()
        come = [kind for kind in present if kind not in self._informers]
        gone = [kind for kind in self._discovered if kind in self._informers and kind not in present]
        for kind in gone:
            log.info("the cluster no longer has the kind %s", kind.kind)
            self._unfollow(kind)
        for kind in come:
            log.info("the cluster now has the kind %s", kind.kind)
            self._follow(kind)
        for kind in come:
            await self._until_synced(kind)
        if gone or any(self.has(kind) for kind in come):
            self.wake_all()

    async def _until_synced(self, kind: Kind) -> None:
        """Wait for a kind that came late; one that cannot be listed is dropped and tried again next time."""
        try:
            async with asyncio.timeout(SYNC_SECONDS):
                for informer in self._informers[kind]:
                    await informer.synced.wait()
        except TimeoutError:
            log.warning("%s cannot be listed; asked again in %d s", kind.kind, DISCOVERY_SECONDS)
            self._unfollow(kind)

    def wake(self, key: Key) -> None:
        """Ask for a pass of one endpoint."""
        self._wake(key)

    def wake_all(self) -> None:
        """Something changed that any endpoint may depend on."""
        for key in self._depends:
            self._wake(key)

    def _changed(self, kind: Kind, old: Cached | None, new: Cached | None, change: Change) -> None:
        """An object of *kind* changed: keep the indexes, wake whom it concerns."""
        self._index(kind, old, new)
        if change is Change.NONE:
            return
        versions = [stored for stored in (old, new) if stored is not None]
        owners = {stored.endpoint for stored in versions if stored.endpoint is not None}
        affected = {key for on in self._met(kind, versions) for key in self._dependents.get(on, ())}
        # Our own write is nothing new to its endpoint, but endpoints that wait for the same host must be woken.
        for key in affected - owners if change is Change.OWN else affected | owners:
            self._wake(key)

    def _met(self, kind: Kind, versions: list[Cached]) -> set[Dependency]:
        """Which dependencies a change of these versions of an object concerns."""
        if kind in resources.ROUTES:
            return {("host", host) for stored in versions for host in hosts_of(stored.body)}
        if kind is resources.GATEWAY_CLASSES:
            classes = {stored.key[1] for stored in versions}
            return {
                (resources.GATEWAYS, gateway.key)
                for gateway in self.every(resources.GATEWAYS)
                if gateway.body["spec"]["gatewayClassName"] in classes
            }
        if kind in retries.RULES:
            return {("retries", stored.key[0]) for stored in versions if stored.endpoint is None}
        return {(kind, stored.key) for stored in versions}

    def _index(self, kind: Kind, old: Cached | None, new: Cached | None) -> None:
        """Replace *old* by *new* in every index."""
        if (of_others := self._of_others.get(kind)) is not None:
            if old is not None:
                of_others.pop(old.key, None)
            if new is not None and new.endpoint is None:
                of_others[new.key] = new
        if old is not None:
            if old.endpoint is not None:
                ours = self._by_endpoint.get(old.endpoint, {})
                ours.pop((kind, old.key[1]), None)
                if not ours:
                    self._by_endpoint.pop(old.endpoint, None)
            for host in hosts_of(old.body) if kind in resources.ROUTES else ():
                self._by_host.get(host, {}).pop((kind.kind, old.key), None)
                if not self._by_host.get(host):
                    self._by_host.pop(host, None)
        if new is not None:
            if new.endpoint is not None:
                self._by_endpoint.setdefault(new.endpoint, {})[(kind, new.key[1])] = new
            for host in hosts_of(new.body) if kind in resources.ROUTES else ():
                self._by_host.setdefault(host, {})[kind.kind, new.key] = new


def _every(stored: Cached) -> bool:
    """Of classes, Gateways and routes foreign ones matter."""
    return True


def _wanted(kind: Kind) -> Callable[[Cached], bool]:
    """Which objects of a kind are kept."""
    if kind in retries.RULES:
        return retries.matters
    return _every if kind in UNFILTERED else objects.of_an_endpoint
