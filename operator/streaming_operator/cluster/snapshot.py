"""
The objects around one endpoint, listed once instead of watched, with the rights that a person has.

What belongs to the whole cluster (classes, Gateways, Ingresses of other namespaces) is often hidden from people: what
cannot be listed is assumed to be as the endpoint names it, and named in `hidden`.
"""

import asyncio
from collections.abc import Iterator, Mapping
from typing import Self
from urllib.parse import urlsplit

from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.api.naming import MANAGED_BY_SELECTOR
from streaming_operator.cluster import objects, resources, retries
from streaming_operator.cluster.objects import Cached
from streaming_operator.cluster.places import hosts_of
from streaming_operator.cluster.store import TRIMS
from streaming_operator.errors import Forbidden, KindMissing
from streaming_operator.kinds import Key, Kind
from streaming_operator.kube.client import Transport
from streaming_operator.kube.decode import Unreadable
from streaming_operator.kube.objects import Body
from streaming_operator.kube.paging import pages

OURS = (resources.DEPLOYMENTS, resources.SERVICES, resources.PODS, resources.REPLICA_SETS)
CLASSES = (resources.INGRESS_CLASSES, resources.GATEWAY_CLASSES, resources.GATEWAYS)
EVERYBODYS = (resources.INGRESSES, *CLASSES)


class Snapshot:
    """An `objects.Source` of objects as they were when it was taken."""

    def __init__(self, objects: Mapping[Kind, list[Cached]], hidden: tuple[str, ...]) -> None:
        self._objects = objects
        self.hidden = hidden
        """Plurals of the kinds that may not be listed."""

    @classmethod
    async def take(
        cls, transport: Transport, endpoint: StreamingEndpoint, *, as_rendered: bool = False
    ) -> Self:
        """
        List what the endpoint's state is read from; raises `Forbidden` where its own namespace is closed.

        With *as_rendered* only what decides how its children are rendered: a pipeline may see less than a person. Kinds
        that may not be listed count as installed then.
        """
        listed: dict[Kind, list[Cached]] = {}
        hidden: list[str] = []

        async def ours(kind: Kind) -> None:
            everyones = kind in retries.RULES and not as_rendered
            selector = None if everyones else MANAGED_BY_SELECTOR
            listed[kind] = await _list(transport, kind, endpoint.namespace, selector)

        async def optional(kind: Kind) -> None:
            try:
                await ours(kind)
            except KindMissing:
                return
            except Forbidden:  # as good as not installed for somebody who looks at what there is
                if as_rendered:
                    listed[kind] = []

        async def everybodys(kind: Kind) -> None:
            try:
                listed[kind] = await _list(transport, kind, None)
            except KindMissing:
                return
            except Forbidden:
                hidden.append(kind.plural)
                listed[kind] = await _substitutes(transport, kind, endpoint)

        await asyncio.gather(
            *(ours(kind) for kind in ((resources.DEPLOYMENTS,) if as_rendered else OURS)),
            *(optional(kind) for kind in resources.CHILDREN if kind.optional),
            *(everybodys(kind) for kind in (CLASSES if as_rendered else EVERYBODYS)),
        )
        return cls(listed, tuple(sorted(hidden)))

    def has(self, kind: Kind) -> bool:
        """Whether the cluster has the kind, as far as it could be listed."""
        return kind in self._objects

    def every(self, kind: Kind) -> Iterator[Cached]:
        """All objects of a kind that were listed."""
        yield from self._objects.get(kind, ())

    def get(self, kind: Kind, key: Key) -> Cached | None:
        """One object."""
        return next((stored for stored in self.every(kind) if stored.key == key), None)

    def of_endpoint(self, key: Key, kind: Kind) -> list[Cached]:
        """Everything of a kind that belongs to an endpoint."""
        return [stored for stored in self.every(kind) if stored.endpoint == key]

    def of_others(self, kind: Kind) -> list[Cached]:
        """The policies of a kind that retry and belong to no endpoint, in the endpoint's namespace."""
        return [one for one in self.every(kind) if one.endpoint is None and retries.matters(one)]

    def serving(self, host: str) -> list[tuple[str, Cached]]:
        """Every Ingress and HTTPRoute that was listed and names *host*; with its kind."""
        return [
            (kind.kind, stored)
            for kind in resources.ROUTES
            for stored in self.every(kind)
            if host in hosts_of(stored.body)
        ]


async def _list(
    transport: Transport, kind: Kind, namespace: str | None, selector: str | None = None
) -> list[Cached]:
    """All pages of a list."""
    query = {"labelSelector": selector} if selector else {}
    trim = TRIMS.get(kind, objects.whole)
    return [
        objects.cache(item, trim)
        async for page in pages(transport, kind.path(namespace), f"list {kind.plural}", query=query)
        for item in page.items()
        if not isinstance(item, Unreadable)
    ]


async def _substitutes(transport: Transport, kind: Kind, endpoint: StreamingEndpoint) -> list[Cached]:
    """Stand-ins for objects that may not be listed: what the endpoint names is assumed to exist."""
    exposure = endpoint.spec.exposure
    if kind is resources.INGRESSES:
        return await _list(transport, kind, endpoint.namespace)
    if kind is resources.INGRESS_CLASSES and exposure is not None and exposure.ingress is not None:
        return [objects.cache(_assumed("", exposure.ingress.class_name), objects.ingress_class)]
    if kind is resources.GATEWAYS and exposure is not None and exposure.http_route is not None:
        spec = {"listeners": _reported_listeners(endpoint)}
        return [
            objects.cache(
                {**_assumed(ref.namespace or endpoint.namespace, ref.name), "spec": spec}, objects.gateway
            )
            for ref in exposure.http_route.parent_refs
        ]
    return []


def _reported_listeners(endpoint: StreamingEndpoint) -> list[Body]:
    """The listener behind the URL that the operator, which may read Gateways, wrote into the endpoint's status."""
    exposure, url = endpoint.spec.exposure, urlsplit(str(endpoint.previous_status.get("url") or ""))
    if exposure is None or exposure.http_route is None or url.hostname != exposure.host:
        return []
    protocol, port = ("HTTPS", 443) if url.scheme == "https" else ("HTTP", 80)
    allowed = {"namespaces": {"from": "All"}}
    return [
        {"name": name, "protocol": protocol, "port": url.port or port, "allowedRoutes": allowed}
        for name in {ref.section_name or "" for ref in exposure.http_route.parent_refs}
    ]


def _assumed(namespace: str, name: str) -> Body:
    """An object of which only the name is known."""
    return {"metadata": {"namespace": namespace, "name": name, "uid": "", "resourceVersion": ""}}
