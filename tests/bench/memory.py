"""
The operator's memory by the number of endpoints: after they were created at once, and after a restart over them.

The private control plane has no controllers, so each endpoint's ReplicaSet and pods are written here as those would
write them; the pods stay Pending, and nothing is verified. Other work on the machine moves the seconds, not the MiB.
"""

import asyncio
import itertools
import tempfile
import time
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from streaming_operator.cluster import resources
from streaming_operator.kinds import Kind
from streaming_operator.settings import Settings
from tests.apiserver import control_plane as planes
from tests.apiserver.control_plane import ControlPlane
from tests.bench import load, meter
from tests.bench.reconcile import Operator, running, say, statuses_written
from tests.cluster import apiserver_binaries

NAMESPACE = "bench-memory"
SIZES = (1000, 2500, 5000)
SETTLED_SECONDS = 3.0
"""The operator is at rest when its count of passes has stood still for so long."""


async def started_pods(session: aiohttp.ClientSession, name: str) -> None:
    """Write what the controllers of Deployments and ReplicaSets would: one ReplicaSet, and its pods."""
    path = resources.DEPLOYMENTS.path(NAMESPACE, name)
    async with session.get(path) as answer:
        deployment = orjson.loads(await answer.read())
    spec: dict[str, Any] = deployment["spec"]
    replica_set = await _created(
        session, resources.REPLICA_SETS, deployment, f"{name}-1", spec["template"], spec
    )
    for number in range(spec["replicas"]):
        await _created(session, resources.PODS, replica_set, f"{name}-1-{number}", spec["template"])


async def _created(
    session: aiohttp.ClientSession,
    kind: Kind,
    owner: dict[str, Any],
    name: str,
    template: dict[str, Any],
    of: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Create a ReplicaSet of a Deployment's spec, or a pod of a template, controlled by its owner."""
    reference = {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
    }
    selected = {key: of[key] for key in ("replicas", "selector", "template")} if of else template["spec"]
    body = {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": {**template["metadata"], "name": name, "ownerReferences": [reference]},
        "spec": selected,
    }
    answer = await load.send(session, "POST", kind.path(NAMESPACE), orjson.dumps(body), load.JSON)
    made: dict[str, Any] = orjson.loads(answer)
    return {**made, "apiVersion": kind.api_version, "kind": kind.kind}


async def settled(operator: Operator) -> None:
    """Wait until the operator is at rest."""
    before, since = await operator.passes_so_far(), time.monotonic()
    while time.monotonic() - since < SETTLED_SECONDS:
        await asyncio.sleep(0.5)
        now = await operator.passes_so_far()
        if now != before:
            before, since = now, time.monotonic()


async def measure(plane: ControlPlane, log: Path, sizes: tuple[int, ...]) -> None:
    """Grow to each size in turn, and restart the operator at each."""
    connections = Settings().connections
    plane.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    async with running(plane, log) as operator:
        say(f"{'endpoints':>10} {'created, MiB':>14} {'at most':>8} {'restarted, MiB':>15} {'at most':>8}")
        say(f"{0:>10} {meter.usage(operator.process.pid).resident_mib:>14.0f}")
    for before, size in itertools.pairwise((0, *sizes)):
        names = [f"chat-{number:04d}" for number in range(before, size)]
        async with running(plane, log) as operator, load.raw_session(plane, connections + 1) as session:
            async with asyncio.TaskGroup() as group:
                group.create_task(statuses_written(session, NAMESPACE, size))
                group.create_task(load.create_all(session, NAMESPACE, names))
            await load.bare_loop(session, [_starting(name) for name in names], connections)
            await settled(operator)
            created = meter.usage(operator.process.pid)
        async with running(plane, log) as operator:
            await operator.passes(size)
            await settled(operator)
            restarted = meter.usage(operator.process.pid)
        say(
            f"{size:>10} {created.resident_mib:>14.0f} {created.peak_mib:>8.0f}"
            f" {restarted.resident_mib:>15.0f} {restarted.peak_mib:>8.0f}"
        )


def _starting(name: str) -> load.Job:
    """`started_pods` of one endpoint, as the bare loop takes it."""

    async def start(session: aiohttp.ClientSession) -> None:
        await started_pods(session, name)

    return start


def run(sizes: tuple[int, ...], kept: Path | None) -> None:
    """Start a control plane and measure."""
    with tempfile.TemporaryDirectory() as made:
        say("starting etcd and kube-apiserver (about 10 s)")
        with planes.start(Path(made), apiserver_binaries()) as plane:
            asyncio.run(measure(plane, kept or Path(made) / "operator.log", sizes))
