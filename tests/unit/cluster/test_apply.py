"""In which order the children of an endpoint come and go, and whose names are taken over."""

import asyncio
from collections.abc import Mapping
from typing import Any, cast

import pytest

from streaming_operator import render
from streaming_operator.cluster import resources
from streaming_operator.cluster.apply import Applier
from streaming_operator.cluster.drift import sealed
from streaming_operator.cluster.objects import Cached
from streaming_operator.cluster.store import Caches
from streaming_operator.errors import NotFound, NotOurs
from streaming_operator.kinds import Key, Kind
from streaming_operator.kube.client import Transport
from streaming_operator.kube.informer import Informer
from streaming_operator.kube.objects import Body
from streaming_operator.values import Manifest
from tests.golden import cases

TLS = next(case for case in cases() if case.name == "tls-behind-a-gateway")


class World:
    """Children of one endpoint, as cache and API server at once; notes what is there after each delete."""

    def __init__(self, children: tuple[Manifest, ...]) -> None:
        self.children = [(resources.BY_NAME[one["apiVersion"], one["kind"]], one) for one in children]
        self.states = [self.kinds()]

    def kinds(self) -> set[str]:
        """Kinds of the children that are there."""
        return {kind.kind for kind, _ in self.children}

    def owned(self, key: Key) -> list[tuple[Kind, Cached]]:
        """All children, in the order of the list."""
        stored = []
        for kind, child in self.children:
            metadata = child["metadata"] | {"uid": kind.kind, "resourceVersion": "1"}
            stored.append((kind, Cached({**sealed(child), "metadata": metadata})))
        return stored

    def of_endpoint(self, key: Key, kind: Kind) -> list[Cached]:
        """No pod is left."""
        return []

    async def delete(self, path: str, uid: str, doing: str) -> None:
        """Take one child away."""
        self.children = [(kind, child) for kind, child in self.children if kind.kind != uid]
        self.states.append(self.kinds())


def test_a_gateway_has_the_policy_that_says_tls_before_the_route() -> None:
    """Without it, the users' requests and keys go to the pods in plain HTTP."""
    kinds = [child["kind"] for child in TLS.children()]
    assert kinds.index("BackendTLSPolicy") < kinds.index("HTTPRoute")
    assert render.CHILD_KINDS.index(resources.BACKEND_TLS_POLICIES) < render.CHILD_KINDS.index(
        resources.HTTP_ROUTES
    )


def test_no_route_outlives_what_was_written_before_it() -> None:
    """An endpoint that is no longer exposed: the route goes before its policy, in whatever order they were read."""
    for children in (TLS.children(), TLS.children()[::-1]):
        world = World(children)
        applier = Applier(cast(Transport, world), cast(Caches, world))

        asyncio.run(applier.apply(TLS.endpoint(), ()))

        assert world.states[-1] == set()
        assert [
            state for state in world.states if "HTTPRoute" in state and "BackendTLSPolicy" not in state
        ] == []


class Server:
    """An API server whose watch cache (`resourceVersion=0`) is behind what it stores; and caches of ours, empty."""

    def __init__(self, stored: dict[str, Body], watch_cache: dict[str, Body]) -> None:
        own = TLS.body()
        self.path = resources.ENDPOINTS.path(own["metadata"]["namespace"], own["metadata"]["name"])
        self.stored, self.watch_cache = {self.path: own, **stored}, {self.path: own, **watch_cache}
        self.written: list[str] = []

    def get(self, kind: Kind, key: Key) -> None:
        """No child is known."""

    def owned(self, key: Key) -> list[tuple[Kind, Cached]]:
        """Nothing is to be pruned."""
        return []

    def informer(self, kind: Kind, namespace: str) -> Informer[Cached]:
        """Takes in what was written."""
        return Informer(cast(Transport, self), kind, Cached, lambda *_: None)

    async def read(
        self, path: str, doing: str, *, query: Mapping[str, str] | None = None, accept: str | None = None
    ) -> Body:
        """One object, of the watch cache or as it is stored."""
        objects = self.watch_cache if (query or {}).get("resourceVersion") == "0" else self.stored
        if path not in objects:
            raise NotFound(doing)
        return objects[path]

    async def apply(self, path: str, manifest: Manifest, doing: str, *, force: bool = True) -> dict[str, Any]:
        """Every write is taken."""
        self.written.append(manifest["kind"])
        metadata = {**manifest["metadata"], "uid": path, "resourceVersion": str(len(self.written))}
        return {**manifest, "metadata": metadata}


def foreign(child: Manifest) -> dict[str, Body]:
    """Somebody else's object of that name, by its path: the same in all but the owner."""
    namespace, name = child["metadata"]["namespace"], child["metadata"]["name"]
    metadata = {"namespace": namespace, "name": name, "uid": "theirs", "resourceVersion": "7"}
    return {
        resources.BY_NAME[child["apiVersion"], child["kind"]].path(namespace, name): {"metadata": metadata}
    }


def of_kind(kind: str) -> Manifest:
    """One child of the endpoint."""
    return next(child for child in TLS.children() if child["kind"] == kind)


def test_a_name_that_was_taken_just_now_is_not_taken_over() -> None:
    """The API server's watch cache does not have the foreign object yet: it is refused, and nothing is written."""
    server = Server(foreign(of_kind("Service")), {})
    applier = Applier(cast(Transport, server), cast(Caches, server))

    with pytest.raises(NotOurs, match=r"^Service/\S+ in namespace \S+ exists and is controlled by nobody"):
        asyncio.run(applier.apply(TLS.endpoint(), TLS.children()))

    assert server.written == []


def test_a_name_that_was_freed_just_now_is_free() -> None:
    """The API server's watch cache still has the foreign object that was deleted: every child is written."""
    server = Server({}, foreign(of_kind("Service")))
    applier = Applier(cast(Transport, server), cast(Caches, server))

    applied = asyncio.run(applier.apply(TLS.endpoint(), TLS.children()))

    assert server.written == [child["kind"] for child in TLS.children()]
    assert len(applied.written) == len(server.written)
