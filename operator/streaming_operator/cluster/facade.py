"""
The cluster as a pass sees it: everything that a pass reads and writes.

It connects transport, caches, applier and observer, and has no rules of its own.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any, Literal, Self

from streaming_operator import metrics, routes
from streaming_operator.api.endpoint import API_VERSION, KIND, StreamingEndpoint
from streaming_operator.api.naming import FIELD_MANAGER
from streaming_operator.cluster import (
    edge_addresses,
    edges,
    hosts,
    objects,
    pod_policy,
    pod_version,
    resources,
    retries,
    secrets,
    shared_cache,
)
from streaming_operator.cluster.apply import Applied, Applier
from streaming_operator.cluster.edge_addresses import EdgeAddresses, ServicesOfGateways
from streaming_operator.cluster.events import Publisher
from streaming_operator.cluster.exposure_policy import ExposurePolicy
from streaming_operator.cluster.hosts import Claims
from streaming_operator.cluster.metrics_access import Access, MetricsAccess
from streaming_operator.cluster.observe import Observer
from streaming_operator.cluster.places import covering, places_of
from streaming_operator.cluster.reload_limits import ROUND_SECONDS, ReloadLimits
from streaming_operator.cluster.store import Caches, Dependency
from streaming_operator.errors import EndpointGone, NotFound, PodNotAllowed, Unreachable
from streaming_operator.kinds import Key, Kind
from streaming_operator.kube.client import METADATA_LIST, Transport
from streaming_operator.kube.decode import Unreadable
from streaming_operator.kube.fence import MayWrite, always
from streaming_operator.kube.paging import pages
from streaming_operator.settings import Settings
from streaming_operator.values import Capabilities, Identity, Manifest, Observed

OF_PODS = {"Deployment": resources.DEPLOYMENTS, "ConfigMap": resources.CONFIG_MAPS}
"""What is left as it is while the administrator's policy refuses the pods."""
EXPOSING = {kind.kind: kind for kind in (*resources.ROUTES, *resources.POLICIES)}
"""What is not written while the route is refused."""


class Cluster:
    """The cluster as one pass sees it; lives in one event loop."""

    def __init__(self, transport: Transport, settings: Settings) -> None:
        self._transport = transport
        self._settings = settings
        self._policies = edges.policies(settings)
        readable = settings.cluster_roles
        self._caches = Caches(
            transport,
            settings.watch_namespaces,
            self._policies,
            settings.gateway_namespaces,
            None if readable else edges.assumed_classes(settings.edges),
        )
        self._claims = Claims()
        self._policy = ExposurePolicy(
            settings.host_policy,
            self._caches,
            self._claims,
            None if readable else frozenset((*settings.watch_namespaces, *settings.gateway_namespaces)),
        )
        self._applier = Applier(transport, self._caches)
        self._observer = Observer(self._caches, settings.quote_servers)
        self._publisher = Publisher(transport)
        self._metrics_access = MetricsAccess(transport)
        self._services_of_gateways = ServicesOfGateways(transport)
        self._reload_limits = ReloadLimits(transport, settings.watch_namespaces)
        self._rounds: asyncio.Task[None] | None = None

    @classmethod
    async def connect(cls, settings: Settings, may_write: MayWrite = always) -> Self:
        """
        Read the credentials (service account, else kubeconfig) and open one session.

        *may_write* raises `NotLeading` where nothing may be written.
        """
        transport = await Transport.open(
            connections=settings.connections,
            field_manager=FIELD_MANAGER,
            may_write=may_write,
        )
        return cls(transport, settings)

    async def start(self, wake: Callable[[Key], None]) -> None:
        """
        Fill the caches, then keep them in step.

        *wake* is called with the key of every endpoint that a change concerns, in this event
        loop. Returns when all caches are filled; raises what the API server says to discovery.
        """
        await self._caches.start(wake)
        await self._reload_limits.read(self.capabilities().ingress_classes)
        self._rounds = asyncio.create_task(self._read_limits(), name="reload limits")

    async def _read_limits(self) -> None:
        """Notice when an administrator changes what edges do to streams at a reload."""
        while True:
            await asyncio.sleep(ROUND_SECONDS)
            if await self._reload_limits.read(self.capabilities().ingress_classes):
                self._caches.wake_all()

    async def close(self) -> None:
        """Stop watching and close the session."""
        if self._rounds is not None:
            self._rounds.cancel()
        await self._caches.close()
        await self._transport.close()

    @property
    def server(self) -> str:
        """`https://host:port` of the API server, which no probe may ever ask."""
        return self._transport.server

    @property
    def requests(self) -> Mapping[str, int]:
        """Calls so far by HTTP method."""
        return self._transport.requests

    def last_event_age(self) -> float:
        """Seconds since the slowest watch last heard something or tried to; bookmarks come about every minute."""
        return self._caches.age

    def watch_silences(self) -> dict[str, float]:
        """Seconds since the API server last sent something of each kind that is watched, by the kind's name."""
        return self._caches.silences()

    def forget(self, key: Key) -> None:
        """Drop what is remembered of an endpoint that is gone."""
        for other in self._claims.forget(key):
            self._caches.wake(other)
        self._caches.forget(key)
        self._observer.forget(key)
        self._applier.forget(key)

    def capabilities(self) -> Capabilities:
        """Which optional kinds and which classes there are now."""
        found = edges.capabilities(self._caches, self._settings.edges, self._policies)
        classes = self._reload_limits.known(found.ingress_classes)
        return found if classes is found.ingress_classes else replace(found, ingress_classes=classes)

    def canary_headers(self, endpoint: StreamingEndpoint) -> frozenset[str]:
        """The headers by which canaries of the endpoint are asked."""
        return self._claims.canary_headers(endpoint.key)

    def as_rendered(self, endpoint: StreamingEndpoint) -> StreamingEndpoint:
        """
        The endpoint with the version by which its pods are rendered: theirs, until the spec replaces them anyway; and
        with one new pod alone while that fills a cache that all share.
        """
        rendered = pod_version.as_rendered(self._caches, endpoint)
        alone_among = shared_cache.alone_among(self._caches, rendered)
        return rendered if alone_among is None else rendered.model_copy(update={"alone_among": alone_among})

    async def apply(self, endpoint: StreamingEndpoint, children: tuple[Manifest, ...]) -> Applied:
        """
        Make the cluster hold exactly *children*, without a route that may take what belongs to others.

        See `Applier.apply` for what it raises; and `PodNotAllowed`, after the other children were written.
        """
        self._caches.depend(endpoint.key, dependencies(endpoint))
        capabilities = self.capabilities()
        claimed = self._policy.claimable(endpoint, children, capabilities)
        for other in self._claims.claim(endpoint, claimed, hosts.held(endpoint, self._caches)):
            self._caches.wake(other)
        refusal = self._policy.refusal(endpoint, children, capabilities)
        written, kept = children, frozenset[Kind]()
        if refusal is None:
            self._claims.settle(endpoint.key)
        else:
            written = _with_route(children, refusal.route)
            kept = frozenset(EXPOSING.values()) if refusal.keeps else kept
            if refusal.route is not None:
                self._claims.settle(endpoint.key, places_of(refusal.route, endpoint.namespace))
        refused = pod_policy.refused(endpoint, children, self._settings.pod_policy)
        if refused:  # what runs goes on running, with the ConfigMap that it mounts
            held = OF_PODS | (
                {"Service": resources.SERVICES} if pod_policy.concern_the_service(refused) else {}
            )
            written = tuple(child for child in written if child["kind"] not in held)
            kept |= frozenset(held.values())
        applied = await self._applier.apply(endpoint, written, kept)
        if refused:
            raise PodNotAllowed(pod_policy.message(refused))
        return applied

    def observe(self, endpoint: StreamingEndpoint, children: tuple[Manifest, ...]) -> Observed:
        """What the caches show of the endpoint's children; sends no request."""
        self._caches.depend(endpoint.key, dependencies(endpoint))
        capabilities = self.capabilities()
        refusal = self._policy.refusal(endpoint, children, capabilities)
        url = routes.url_beside_the_route(endpoint, capabilities)
        retried = retries.remark(self._caches, endpoint, capabilities)
        return self._observer.observe(endpoint, children, refusal.problem if refusal else None, url, retried)

    async def read_endpoint(self, key: Key) -> dict[str, Any] | None:
        """The endpoint as it is now; None when there is none."""
        try:
            body = await self._transport.read(
                resources.ENDPOINTS.path(*key), f"read StreamingEndpoint {key[0]}/{key[1]}"
            )
        except NotFound:
            return None
        return objects.endpoint(body)

    async def list_endpoints(self) -> list[dict[str, Any]]:
        """Metadata of every endpoint, for the roll call; raises `Unreachable` for a list that is not of objects."""
        endpoints: list[dict[str, Any]] = []
        for namespace in self._settings.watch_namespaces or (None,):
            listed = pages(
                self._transport,
                resources.ENDPOINTS.path(namespace),
                "list StreamingEndpoints",
                accept=METADATA_LIST,
            )
            async for page in listed:
                readable = (item for item in page.items() if not isinstance(item, Unreadable))
                try:
                    endpoints.extend(map(objects.identity, readable))
                except (KeyError, TypeError) as error:  # without it, its endpoint would be taken for deleted
                    raise Unreachable("cannot list StreamingEndpoints: one has no name or uid") from error
        return endpoints

    async def write_status(
        self, endpoint: StreamingEndpoint | Identity, status: dict[str, Any], version: str
    ) -> str:
        """
        Write the whole status over that *version* of the endpoint; returns the resource version that this made.

        Raises `Conflict` when the endpoint has another version by now, `EndpointGone` when there is none. The API
        server does not compare uids on a custom resource's status, but no later endpoint of the name has the version.
        """
        manifest = {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": {
                "name": endpoint.name,
                "namespace": endpoint.namespace,
                "resourceVersion": version,
            },
            "status": status,
        }
        path = resources.ENDPOINTS.path(endpoint.namespace, endpoint.name, "status")
        try:
            stored = await self._transport.apply(
                path, manifest, f"write the status of {endpoint.namespace}/{endpoint.name}"
            )
        except NotFound as error:
            raise EndpointGone(str(error)) from error
        metrics.WRITES.labels(kind=KIND, verb="apply").inc()
        return str(stored["metadata"]["resourceVersion"])

    async def read_secret_key(self, namespace: str, name: str, key: str) -> str:
        """One value of a Secret, for a probe that is about to start; it is kept nowhere."""
        return await secrets.secret_key(self._transport, namespace, name, key)

    async def read_secret_entries(
        self, namespace: str, name: str, keys: Collection[str] = ()
    ) -> dict[str, str]:
        """The values of a Secret by their keys, all or those of *keys*, likewise."""
        return await secrets.secret_entries(self._transport, namespace, name, keys)

    async def read_config_map_key(self, namespace: str, name: str, key: str) -> str:
        """One value of a ConfigMap, e.g. a CA bundle."""
        return await secrets.config_map_key(self._transport, namespace, name, key)

    async def metrics_access(self, token: str | None, peer: str) -> Access:
        """Whether the bearer of a token, at an address, may read the operator's metrics."""
        return await self._metrics_access.decide(token, peer)

    async def publish(
        self, endpoint: StreamingEndpoint, kind: Literal["Normal", "Warning"], reason: str, message: str
    ) -> None:
        """Tell of a change by an Event; one that cannot be written becomes a log line."""
        await self._publisher.publish(endpoint, kind, reason, message)

    async def edge_addresses(self, endpoint: StreamingEndpoint) -> EdgeAddresses:
        """Where the endpoint's edge listens; empty when nobody knows."""
        if endpoint.spec.exposure is None:
            return EdgeAddresses(())
        return await edge_addresses.edge_addresses(
            self._transport,
            self._services_of_gateways,
            endpoint,
            self.capabilities(),
            self._observer.route_addresses(endpoint),
            self._settings.cluster_domain,
        )


def _with_route(children: tuple[Manifest, ...], route: Manifest | None) -> tuple[Manifest, ...]:
    """The children with another route, and the policies beside it; without both if there is none."""
    if route is None:
        return tuple(child for child in children if child["kind"] not in EXPOSING)
    return tuple(route if child["kind"] == route["kind"] else child for child in children)


def dependencies(endpoint: StreamingEndpoint) -> frozenset[Dependency]:
    """What an endpoint must be woken for besides its own children: its class or Gateways, their policies, its host."""
    exposure = endpoint.spec.exposure
    if exposure is None:
        return frozenset()
    if exposure.ingress is not None:
        wanted: set[Dependency] = {(resources.INGRESS_CLASSES, ("", exposure.ingress.class_name))}
    else:
        refs = exposure.http_route.parent_refs if exposure.http_route else ()
        gateways = {(ref.namespace or endpoint.namespace, ref.name) for ref in refs}
        places = {endpoint.namespace, *(namespace for namespace, _ in gateways)}
        wanted = {*((resources.GATEWAYS, key) for key in gateways), *(("retries", place) for place in places)}
    hosts = {name for host in exposure.all_hosts for name in covering(host)}
    return frozenset(wanted | {("host", name) for name in hosts})
