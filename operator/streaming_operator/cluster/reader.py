"""
The cluster as one command of a person reads it: once, with the rights of their kubeconfig.

It follows nothing, and writes nothing but the request for a verification. What it reads goes through the same
`Observer` as the operator's passes.
"""

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from streaming_operator import render, routes
from streaming_operator.api.endpoint import VERIFY_ANNOTATION, StreamingEndpoint
from streaming_operator.cluster import edges, edits, resources, retries, secrets, workload_status
from streaming_operator.cluster.edits import Edit
from streaming_operator.cluster.exposure_policy import ExposurePolicy
from streaming_operator.cluster.hosts import Claims
from streaming_operator.cluster.objects import own
from streaming_operator.cluster.observe import Observer
from streaming_operator.cluster.snapshot import Snapshot
from streaming_operator.errors import ClusterError, NotFound
from streaming_operator.kube.client import Transport
from streaming_operator.kube.credentials import Credentials
from streaming_operator.kube.port_forward import tunnel
from streaming_operator.values import Capabilities, Observed, Problem

FIELD_MANAGER = "streamctl"
"""How the API server calls the author of what a person's command writes; its User-Agent, too."""

SERVICE_NAME_LABEL = "kubernetes.io/service-name"


@dataclass(frozen=True, slots=True)
class EndpointView:
    """Everything that was read of one endpoint."""

    capabilities: Capabilities
    observed: Observed
    addresses: tuple[str, ...]
    """What the Ingress or Gateway says of where it listens."""
    pods: tuple[tuple[str, Problem | None, str], ...]
    """Every pod with what keeps it from being ready, and the image that runs in it."""
    behind_service: tuple[tuple[str, int], ...]
    """Pod and port of every ready address behind the Service."""
    hidden: tuple[str, ...]
    """Kinds that may not be listed."""
    canary_headers: frozenset[str] = frozenset()
    """The headers by which canaries of the endpoint are asked; none where endpoints may not be listed."""


class ClusterReader:
    """One person's view of the cluster."""

    def __init__(self, transport: Transport, namespace: str) -> None:
        self._transport = transport
        self.namespace = namespace
        """The one of the kubeconfig's context."""

    async def read_endpoint(self, namespace: str, name: str) -> dict[str, Any] | None:
        """The endpoint as it is now; None when there is none."""
        try:
            doing = f"read StreamingEndpoint {namespace}/{name}"
            return await self._transport.read(resources.ENDPOINTS.path(namespace, name), doing)
        except NotFound:
            return None

    async def request_verification(self, namespace: str, name: str, request: str) -> None:
        """Ask the operator for a verification now, by an annotation of the endpoint; raises `NotFound`."""
        change = {"metadata": {"annotations": {VERIFY_ANNOTATION: request}}}
        doing = f"ask for a verification of {namespace}/{name}"
        await self._transport.merge(resources.ENDPOINTS.path(namespace, name), change, doing)

    async def edit(self, document: Mapping[str, Any]) -> Edit:
        """What applying *document* would make of the endpoint and its children; nothing is stored."""
        return await edits.edit(self._transport, dict(document))

    async def names(self, namespace: str) -> tuple[str, ...]:
        """Which endpoints there are instead; empty where they may not be listed."""
        return tuple(item["metadata"]["name"] for item in await self._endpoints(namespace))

    async def _endpoints(self, namespace: str) -> list[dict[str, Any]]:
        """The endpoints of a namespace; none where they may not be listed."""
        try:
            listed = await self._transport.get(resources.ENDPOINTS.path(namespace), "list StreamingEndpoints")
        except ClusterError:
            return []
        return list(listed.get("items") or ())

    async def _canary_headers(self, endpoint: StreamingEndpoint) -> frozenset[str]:
        exposures = (item["spec"].get("exposure") or {} for item in await self._endpoints(endpoint.namespace))
        canaries = (exposure.get("canary") or {} for exposure in exposures)
        return frozenset(canary["header"] for canary in canaries if canary.get("of") == endpoint.name)

    async def view(self, endpoint: StreamingEndpoint) -> EndpointView:
        """Read the endpoint and its children once."""
        snapshot = await Snapshot.take(self._transport, endpoint)
        # Whether the operator writes an edge's policy is not to be seen; that it did, is.
        written = [kind for kind in resources.POLICIES if own(snapshot, endpoint, kind) is not None]
        capabilities = edges.capabilities(snapshot, (), written)
        observer = Observer(snapshot)
        children = render.children(endpoint, capabilities)
        refusal = ExposurePolicy((), snapshot, Claims()).refusal(endpoint, children, capabilities)
        pods = sorted(snapshot.of_endpoint(endpoint.key, resources.PODS), key=lambda pod: pod.key)
        return EndpointView(
            capabilities,
            observer.observe(
                endpoint,
                children,
                refusal.problem if refusal else None,
                routes.url_beside_the_route(endpoint, capabilities),
                retries.remark(snapshot, endpoint, capabilities),
            ),
            observer.route_addresses(endpoint),
            tuple(
                (pod.key[1], workload_status.of_pod(pod.body), workload_status.running_image(pod.body))
                for pod in pods
            ),
            await self._behind_service(endpoint),
            snapshot.hidden,
            await self._canary_headers(endpoint),
        )

    async def secret_key(self, namespace: str, name: str, key: str) -> str:
        """One value of a Secret; it is kept nowhere."""
        return await secrets.secret_key(self._transport, namespace, name, key)

    async def secret_entries(self, namespace: str, name: str, keys: Collection[str] = ()) -> dict[str, str]:
        """The values of a Secret by their keys, all or those of *keys*; they are kept nowhere."""
        return await secrets.secret_entries(self._transport, namespace, name, keys)

    async def config_map_key(self, namespace: str, name: str, key: str) -> str:
        """One value of a ConfigMap."""
        return await secrets.config_map_key(self._transport, namespace, name, key)

    def tunnel(self, namespace: str, pod: str, port: int) -> AbstractAsyncContextManager[int]:
        """A local port that leads to a port of a pod."""
        return tunnel(self._transport, namespace, pod, port)

    async def _behind_service(self, endpoint: StreamingEndpoint) -> tuple[tuple[str, int], ...]:
        query = {"labelSelector": f"{SERVICE_NAME_LABEL}={endpoint.name}"}
        path = resources.ENDPOINT_SLICES.path(endpoint.namespace)
        try:
            slices = await self._transport.get(path, "list EndpointSlices", query=query)
        except ClusterError:
            return ()
        return tuple(
            (entry["targetRef"]["name"], int(piece["ports"][0]["port"]))
            for piece in slices.get("items") or ()
            for entry in piece.get("endpoints") or ()
            if (entry.get("conditions") or {}).get("ready", True)
            and (entry.get("targetRef") or {}).get("kind") == "Pod"
            and piece.get("ports")
        )


@asynccontextmanager
async def open_reader(kubeconfig: str | None, context: str | None) -> AsyncIterator[ClusterReader]:
    """Read the kubeconfig and open a session; raises `UnreadableCredentials` where that cannot be read."""
    credentials = await Credentials.of_person(kubeconfig, context)
    transport = Transport.of_person(credentials, field_manager=FIELD_MANAGER)
    try:
        yield ClusterReader(transport, credentials.namespace)
    finally:
        await transport.close()
