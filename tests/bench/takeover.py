"""
How long nobody works after the operator that works was stopped, or has died: until another holds the Lease, and until
it has written the status of an endpoint that was made in the moment of the signal.

Two processes at a real API server, with the Lease's default time. A standby is started anew after each takeover.
"""

import asyncio
import signal
import statistics
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from streaming_operator.settings import Settings
from tests.apiserver import control_plane as planes
from tests.apiserver.control_plane import ControlPlane
from tests.bench import load
from tests.bench.reconcile import PATIENCE, Operator, running, say
from tests.cluster import apiserver_binaries

NAMESPACE = "bench-takeover"
LOOK_SECONDS = 0.02
"""Between two looks at the API server: how exact the figures are."""
SIGNALS = {"stopped (SIGTERM)": signal.SIGTERM, "dead (SIGKILL)": signal.SIGKILL}


@dataclass(frozen=True, slots=True)
class Takeover:
    """Seconds since the signal."""

    lease: float
    """Until another process held the Lease."""
    work: float
    """Until the endpoint had its status."""


def holder(plane: ControlPlane) -> str:
    """Who holds the Lease; empty while nobody does."""
    metadata = {"name": Settings().lease_name, "namespace": "default"}
    lease = plane.get({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata})
    return str(lease["spec"].get("holderIdentity") or "")


async def one(plane: ControlPlane, leader: Operator, number: signal.Signals, name: str) -> Takeover:
    """Signal the leader, and see the standby go on."""
    before, endpoint = holder(plane), load.body(NAMESPACE, name)
    started, taken = time.monotonic(), 0.0
    leader.process.send_signal(number)
    plane.create(endpoint)
    async with asyncio.timeout(PATIENCE):
        while not (taken and (plane.get(endpoint).get("status") or {}).get("conditions")):
            if not taken and holder(plane) not in ("", before):
                taken = time.monotonic() - started
            await asyncio.sleep(LOOK_SECONDS)
    return Takeover(taken, time.monotonic() - started)


async def measure(plane: ControlPlane, log: Path, rounds: int) -> None:
    """All takeovers, one after the other, then the table."""
    plane.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    seconds: dict[str, list[Takeover]] = {how: [] for how in SIGNALS}
    async with AsyncExitStack() as stack:
        leader = await stack.enter_async_context(running(plane, log))
        for number in range(rounds):
            for how, kind in SIGNALS.items():
                standby = await stack.enter_async_context(running(plane, log))
                name = f"chat-{number}-{kind.name.lower()}"
                seconds[how].append(await one(plane, leader, kind, name))
                say(f"round {number + 1} of {rounds}, {how}: {seconds[how][-1].work:.1f} s")
                leader = standby
    say(f"takeovers with a Lease of {Settings().lease_seconds} s, median and longest of {rounds}")
    for how, takeovers in seconds.items():
        lease, work = ([getattr(one, field) for one in takeovers] for field in ("lease", "work"))
        say(
            f"  {how:18} Lease taken after {statistics.median(lease):5.2f} s (longest {max(lease):5.2f}), "
            f"an endpoint of that moment served after {statistics.median(work):5.2f} s ({max(work):5.2f})"
        )
    say(f"  aims: 2 s after a stop, {Settings().lease_seconds + 2} s after a death")


def run(rounds: int, kept: Path | None) -> None:
    """Start a control plane and measure."""
    with tempfile.TemporaryDirectory() as made:
        say("starting etcd and kube-apiserver (about 10 s)")
        with planes.start(Path(made), apiserver_binaries()) as plane:
            asyncio.run(measure(plane, kept or Path(made) / "operator.log", rounds))
