"""
How accurate the probe's times are: against the stamps of the packets on loopback, while many probes run at once.

The servers' own jitter is no error: whatever they do, the wire has it too.
"""

import os
import tempfile
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from tests.bench import compare, packets, probes, servers
from tests.bench.capture import Capture, Unavailable
from tests.bench.compare import AIM, Errors, at
from tests.engines.running import RunningEngine

LEVELS = {1: 10, 10: 12, 50: 6, 100: 6, 200: 4}
"""Probes at once -> streams of each, one after the other."""
WANTED = 100
"""Probes at once for which the aim is set."""


@dataclass(frozen=True, slots=True)
class Level:
    """One load, measured."""

    probes: int
    peak: int
    """Streams under way at one moment: the probe's threads are a bounded pool."""
    errors: Errors
    wire_gaps: tuple[float, ...]
    """Milliseconds."""
    cpu: tuple[float, float]
    """Cores used by the probes and by the servers."""


def measure(levels: dict[int, int], keep: Path | None) -> list[Level]:
    """All levels on the same servers."""
    with servers.running() as engines, tempfile.TemporaryDirectory() as made:
        return [
            _level(engines, at_once, streams, (keep or Path(made)) / f"{at_once}-at-once.pcap")
            for at_once, streams in levels.items()
        ]


def _level(engines: tuple[RunningEngine, ...], at_once: int, streams: int, file: Path) -> Level:
    ports, used = servers.ports(engines), servers.cpu_seconds(engines)
    with Capture(file, ports):
        held = probes.run(probes.Load(ports, at_once, streams, servers.TOKENS))
    served = servers.cpu_seconds(engines) - used
    exchanges = packets.exchanges(file.read_bytes(), set(ports))
    pairs = compare.by_nonce(held.timelines, exchanges)
    gaps = tuple(gap * 1000 for _, wire in pairs for gap in wire.gaps)
    cpu = (held.cpu_seconds / held.seconds, served / held.seconds)
    return Level(at_once, compare.overlap(exchanges), compare.errors(pairs), gaps, cpu)


def report(levels: list[Level]) -> None:
    """Print what was measured."""
    print(f"  {'':>7} {'':>7} {'':>6}   TTFT error, ms      gap error, ms       gaps on the wire")
    print(
        f"  {'at once':>7} {'streams':>7} {'peak':>6}   p50   p99   max     p50   p99   max     p50   p99   max"
        "   merged  clock      CPU probes+servers"
    )
    for level in levels:
        e = level.errors
        spread = "   ".join(
            f"{at(values, 0.5):5.2f} {at(values, 0.99):5.2f} {max(values):5.1f}"
            for values in (e.ttft, e.gaps, level.wire_gaps)
        )
        print(
            f"  {level.probes:7} {len(e.ttft):7} {level.peak:6}   {spread}   {e.merged:6.2%}"
            f"  {'+'.join(sorted(e.clocks)):9}  {level.cpu[0]:.2f}+{level.cpu[1]:.2f}"
        )
    at_the_aim = [level for level in levels if level.probes == WANTED]
    for level in at_the_aim:
        outcome = "held" if level.errors.held else "MISSED"
        print(f"  aim: both errors within {AIM:.0f} ms at p99 with {WANTED} probes at once: {outcome}")
    held = [level.probes for level in takewhile(lambda level: level.errors.held, levels)]
    print(f"  load held: up to {max(held, default=0)} probes at once, of the loads tried in turn")


def run(levels: dict[int, int], keep: Path | None) -> None:
    """Measure and report, or say why not."""
    load = " ".join(f"{number:.1f}" for number in os.getloadavg())
    print(
        f"probe against packets: {servers.TOKENS} tokens at {servers.NEXT} ms, {servers.COUNT} servers, "
        f"{os.cpu_count()} CPUs shared by all, load before {load}"
    )
    try:
        report(measure(levels, keep))
    except Unavailable as reason:
        print(f"  skipped: {reason}")
