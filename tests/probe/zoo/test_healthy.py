"""
No false alarm: healthy streams at several speeds through real proxies, while the other tests run.

With FULL=1 it is the whole draw: 1,000 streams on a machine that does nothing else, and on a busy one.

A false alarm is any verdict but Streaming, EngineBatched and Inconclusive; and never deciding is no way out. Each
stream is one routine verification with what it may escalate to. The seed and every miss are printed.
"""

import asyncio
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from streaming_operator.api.reasons import STREAMS, Verdict
from streaming_operator.probe.verification import verify
from streaming_operator.values import ProbeResult
from tests.probe.conftest import Engines, plan
from tests.probe.packages import Missing
from tests.probe.zoo import matrix
from tests.probe.zoo.cases import FLOWS, OFF
from tests.probe.zoo.running import Running, Setup

FULL = bool(os.environ.get("FULL"))
pytestmark = [pytest.mark.quiet, pytest.mark.timeout(1500)] if FULL else []

Load = Literal["free", "busy", "other tests"]
LOADS: tuple[Load, ...] = ("free", "busy") if FULL else ("other tests",)
SEED = 20261121
STREAMS_EACH = 84 if FULL else 20
"""At each speed and load: 1,008 in all, or 120."""
SPEEDS = {0.2: 1, 1.0: 2, 5.0: 4, 20.0: 14, 50.0: 28, 200.0: 84}
"""Milliseconds a token -> verifications at once: as many as one process of the double can serve at that pace."""
TOGETHER = ((20.0, 50.0, 200.0), (5.0,), (1.0,), (0.2,))
"""Speeds that run at the same time."""
UNEVEN = 0.2
"""Standard deviation of the engine's own pace, as a share of it."""
UNDECIDED: dict[Load, float] = {"free": 0.02, "busy": 0.10, "other tests": 0.10}
PATHS = {
    "nginx 1.31": Setup("nginx", OFF),
    "HAProxy 2.8": Setup("haproxy", FLOWS),
    "Envoy": Setup("envoy", '{"timeout": "0s"}'),
    "Caddy": Setup("caddy"),
}


@dataclass
class Tally:
    """What was said of the streams of one speed."""

    counts: Counter[Verdict] = field(default_factory=Counter)
    misses: list[str] = field(default_factory=list)

    def add(self, proxy: str, result: ProbeResult) -> None:
        self.counts[result.verdict] += 1
        if result.verdict not in STREAMS:
            self.misses.append(f"{proxy}: {result.verdict} at {result.hop}: {result.message}")

    @property
    def alarms(self) -> int:
        fine = sum(self.counts[verdict] for verdict in (*STREAMS, Verdict.INCONCLUSIVE))
        return self.counts.total() - fine


@contextmanager
def busy(load: Load) -> Iterator[None]:
    """A process on every core that does nothing but run."""
    count = (os.cpu_count() or 1) if load == "busy" else 0
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


async def streams(engine: int, ports: dict[str, int], at_once: int, dice: random.Random) -> Tally:
    """STREAMS_EACH verifications through proxies in a drawn order."""
    tally, places = Tally(), asyncio.Semaphore(at_once)

    async def one(proxy: str) -> None:
        async with places:
            tally.add(proxy, await verify(plan([engine, ports[proxy]], encodings=("gzip",))))

    drawn = [proxy for _ in range(STREAMS_EACH // len(ports)) for proxy in ports]
    dice.shuffle(drawn)
    await asyncio.gather(*(one(proxy) for proxy in drawn))
    return tally


async def together(
    engines: Engines, speeds: Sequence[float], folder: Path, dice: random.Random
) -> dict[float, Tally]:
    """Every speed of a group at the same time, each with a model server and proxies of its own."""
    with ExitStack() as stack:
        runs = {}
        for speed in speeds:
            pace = (f"{speed:g}", "--inter-token-latency-std-dev", f"{speed * UNEVEN:g}")
            engine = engines("--inter-token-latency", *pace, "--seed", str(SEED)).port
            ports = {
                name: stack.enter_context(
                    Running(setup, engine, folder / f"{speed:g}-{setup.program}", folder)
                ).port
                for name, setup in PATHS.items()
            }
            runs[speed] = streams(engine, ports, SPEEDS[speed], dice)
        return dict(zip(runs, await asyncio.gather(*runs.values()), strict=True))


@pytest.fixture(scope="module")
def kept() -> Iterator[dict[tuple[Load, float], Tally]]:
    """The tallies of this run; written into the document where it is asked for and all are there."""
    tallies: dict[tuple[Load, float], Tally] = {}
    yield tallies
    if os.environ.get("ZOO") == "write" and len(tallies) == 2 * len(SPEEDS):
        matrix.write("healthy", "\n".join(rows(tallies)) + "\n")


def rows(tallies: dict[tuple[Load, float], Tally]) -> list[str]:
    """The table of the document."""
    lines = [
        "| machine | ms a token | streams | streaming | undecided | false alarms |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for (load, speed), tally in tallies.items():
        fine = sum(tally.counts[verdict] for verdict in STREAMS)
        undecided = tally.counts[Verdict.INCONCLUSIVE]
        lines.append(
            f"| {load} | {speed:g} | {tally.counts.total()} | {fine} | {undecided} | {tally.alarms} |"
        )
    return lines


@pytest.mark.programs(*(setup.program for setup in PATHS.values()))
@pytest.mark.parametrize("speeds", TOGETHER, ids=lambda speeds: " ".join(f"{speed:g}ms" for speed in speeds))
@pytest.mark.parametrize("load", LOADS)
def test_healthy_streams_raise_no_alarm(
    load: Load,
    speeds: tuple[float, ...],
    engines: Engines,
    tmp_path: Path,
    kept: dict[tuple[Load, float], Tally],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Whatever the pace, whatever else the machine does."""
    dice = random.Random(SEED)
    try:
        with busy(load):
            tallies = asyncio.run(together(engines, speeds, tmp_path, dice))
    except Missing as missing:
        pytest.skip(str(missing))
    for speed, tally in tallies.items():
        kept[load, speed] = tally
        with capsys.disabled():
            said = ", ".join(f"{count} {verdict}" for verdict, count in tally.counts.most_common())
            print(f"\n{load}, {speed:g} ms a token, seed {SEED}: {said}", *tally.misses, sep="\n  ")
    assert [miss for tally in tallies.values() if tally.alarms for miss in tally.misses] == []
    for speed, tally in tallies.items():
        undecided = tally.counts[Verdict.INCONCLUSIVE] / tally.counts.total()
        assert undecided <= UNDECIDED[load], f"{undecided:.0%} undecided at {speed:g} ms"
