"""In which order the children of an endpoint come and go."""

import asyncio
from typing import cast

from streaming_operator import render
from streaming_operator.cluster import resources
from streaming_operator.cluster.apply import Applier
from streaming_operator.cluster.drift import sealed
from streaming_operator.cluster.objects import Cached
from streaming_operator.cluster.store import Caches
from streaming_operator.kinds import Key, Kind
from streaming_operator.kube.client import Transport
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
