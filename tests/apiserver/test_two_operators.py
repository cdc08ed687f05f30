"""Two `streamctl run` on one API server: one works, the other takes over, and the first one never writes again."""

import asyncio
import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.apiserver.client import Object
from tests.apiserver.control_plane import ControlPlane
from tests.apiserver.following import TcpProxy, an_endpoint, write_kubeconfig
from tests.apiserver.test_process import AT_REST, PATIENCE, Running, await_true, operator

pytestmark = pytest.mark.apiserver

TAKEOVER_SECONDS = 60.0
"""Until a test gives up: four times the time of a Lease."""
COUNT = 12
SHORT, LONG = 8, 120
"""Seconds of a Lease whose end a test waits for, and of one that must not end."""


class Pair:
    """Two processes that meet at one Lease; each renders Ingresses in its own way, which tells who wrote."""

    PROFILES = ("ingress-nginx", "generic")

    def __init__(self, plane: ControlPlane, namespace: str, leader: Running, standby: Running) -> None:
        self.plane, self.namespace, self.leader, self.standby = plane, namespace, leader, standby

    def holder(self) -> str:
        """Who holds the Lease."""
        name = {"name": self.namespace, "namespace": "default"}
        lease = self.plane.get({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": name})
        return str(lease["spec"].get("holderIdentity") or "")

    def written_by(self) -> list[str]:
        """The profile of the operator that wrote each endpoint's Ingress."""
        return [
            "ingress-nginx"
            if any("nginx" in key for key in ingress["metadata"]["annotations"])
            else "generic"
            for ingress in self._items("/apis/networking.k8s.io/v1", "ingresses")
        ]

    def with_status(self) -> int:
        """How many endpoints have a status."""
        endpoints = self._items("/apis/streamingendpoints.dev/v1alpha1", "streamingendpoints")
        return sum("conditions" in (endpoint.get("status") or {}) for endpoint in endpoints)

    def versions(self) -> dict[str, str]:
        """The version of everything that an operator writes there."""
        groups = {
            "/api/v1": ("services", "configmaps"),
            "/apis/apps/v1": ("deployments",),
            "/apis/policy/v1": ("poddisruptionbudgets",),
            "/apis/networking.k8s.io/v1": ("ingresses",),
            "/apis/streamingendpoints.dev/v1alpha1": ("streamingendpoints",),
            "/apis/events.k8s.io/v1": ("events",),
        }
        return {
            f"{kind}/{item['metadata']['name']}": item["metadata"]["resourceVersion"]
            for group, kinds in groups.items()
            for kind in kinds
            for item in self._items(group, kind)
        }

    def make(self, prefix: str, count: int = 1) -> None:
        """Endpoints that are exposed by the class of this test."""
        for number in range(count):
            name = f"{prefix}-{number}"
            host, edge = f"{name}.{self.namespace}.example.com", {"className": a_class(self.namespace)}
            an_endpoint(self.plane, self.namespace, name, exposure={"host": host, "ingress": edge})

    def _items(self, group: str, kind: str) -> list[Object]:
        items: list[Object] = self.plane.request("GET", f"{group}/namespaces/{self.namespace}/{kind}")[
            "items"
        ]
        return items


@contextmanager
def pair(
    plane: ControlPlane,
    namespace: str,
    folder: Path,
    first_kubeconfig: Path | None = None,
    lease_seconds: int = SHORT,
) -> Iterator[Pair]:
    """Start one, and when it leads the other, which then holds the Lease for as long as any machine may be busy."""
    name = {"name": a_class(namespace)}
    kind = {"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": name}
    plane.create(kind | {"spec": {"controller": "example.com/edge"}})
    with ExitStack() as stack:

        def started(profile: str, kubeconfig: Path, seconds: int) -> Running:
            settings = {
                "LEASE_NAME": namespace,
                "LEASE_SECONDS": str(seconds),
                "WATCH_NAMESPACES": namespace,
                "EDGES": json.dumps([{"className": a_class(namespace), "profile": profile}]),
                "METRICS_AUTHENTICATION": "false",
            }
            one = stack.enter_context(operator(kubeconfig, folder, **settings))
            one.until("/readyz", 200)
            return one

        leader = started(Pair.PROFILES[0], first_kubeconfig or plane.kubeconfig, lease_seconds)
        await_true(lambda: leads(leader))
        standby = started(Pair.PROFILES[1], plane.kubeconfig, LONG)
        yield Pair(plane, namespace, leader, standby)


def a_class(namespace: str) -> str:
    """The name of an IngressClass that no other test uses."""
    return f"class-{namespace}"


def leads(running: Running) -> bool:
    """Whether the process says that it holds the Lease."""
    return "streamingendpoint_leader 1.0" in running.get("/metrics")[1]


def seconds_until(holds: Callable[[], bool]) -> float:
    """How long it took, for the record."""
    started = time.monotonic()
    await_true(holds, TAKEOVER_SECONDS)
    return time.monotonic() - started


def test_only_the_leader_works_and_a_clean_stop_hands_over(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    """A second process stands by, ready; after SIGTERM it goes on where the first one ended, and it alone."""
    with pair(control_plane, namespace, tmp_path, lease_seconds=LONG) as both:
        both.make("first", 3)
        await_true(lambda: both.with_status() == 3)
        assert not leads(both.standby)
        assert both.written_by() == ["ingress-nginx"] * 3
        held = both.holder()

        both.leader.process.send_signal(signal.SIGTERM)
        took = seconds_until(lambda: both.holder() not in ("", held))
        print(f"takeover after SIGTERM: {took:.1f} s")
        assert both.leader.process.wait(PATIENCE) == 0
        both.make("second")
        await_true(lambda: both.with_status() == 4)
        await_true(lambda: both.written_by() == ["generic"] * 4)


def test_after_a_kill_the_standby_takes_over(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    """Nobody released the Lease: its time passes, then the standby works."""
    with pair(control_plane, namespace, tmp_path) as both:
        held = both.holder()
        both.leader.process.kill()
        both.make("orphan")
        took = seconds_until(lambda: both.holder() != held)
        print(f"takeover after SIGKILL: {took:.1f} s")
        await_true(lambda: both.written_by() == ["generic"])


async def test_a_stopped_process_that_goes_on_writes_nothing(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    """It was in the middle of its passes; when it goes on, the other has done them, and not one version moves."""
    with pair(control_plane, namespace, tmp_path) as both:
        both.make("chat", COUNT)
        await_true(lambda: both.with_status() > 0)
        both.leader.process.send_signal(signal.SIGSTOP)
        await_true(lambda: leads(both.standby), TAKEOVER_SECONDS)
        before = settled(both)
        both.leader.process.send_signal(signal.SIGCONT)
        await_true(lambda: stands_by(both.leader), TAKEOVER_SECONDS)
        assert both.versions() == before


async def test_a_process_that_was_cut_off_writes_nothing_when_it_is_back(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    """Its connections are reset and refused in the middle of its passes, until the other has done them."""
    async with TcpProxy(int(control_plane.server.rsplit(":", 1)[1])) as proxy:
        server = f"https://127.0.0.1:{proxy.port}"
        kubeconfig = write_kubeconfig(tmp_path / "proxy", server, control_plane.token, control_plane.ca)

        def cut_and_restored() -> Iterator[None]:
            with pair(control_plane, namespace, tmp_path, kubeconfig) as both:
                both.make("chat", COUNT)
                await_true(lambda: both.with_status() > 0)
                yield
                await_true(lambda: leads(both.standby), TAKEOVER_SECONDS)
                before = settled(both)
                yield
                await_true(lambda: stands_by(both.leader), TAKEOVER_SECONDS)
                assert both.versions() == before

        steps = cut_and_restored()
        await asyncio.to_thread(next, steps, None)
        proxy.cut()
        await asyncio.to_thread(next, steps, None)
        proxy.restore()
        assert await asyncio.to_thread(next, steps, "ended") == "ended"


def stands_by(running: Running) -> bool:
    """Whether the process has looked at the Lease since, and knows that another one holds it."""
    return '"stands by"' in running.log() and running.get("/readyz")[0] == 200


def settled(both: Pair) -> dict[str, str]:
    """The versions of everything once the standby has done all there was to do."""
    await_true(lambda: both.with_status() == COUNT and both.written_by() == ["generic"] * COUNT)
    versions: dict[str, str] = {}

    def at_rest() -> bool:
        nonlocal versions
        # Two equal looks alone are not enough: a pass that waits for the processor changes nothing for a while.
        both.standby.until_shown(*AT_REST)
        before, versions = versions, both.versions()
        return before == versions

    await_true(at_rest)
    return versions
