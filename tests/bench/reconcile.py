"""
The operator beside a bare loop that writes the same objects, in turns, in one run.

Both begin with the creation of N endpoints and end when every child exists and every status is written. There
are no controllers, so this is the cost of writing, not of starting pods. Figures are medians of the rounds; other
work on the machine moves them, the ratio less than the rest.
"""

import asyncio
import contextlib
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from streaming_operator.cluster import resources
from streaming_operator.settings import Settings
from tests.apiserver import control_plane as planes
from tests.apiserver.control_plane import ControlPlane
from tests.bench import load, meter
from tests.cluster import apiserver_binaries
from tests.cluster.programs import listed

DOCKERFILE = Path(__file__).resolve().parents[2] / "Dockerfile"
PATIENCE = 900.0
QUIET_SECONDS = 1.0
LONGEST_LIST = 5000


@dataclass(frozen=True, slots=True)
class Turn:
    """What one turn took."""

    seconds: float
    writes: dict[str, int]
    cpu_seconds: float = 0.0
    resident_mib: float = 0.0
    server_cpu_seconds: float = 0.0


class Operator:
    """`streamctl run` as a process of its own."""

    def __init__(self, plane: ControlPlane, log: Path) -> None:
        self._log = log.open("ab")
        with socket.create_server(("127.0.0.1", 0)) as held:
            self.port = held.getsockname()[1]
        environment = {
            **os.environ,
            **allocator(),
            "KUBECONFIG": str(plane.kubeconfig),
            "STREAMING_OPERATOR_HTTP_PORT": str(self.port),
            "STREAMING_OPERATOR_METRICS_AUTHENTICATION": "false",
        }
        command = [sys.executable, "-m", "streaming_operator", "run"]
        self.process = subprocess.Popen(listed(command), env=environment, stdout=self._log, stderr=self._log)

    async def ready(self) -> None:
        """Wait until the caches are filled and kopf has had time to connect."""
        await self._until("/readyz", lambda text: text == "ok\n")
        await asyncio.sleep(QUIET_SECONDS)

    async def passes(self, count: int) -> None:
        """Wait until that many passes have ended."""
        await self._until("/metrics", lambda text: _metric(text, "streamingendpoint_passes_total") >= count)

    async def passes_so_far(self) -> float:
        """How many passes have ended."""
        counted = 0.0

        def counts(text: str) -> bool:
            nonlocal counted
            counted = _metric(text, "streamingendpoint_passes_total")
            return True

        await self._until("/metrics", counts)
        return counted

    async def _until(self, path: str, holds: Callable[[str], bool]) -> None:
        async with asyncio.timeout(PATIENCE), aiohttp.ClientSession() as session:
            while True:
                if self.process.poll() is not None:
                    raise RuntimeError(
                        f"the operator ended with {self.process.returncode}; see {self._log.name}"
                    )
                with contextlib.suppress(aiohttp.ClientError):
                    async with session.get(f"http://127.0.0.1:{self.port}{path}") as answer:
                        if holds(await answer.text()):
                            return
                await asyncio.sleep(0.1)

    def stop(self) -> None:
        """End it as a pod is ended."""
        try:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(60)
        finally:
            self.process.kill()
            self._log.close()


def allocator() -> dict[str, str]:
    """What the operator's image sets for the allocator of memory."""
    return dict(re.findall(r"(MALLOC_\w+)=(\d+)", DOCKERFILE.read_text()))


def _metric(text: str, name: str) -> float:
    """Sum of all series of a counter."""
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(name))


@contextlib.asynccontextmanager
async def running(plane: ControlPlane, log: Path) -> AsyncIterator[Operator]:
    """A ready operator."""
    operator = Operator(plane, log)
    try:
        await operator.ready()
        yield operator
    finally:
        await asyncio.to_thread(operator.stop)


async def statuses_written(session: aiohttp.ClientSession, namespace: str, count: int) -> None:
    """Wait until each of *count* endpoints has a status, by a watch that costs the server little."""
    path = f"{resources.ENDPOINTS.path(namespace)}?watch=1"
    done: set[str] = set()
    async with asyncio.timeout(PATIENCE):
        while len(done) < count:  # the server ends a watch when it likes, e.g. while a CRD settles
            async with session.get(path, timeout=aiohttp.ClientTimeout(total=None)) as answer:
                rest = b""
                async for chunk in answer.content.iter_any():
                    *lines, rest = (rest + chunk).split(b"\n")
                    done.update(name for name in map(_name_with_status, lines) if name)
                    if len(done) == count:
                        return


def _name_with_status(line: bytes) -> str:
    """The endpoint's name if the event shows it with a status."""
    endpoint = orjson.loads(line)["object"]
    return str(endpoint["metadata"]["name"]) if (endpoint.get("status") or {}).get("conditions") else ""


def versions(plane: ControlPlane, namespace: str) -> dict[str, str]:
    """`plural/name` -> resource version of everything in the namespace that the operator writes."""
    return {
        f"{kind.plural}/{item['metadata']['name']}": item["metadata"]["resourceVersion"]
        for kind in (resources.ENDPOINTS, *resources.CHILDREN)
        for item in plane.request("GET", kind.path(namespace), limit=str(LONGEST_LIST))["items"]
    }


def clear(plane: ControlPlane, namespace: str) -> None:
    """Delete everything in the namespace: the control plane has no garbage collector."""
    for kind in (resources.ENDPOINTS, *resources.CHILDREN):
        if kind is resources.SERVICES:  # has no collection delete
            for item in plane.request("GET", kind.path(namespace))["items"]:
                plane.request("DELETE", kind.path(namespace, item["metadata"]["name"]))
        else:
            plane.request("DELETE", kind.path(namespace))


async def operator_turn(
    plane: ControlPlane, namespace: str, names: list[str], connections: int, log: Path
) -> Turn:
    """N endpoints at once, written by the operator."""
    async with running(plane, log) as operator, load.raw_session(plane, connections + 1) as session:
        before, used = meter.writes(plane), meter.usage(operator.process.pid)
        server, started = meter.server_cpu_seconds(), time.monotonic()
        async with asyncio.TaskGroup() as group:
            group.create_task(statuses_written(session, namespace, len(names)))
            group.create_task(load.create_all(session, namespace, names))
        seconds, server = time.monotonic() - started, meter.server_cpu_seconds() - server
        await asyncio.sleep(QUIET_SECONDS)  # passes that follow belong to the cost too
        after = meter.usage(operator.process.pid)
        counted = meter.since(before, meter.writes(plane))
        return Turn(seconds, counted, after.cpu_seconds - used.cpu_seconds, after.resident_mib, server)


async def bare_turn(
    plane: ControlPlane, namespace: str, names: list[str], connections: int, status: dict[str, Any]
) -> Turn:
    """The same objects, written by the bare loop."""
    jobs = [load.prepare(namespace, name, status) for name in names]
    before = meter.writes(plane)
    async with load.raw_session(plane, connections) as session:
        server, started, used = meter.server_cpu_seconds(), time.monotonic(), time.process_time()
        await load.bare_loop(session, jobs, connections)
        seconds, cpu = time.monotonic() - started, time.process_time() - used
        server = meter.server_cpu_seconds() - server
    return Turn(seconds, meter.since(before, meter.writes(plane)), cpu, server_cpu_seconds=server)


async def second_look(
    plane: ControlPlane, namespace: str, count: int, log: Path
) -> tuple[dict[str, int], float]:
    """A restarted operator over unchanged endpoints: what it writes, and its CPU seconds up to the last pass."""
    before, counted = versions(plane, namespace), meter.writes(plane)
    async with running(plane, log) as operator:
        await operator.passes(count)
        await asyncio.sleep(QUIET_SECONDS)
        cpu = meter.usage(operator.process.pid).cpu_seconds
    written = meter.since(counted, meter.writes(plane))
    changed = [name for name, version in versions(plane, namespace).items() if before.get(name) != version]
    if changed:
        raise RuntimeError(f"the second pass changed {changed[:5]}")
    return written, cpu


def check_same(plane: ControlPlane, ours: str, bare: str) -> int:
    """Both turns must have left the same objects; returns how many for all endpoints."""
    mine, theirs = set(versions(plane, ours)), set(versions(plane, bare))
    if mine != theirs:
        raise RuntimeError(
            f"operator and bare loop differ: {len(mine - theirs)} and {len(theirs - mine)}: {sorted(mine ^ theirs)[:5]}"
        )
    return len(mine)


async def measure(plane: ControlPlane, log: Path, endpoints: int, rounds: int) -> None:
    """All rounds, then the second look, then the table."""
    settings = Settings()
    names = [f"chat-{number:04d}" for number in range(endpoints)]
    ours, bare = "bench-operator", "bench-bare"
    for namespace in (ours, bare):
        plane.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    plane.create(
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "IngressClass",
            "metadata": {"name": "nginx"},
            "spec": {"controller": "k8s.io/ingress-nginx"},
        }
    )
    mine: list[Turn] = []
    theirs: list[Turn] = []
    for number in range(rounds):
        if number:
            clear(plane, ours)
        mine.append(await operator_turn(plane, ours, names, settings.connections, log))
        status = plane.request("GET", resources.ENDPOINTS.path(ours, names[0]))["status"]
        theirs.append(await bare_turn(plane, bare, names, settings.connections, status))
        check_same(plane, ours, bare)
        clear(plane, bare)
        say(
            f"round {number + 1} of {rounds}: operator {mine[-1].seconds:.2f} s, bare loop {theirs[-1].seconds:.2f} s"
        )
    written, cpu = await second_look(plane, ours, endpoints, log)
    report(endpoints, mine, theirs, written, cpu)


def report(endpoints: int, mine: list[Turn], theirs: list[Turn], written: dict[str, int], cpu: float) -> None:
    """Print what was measured."""

    def rate(turns: list[Turn]) -> float:
        return statistics.median(endpoints / turn.seconds for turn in turns)

    def per_endpoint(turn: Turn) -> str:
        # The endpoints themselves are created by the load in both turns.
        counted = {name: count for name, count in turn.writes.items() if name != "streamingendpoints"}
        parts = ", ".join(f"{name} {count / endpoints:.2f}" for name, count in sorted(counted.items()))
        return f"{sum(counted.values()) / endpoints:.2f} ({parts})"

    ratios = [their.seconds / my.seconds for my, their in zip(mine, theirs, strict=True)]
    milliseconds = [1000 * turn.cpu_seconds / endpoints for turn in mine]
    bare_milliseconds = [1000 * turn.cpu_seconds / endpoints for turn in theirs]
    say(
        f"{endpoints} endpoints, medians of {len(mine)} rounds, {os.cpu_count()} CPUs shared with the control plane"
    )
    aims = (statistics.median(milliseconds), statistics.median(bare_milliseconds))
    say(f"  endpoints/s          operator {rate(mine):6.1f}   bare loop {rate(theirs):6.1f}")
    say(f"  ratio                {100 * statistics.median(ratios):.0f} % of the bare loop (aim: 70)")
    say(f"  CPU ms per endpoint  operator {aims[0]:6.1f}   bare loop {aims[1]:6.1f} (aim: 15)")
    served = [
        statistics.median(1000 * t.server_cpu_seconds / endpoints for t in turns) for turns in (mine, theirs)
    ]
    say(f"  the server's CPU ms  operator {served[0]:6.1f}   bare loop {served[1]:6.1f}")
    say(f"  memory of operator   {max(turn.resident_mib for turn in mine):.0f} MiB")
    say(f"  writes per endpoint  operator  {per_endpoint(mine[-1])}")
    say(f"                       bare loop {per_endpoint(theirs[-1])}")
    say(f"  restart, unchanged   {sum(written.values())} writes, {cpu:.1f} s CPU from start to the last pass")


def say(line: str) -> None:
    """Print at once."""
    print(line, flush=True)


def run(endpoints: int, rounds: int, kept: Path | None) -> None:
    """Start a control plane and measure."""
    with tempfile.TemporaryDirectory() as made:
        log = kept or Path(made) / "operator.log"
        say("starting etcd and kube-apiserver (about 10 s)")
        with planes.start(Path(made), apiserver_binaries()) as plane:
            asyncio.run(measure(plane, log, endpoints, rounds))
