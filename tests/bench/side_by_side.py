"""
The probe beside the clients of the field: the same server, one after the other, each against the packets of its own
requests. What cannot be run here is said, not replaced.

Their words differ, so a second table has each word by its documented definition for the same streams: arithmetic
on packets, no run of theirs.
"""

import statistics
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from streaming_operator.probe.stream.timeline import Timeline
from tests.bench import compare, packets, probes, servers
from tests.bench.capture import Capture, Unavailable
from tests.bench.clients import CLIENTS, Client, Job, NotRun, RequestTimes
from tests.bench.compare import at
from tests.engines.running import RunningEngine

STREAMS = 4
"""Of each that runs at once."""
BUNDLE = 4
"""Tokens in a chunk of the second kind of streams: with them the definitions differ."""
Definition = Callable[[Timeline, int], float]
WORDS: tuple[tuple[str, str, Definition], ...] = (
    (
        "gap",
        "probe; ITL of vllm bench; inter-chunk latency of aiperf",
        lambda t, n: t.spread / (t.events - 1),
    ),
    (
        "TPOT",
        "vllm bench; ITL of guidellm and, without per-chunk usage, of aiperf",
        lambda t, n: t.spread / (n - 1),
    ),
    ("TPOT", "guidellm: the time to the first token is in it", lambda t, n: t.arrivals[-1].at / n),
)
"""Word, whose, and what it is of a stream with n tokens, in seconds; the mean of one stream."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One request: what its client said and what the packets say, in milliseconds."""

    reported: RequestTimes
    wire: RequestTimes


def by_packets(timeline: Timeline) -> RequestTimes:
    """The same numbers from the packets; ValueError for a stream without tokens."""
    if timeline.ttft is None or not timeline.tokens:
        raise ValueError("a stream without tokens")
    gaps = tuple(gap * 1000 for gap in timeline.gaps)
    return RequestTimes(timeline.ttft * 1000, gaps, timeline.spread * 1000 / (timeline.tokens - 1))


def _ours(port: int, at_once: int) -> list[Pair]:
    with tempfile.TemporaryDirectory() as made:
        file = Path(made) / "pcap"
        with Capture(file, [port]):
            held = probes.run(probes.Load((port,), at_once, STREAMS, servers.TOKENS))
        pairs = compare.by_nonce(held.timelines, packets.exchanges(file.read_bytes(), {port}))
    return [Pair(by_packets(recorded), by_packets(wire)) for recorded, wire in pairs]


def _theirs(client: Client, port: int, at_once: int) -> list[Pair]:
    with tempfile.TemporaryDirectory() as made:
        job = Job(port, at_once, at_once * STREAMS, Path(made) / client.name.replace(" ", "-"))
        job.folder.mkdir()
        with Capture(Path(made) / "pcap", [port]):
            client.run(job)
        reported = client.read(job.folder)
        wire = {client.key(one): one for one in packets.exchanges((Path(made) / "pcap").read_bytes(), {port})}
    pairs = [Pair(one, by_packets(wire[key].timeline())) for key, one in reported.items() if key in wire]
    if len(pairs) < len(reported) or not pairs:
        raise NotRun(f"only {len(pairs)} of its {len(reported)} requests were found among the packets")
    return pairs


def _row(name: str, pairs: list[Pair]) -> str:
    ttft = [abs(pair.reported.ttft - pair.wire.ttft) for pair in pairs]
    reported = [pair.reported.ttft for pair in pairs]
    wire = [pair.wire.ttft for pair in pairs]
    gaps = [
        abs(mine - its)
        for pair in pairs
        for mine, its in zip(pair.reported.gaps, pair.wire.gaps, strict=False)
    ]
    mean = [abs(pair.reported.mean_gap - pair.wire.mean_gap) for pair in pairs]
    said = f"{at(gaps, 0.5):6.2f} {at(gaps, 0.99):6.2f} {max(gaps):6.1f}" if gaps else f"{'not kept':>20}"
    return (
        f"  {name:24} {len(pairs):5}  {at(reported, 0.5):6.1f} {at(wire, 0.5):6.1f}"
        f"  {at(ttft, 0.5):6.2f} {at(ttft, 0.99):6.2f} {max(ttft):6.1f}  {said}  {at(mean, 0.5):6.2f} {max(mean):6.2f}"
    )


def _words(engine: RunningEngine) -> None:
    """What the same streams are called."""
    with RunningEngine("double", (*servers.FLAGS, "--stream-interval", str(BUNDLE))) as bundling:
        kinds = [_streams(one.port) for one in (engine, bundling)]
    print(
        f"  by definition, on the packets of two kinds of streams: 1 token a chunk, {BUNDLE} tokens a chunk; ms"
    )
    for word, whose, value in WORDS:
        medians = [1000 * statistics.median(value(t, t.tokens or 0) for t in kind) for kind in kinds]
        print(f"  {word:6} {medians[0]:6.1f} {medians[1]:6.1f}   {whose}")


def _streams(port: int) -> list[Timeline]:
    with tempfile.TemporaryDirectory() as made:
        file = Path(made) / "pcap"
        with Capture(file, [port]):
            probes.run(probes.Load((port,), 1, STREAMS, servers.TOKENS))
        return [one.timeline() for one in packets.exchanges(file.read_bytes(), {port})]


def run(at_once: int) -> None:
    """Run and print all that can be run."""
    asked = f"{at_once} at once, {STREAMS} streams each, {servers.TOKENS} tokens at {servers.NEXT} ms"
    print(f"side by side: {asked}, one server")
    print(f"  {'':24} {'':5}  TTFT p50, ms   TTFT error, ms        gap error, ms         mean gap error")
    print(
        f"  {'client':24} {'reqs':>5}  client   wire     p50    p99    max     p50    p99    max     p50    max"
    )
    with servers.running() as engines:
        engine = engines[0]
        try:
            print(_row("probe", _ours(engine.port, at_once)), flush=True)
            for client in CLIENTS:
                name = f"{client.name} {client.version}"
                try:
                    print(_row(name, _theirs(client, engine.port, at_once)), flush=True)
                except NotRun as reason:
                    print(f"  {name:24} not run: {reason}", flush=True)
            _words(engine)
        except Unavailable as reason:
            print(f"  skipped: {reason}")
