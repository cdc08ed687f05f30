"""
False passes: responses that a proxy stored, sent over many links. None may be called a stream; how many cannot be told
apart is printed beside it.
"""

import asyncio
import random
from collections import Counter
from dataclasses import dataclass

from streaming_operator.api.reasons import Verdict
from streaming_operator.probe.judge.verdict import streams
from streaming_operator.probe.verification import verify
from tests.probe.conftest import plan
from tests.probe.links import FAST, Link, Stored, drawn
from tests.probe.servers import Server

AT_ONCE = 25


@dataclass(frozen=True, slots=True)
class Judged:
    """What the probe said of one link."""

    link: Link
    verdict: Verdict
    message: str


async def measure(number: int, seed: int, at_once: int = AT_ONCE) -> list[Judged]:
    """One verification for each of *number* links."""
    draw = random.Random(seed)
    slots = asyncio.Semaphore(at_once)

    async def one(link: Link) -> Judged:
        async with slots:
            with Server(Stored(link)) as server:
                result = await verify(plan([server.port], model="m", encodings=("identity",)))
            return Judged(link, result.verdict, result.message)

    return await asyncio.gather(*(one(drawn(draw)) for _ in range(number)))


def run(number: int, seed: int) -> None:
    """Measure and print."""
    judged = asyncio.run(measure(number, seed))
    print(f"{number} stored responses, 5 Mbit/s to 1 Gbit/s, 1 to 300 ms (seed {seed})")
    for fast in (False, True):
        for timing in (True, False):
            part = [one for one in judged if one.link.timing is timing and (one.link.pace < FAST) is fast]
            counted = Counter(str(one.verdict) for one in part)
            shares = ", ".join(
                f"{count} {verdict} ({count / len(part):.1%})" for verdict, count in counted.most_common()
            )
            engine = "more than 1,000 tokens/s" if fast else "125 to 1,000 tokens/s"
            print(f"  {engine}, {'with' if timing else 'without'} server timing: {len(part)}: {shares}")
    for one in judged:
        if streams(one.verdict):
            print(f"  FALSE PASS: {one.link}: {one.message}")
