"""Model servers of the probe's tests: the double with and without faults; how a probe is sent at them."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack

import pytest

from streaming_operator.api.reasons import Hop
from streaming_operator.engines.vllm import Vllm
from streaming_operator.probe.gauges import Gauges
from streaming_operator.probe.http.connection import Limits, Target
from streaming_operator.probe.http.guard import Guard
from streaming_operator.probe.http.request import ApiKey
from streaming_operator.probe.judge.lateness import begins_in_time, lateness, spread_out
from streaming_operator.probe.stream.timeline import Timeline
from streaming_operator.probe.verification import Plan
from tests.engines.running import MODEL, RunningEngine

LIMITS = Limits(connect=20.0, first_token=20.0, stall=20.0, total=60.0)
"""Generous, for busy machines; a test that waits for a limit sets its own."""
HASTY = Limits(connect=20.0, first_token=2.0, stall=2.0, total=60.0)
GAUGES = Gauges(Vllm.metrics_path, Vllm.running_gauge, Vllm.waiting_gauge)
METRICS = "--enable-per-request-metrics"

Engines = Callable[..., RunningEngine]


async def begun_in_time(ask: Callable[[], Awaitable[Timeline]]) -> Timeline:
    """A stream whose first tokens the reader did not come late to; asked for up to three times."""
    for _ in range(3):
        t = await ask()
        if begins_in_time(t):
            break
    return t


def at_the_servers_pace(t: Timeline) -> bool:
    """Whether a stream took as long as the server did; its reader may come late, but not to its begin."""
    generation = t.metrics.generation / 1000 if t.metrics else 0.0
    # Only a late first read moves an end of the stream: its tokens may have come since the look before it.
    longest = spread_out(t).spread if lateness(t) else t.spread
    return begins_in_time(t) and 0.85 * generation <= longest and t.spread <= 1.15 * generation


@pytest.fixture(scope="package")
def engines() -> Iterator[Engines]:
    """Doubles by their flags, started once each."""
    running: dict[tuple[str, ...], RunningEngine] = {}
    with ExitStack() as stack:

        def engine(*args: str, metrics: bool = True) -> RunningEngine:
            flags = (*args, METRICS) if metrics else args
            if flags not in running:
                running[flags] = stack.enter_context(RunningEngine("double", flags))
            return running[flags]

        yield engine


def plan(
    ports: Sequence[int],
    *,
    key: str | None = None,
    limits: Limits = LIMITS,
    model: str = MODEL,
    **more: object,
) -> Plan:
    """The same request at one to three local ports, from the pod outwards; the last one judges."""
    hops = (Hop.EXPOSURE,) if len(ports) == 1 else (Hop.POD, Hop.SERVICE, Hop.EXPOSURE)[-len(ports) :]
    hops = (Hop.POD, Hop.EXPOSURE) if len(ports) == 2 else hops
    targets = tuple(Target(hop, "127.0.0.1", port) for hop, port in zip(hops, ports, strict=True))
    return Plan(
        targets,
        model,
        key=ApiKey(key) if key else None,
        limits=limits,
        guard=Guard(local=True),
        **more,  # type: ignore[arg-type]
    )
