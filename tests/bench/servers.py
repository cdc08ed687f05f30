"""The model servers of the accuracy part: doubles at a realistic pace, each a process of its own."""

import contextlib
from collections.abc import Iterator

from tests.bench import meter, probes
from tests.engines.running import RunningEngine

COUNT = 2
"""One is enough for a hundred streams, but all of them would then leave in the same turns of one loop."""
TOKENS = 64
FIRST, NEXT = 100, 20
"""Milliseconds to the first token and between two, both with a tenth of it as standard deviation."""
FLAGS = (
    *("--time-to-first-token", str(FIRST), "--time-to-first-token-std-dev", str(FIRST / 10)),
    *("--inter-token-latency", str(NEXT), "--inter-token-latency-std-dev", str(NEXT / 10)),
    *("--max-num-seqs", "1000", "--enable-per-request-metrics", "--disable-uvicorn-access-log"),
)


@contextlib.contextmanager
def running() -> Iterator[tuple[RunningEngine, ...]]:
    """Servers that have answered before."""
    with contextlib.ExitStack() as stack:
        engines = tuple(stack.enter_context(RunningEngine("double", FLAGS)) for _ in range(COUNT))
        probes.run(probes.Load(ports(engines), at_once=COUNT, streams=1, tokens=4))
        yield engines


def ports(engines: tuple[RunningEngine, ...]) -> tuple[int, ...]:
    """Where they listen."""
    return tuple(engine.port for engine in engines)


def cpu_seconds(engines: tuple[RunningEngine, ...]) -> float:
    """What all of them have used so far."""
    return sum(meter.usage(engine.pid).cpu_seconds for engine in engines)
