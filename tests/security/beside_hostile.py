"""
`python -m tests.security.beside_hostile HOSTILE,... HEALTHY,...`: verifies the healthy servers on these ports all at
once, as often as it takes the hostile ones beside them again and again, and prints the verdicts as JSON, by port.
"""

import asyncio
import json
import os
import sys

from streaming_operator.api.reasons import Hop
from streaming_operator.probe.http.connection import Limits, Target
from streaming_operator.probe.http.guard import Guard
from streaming_operator.probe.plan import Plan
from streaming_operator.probe.verification import verify

_LIMITS = Limits(first_token=60.0, total=120.0)


def _plan(port: int) -> Plan:
    """A routine verification of one pod: what bundles there is blamed on the engine."""
    target = Target(Hop.POD, "127.0.0.1", port)
    return Plan((target,), "m", guard=Guard(local=True), limits=_LIMITS, encodings=("gzip",), max_gap=1.0)


async def _again(port: int) -> None:
    while True:
        await verify(_plan(port))


async def _main(hostile: list[int], healthy: list[int]) -> None:
    attacks = [asyncio.create_task(_again(port)) for port in hostile]
    results = await asyncio.gather(*(verify(_plan(port)) for port in healthy))
    for attack in attacks:
        attack.cancel()
    print(json.dumps({port: (one.verdict, one.message) for port, one in zip(healthy, results, strict=True)}))


if __name__ == "__main__":
    os.nice(5)  # other tests measure times meanwhile
    asyncio.run(_main(*([int(port) for port in ports.split(",")] for ports in sys.argv[1:])))
