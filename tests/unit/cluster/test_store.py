"""Which endpoints a change in the cluster wakes, and what the start waits for."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, cast

import orjson

from streaming_operator.cluster import resources
from streaming_operator.cluster.store import DISCOVERY_SECONDS, Caches
from streaming_operator.errors import ClusterError, Forbidden, Unreachable
from streaming_operator.kinds import Key, Kind
from streaming_operator.kube import decode
from streaming_operator.kube.client import Transport
from streaming_operator.kube.informer import LONGEST_BACKOFF_SECONDS
from tests.unit.virtual_time import run

GATEWAY_API = {"resources": [{"name": name} for name in ("gateways", "gatewayclasses", "httproutes")]}
OWNER = {"apiVersion": "streamingendpoints.dev/v1alpha1", "kind": "StreamingEndpoint", "controller": True}


class Server:
    """Lists nothing, watches silently; refuses what a test names."""

    def __init__(self, refused: Mapping[str, ClusterError] | None = None) -> None:
        self.refused = dict(refused or {})

    async def get(self, path: str, doing: str, **_: Any) -> Any:
        """Discovery."""
        self._refuse(path)
        return GATEWAY_API if path == resources.GATEWAYS.group_path else {"resources": []}

    async def page(self, path: str, doing: str, **_: Any) -> decode.Page:
        """An empty list."""
        self._refuse(path)
        return decode.page(b'{"metadata":{"resourceVersion":"1"},"items":[]}')

    def _refuse(self, path: str) -> None:
        for end, error in self.refused.items():
            if path.endswith(end):
                raise error

    @asynccontextmanager
    async def watch(self, *_: Any) -> AsyncIterator[AsyncIterator[bytes]]:
        """Bookmarks are as good as silence."""

        async def lines() -> AsyncIterator[bytes]:
            while True:
                await asyncio.sleep(60)
                yield b""

        yield lines()


class World:
    """Caches that follow an empty cluster; events are handed to them one by one."""

    def __init__(self) -> None:
        self.woken: list[Key] = []
        self.caches = Caches(cast(Transport, Server()), ())

    async def start(self) -> None:
        """Fill the caches."""
        await self.caches.start(self.woken.append)

    def event(self, kind: Kind, what: str, body: dict[str, Any]) -> None:
        """One event of a watch."""
        informer = self.caches.informer(kind, body["metadata"].get("namespace", ""))
        informer._take(orjson.dumps({"type": what, "object": body}))


def gateway(version: int, attached: int, **spec: Any) -> dict[str, Any]:
    """A Gateway whose status counts its routes."""
    return {
        "metadata": {"name": "edge", "namespace": "infra", "uid": "g", "resourceVersion": str(version)},
        "spec": {"gatewayClassName": "x", **spec},
        "status": {"listeners": [{"attachedRoutes": attached}]},
    }


def ingress(name: str, host: str, version: int = 5) -> dict[str, Any]:
    """The Ingress of the endpoint of that name."""
    metadata = {
        "name": name, "namespace": "demo", "uid": f"i-{name}", "resourceVersion": str(version),
        "ownerReferences": [{**OWNER, "name": name, "uid": f"e-{name}"}],
    }  # fmt: skip
    return {"metadata": metadata, "spec": {"rules": [{"host": host}]}}


def test_a_kind_that_cannot_be_listed_does_not_block_the_start() -> None:
    """Gateways are refused (or their conversion webhook is broken): the operator starts without them."""
    for error in (Forbidden("cannot list gateways"), ClusterError("HTTP 500")):

        async def main(error: ClusterError = error) -> tuple[bool, bool, float]:
            caches = Caches(cast(Transport, Server({"/gateways": error})), ())
            async with asyncio.timeout(60):
                await caches.start(lambda key: None)
            await asyncio.sleep(3600)  # rounds of discovery go by
            state = caches.has(resources.HTTP_ROUTES), caches.has(resources.GATEWAYS), caches.age
            await caches.close()
            return state

        routes, gateways, age = run(main())
        assert (routes, gateways) == (True, False)
        assert age <= 120


def test_an_api_server_that_is_away_does_not_age_the_process() -> None:
    """Its informers move, they try again and again: a restart would cost the caches and help nobody."""

    class Away(Server):
        """Answers until it is away."""

        away = False

        def _refuse(self, path: str) -> None:
            if self.away:
                raise Unreachable("connection refused")

        @asynccontextmanager
        async def watch(self, *_: Any) -> AsyncIterator[AsyncIterator[bytes]]:
            async def lines() -> AsyncIterator[bytes]:
                while True:
                    await asyncio.sleep(1)
                    self._refuse("")
                    yield b""

            yield lines()

    async def main() -> float:
        server = Away()
        caches = Caches(cast(Transport, server), ())
        await caches.start(lambda key: None)
        server.away = True
        await asyncio.sleep(3600)
        age = caches.age
        await caches.close()
        return age

    assert run(main()) <= LONGEST_BACKOFF_SECONDS


def test_a_discovery_that_answers_something_else_is_asked_again() -> None:
    """Whatever came meanwhile, a kind that is installed later is followed."""

    class Changing(Server):
        """Every group is answered alike."""

        discovery: Any = None

        async def get(self, path: str, doing: str, **_: Any) -> Any:
            return self.discovery

    async def main() -> list[bool]:
        server, followed = Changing(), []
        server.discovery = {"resources": []}
        caches = Caches(cast(Transport, server), ())
        await caches.start(lambda key: None)
        for answer in ({"kind": "Status"}, [], {"resources": [{}]}, {"resources": 7}, GATEWAY_API):
            server.discovery = answer
            await asyncio.sleep(2 * DISCOVERY_SECONDS)
            followed.append(caches.has(resources.GATEWAYS))
        await caches.close()
        return followed

    assert run(main()) == [False, False, False, False, True]


def test_the_status_of_a_gateway_wakes_nobody() -> None:
    """Every route that attaches changes a Gateway's status: of what is kept nothing changed."""

    async def main() -> list[Key]:
        world = World()
        await world.start()
        world.event(resources.GATEWAYS, "ADDED", gateway(10, 0))
        for number in range(100):
            world.caches.depend(("demo", f"e{number}"), {(resources.GATEWAYS, ("infra", "edge"))})
        for number in range(1000):
            world.event(resources.GATEWAYS, "MODIFIED", gateway(11 + number, number))
        await world.caches.close()
        return world.woken

    assert run(main()) == []


def test_status_and_annotations_of_a_class_wake_nobody() -> None:
    """Controllers write them again and again; of a class only its controller and its features are kept."""

    def a_class(kind: Kind, version: int, text: str) -> dict[str, Any]:
        controller = "controller" if kind is resources.INGRESS_CLASSES else "controllerName"
        return {
            "metadata": {
                "name": "x", "uid": "c", "resourceVersion": str(version), "annotations": {"note": text}
            },
            "spec": {controller: "example.com/edge"},
            "status": {"conditions": [{"type": "Accepted", "message": text}]},
        }  # fmt: skip

    async def main() -> list[Key]:
        world = World()
        await world.start()
        world.event(resources.GATEWAYS, "ADDED", gateway(10, 0))
        for kind in (resources.GATEWAY_CLASSES, resources.INGRESS_CLASSES):
            world.event(kind, "ADDED", a_class(kind, 11, "first"))
        world.caches.depend(("demo", "a"), {(resources.GATEWAYS, ("infra", "edge"))})
        world.caches.depend(("demo", "b"), {(resources.INGRESS_CLASSES, ("", "x"))})
        for kind in (resources.GATEWAY_CLASSES, resources.INGRESS_CLASSES):
            world.event(kind, "MODIFIED", a_class(kind, 12, "second"))
        await world.caches.close()
        return world.woken

    assert run(main()) == []


def test_a_changed_gateway_or_class_wakes_those_who_use_it() -> None:
    """The Gateway's users for the Gateway and for its class; nobody else."""

    async def main() -> tuple[list[Key], list[Key], list[Key]]:
        world = World()
        await world.start()
        world.event(resources.GATEWAYS, "ADDED", gateway(10, 0))
        world.caches.depend(("demo", "uses"), {(resources.GATEWAYS, ("infra", "edge"))})
        world.caches.depend(("demo", "other"), {(resources.INGRESS_CLASSES, ("", "nginx"))})
        rounds = []
        for kind, body in (
            (resources.GATEWAYS, gateway(11, 0, gatewayClassName="y")),
            (
                resources.GATEWAY_CLASSES,
                {"metadata": {"name": "y", "uid": "c", "resourceVersion": "12"}, "spec": {}},
            ),
            (
                resources.INGRESS_CLASSES,
                {"metadata": {"name": "nginx", "uid": "n", "resourceVersion": "13"}, "spec": {}},
            ),
        ):
            world.event(kind, "MODIFIED", body)
            rounds.append(sorted(world.woken))
            world.woken.clear()
        await world.caches.close()
        return rounds[0], rounds[1], rounds[2]

    assert run(main()) == ([("demo", "uses")], [("demo", "uses")], [("demo", "other")])


def test_whoever_waits_for_a_host_is_woken_when_it_becomes_free() -> None:
    """The winner of a host moves to another one, or is deleted, by our write or by anybody's: the loser is woken."""

    async def main() -> list[list[Key]]:
        world = World()
        await world.start()
        world.caches.depend(("demo", "winner"), {("host", "a.example")})
        world.caches.depend(("demo", "loser"), {("host", "a.example")})
        world.event(resources.INGRESSES, "ADDED", ingress("winner", "a.example"))
        world.woken.clear()
        rounds = []
        informer = world.caches.informer(resources.INGRESSES, "demo")
        with informer.writing(("demo", "winner")):
            informer.note(ingress("winner", "b.example", 6))
        rounds.append(sorted(world.woken))
        world.woken.clear()
        world.event(resources.INGRESSES, "MODIFIED", ingress("winner", "a.example", 7))
        rounds.append(sorted(world.woken))
        world.woken.clear()
        world.event(resources.INGRESSES, "DELETED", ingress("winner", "a.example", 8))
        rounds.append(sorted(world.woken))
        await world.caches.close()
        return rounds

    loser, both = [("demo", "loser")], [("demo", "loser"), ("demo", "winner")]
    assert run(main()) == [loser, both, both]


def test_an_endpoint_that_is_forgotten_is_woken_for_nothing() -> None:
    """Nothing is kept of an endpoint that is gone, known or not."""

    async def main() -> list[Key]:
        world = World()
        await world.start()
        world.caches.depend(("demo", "gone"), {("host", "a.example")})
        world.caches.forget(("demo", "gone"))
        world.caches.forget(("demo", "never seen"))
        world.event(resources.INGRESSES, "ADDED", {**ingress("x", "a.example"), "spec": {"rules": []}})
        world.caches.wake_all()
        await world.caches.close()
        return world.woken

    assert run(main()) == [("demo", "x")]
