"""
`python -m tests.security.probe_alone PORT...`: verifies the servers on these ports, each with sixteen probes at once,
and prints as JSON what that took: memory, and the processor time of the event loop and of the whole process.
"""

import asyncio
import json
import os
import sys
import time

from streaming_operator.api.reasons import Hop
from streaming_operator.probe.gauges import Gauges
from streaming_operator.probe.http.connection import Limits, Target
from streaming_operator.probe.http.guard import Guard
from streaming_operator.probe.plan import Plan, Replica
from streaming_operator.probe.verification import verify

AT_ONCE = 16
"""The chart's `concurrentProbes`."""
_LIMITS = Limits(first_token=20.0, total=40.0)


def _status(name: str) -> float:
    """MiB."""
    with open("/proc/self/status") as status:  # noqa: PTH123
        line = next(line for line in status if line.startswith(name))
    return int(line.split()[1]) / 1024


def _plan(ports: list[int], number: int, *, http2: bool) -> Plan:
    """Three hops and a pod with metrics, each of them another of the servers."""
    hops = (Hop.POD, Hop.SERVICE, Hop.EXPOSURE)
    targets = [
        Target(hop, "127.0.0.1", ports[(number + place) % len(ports)], http2=http2)
        for place, hop in enumerate(hops)
    ]
    guard, gauges = Guard(local=True), Gauges("/metrics", "vllm:running", "vllm:waiting")
    return Plan(
        tuple(targets), "m", guard=guard, limits=_LIMITS, gauges=gauges, replicas=(Replica("a", targets[0]),)
    )


async def _main(ports: list[int], *, http2: bool) -> None:
    before, process, loop = _status("VmRSS"), time.process_time(), time.thread_time()
    plans = (_plan(ports, number, http2=http2) for number in range(AT_ONCE))
    results = await asyncio.gather(*(verify(plan) for plan in plans))
    took = {
        "verdicts": sorted({str(result.verdict) for result in results}),
        "memory": _status("VmHWM") - before,
        "process": time.process_time() - process,
        "loop": time.thread_time() - loop,
    }
    print(json.dumps(took))


if __name__ == "__main__":
    os.nice(5)  # other tests measure times meanwhile
    http2 = sys.argv[1] == "--http2"
    asyncio.run(_main([int(port) for port in sys.argv[1 + http2 :]], http2=http2))
