"""A response that was stored is never called a stream, however long or slow the link over which it comes."""

import asyncio
import random
from contextlib import ExitStack

from streaming_operator.probe.judge.verdict import streams
from streaming_operator.probe.verification import verify
from tests.probe.conftest import plan
from tests.probe.links import Link, Stored, drawn
from tests.probe.servers import Server

DRAWN = 12
"""Links; `python -m tests.bench stored` takes a thousand."""


FAST = [
    Link(5e6, round_trip, pace, 200, timing=False)
    for round_trip in (0.003, 0.3)
    for pace in (0.00003, 0.0001, 0.0014)
]
"""
Engines that make a response in less time than the slowest link takes to carry it: neither its duration nor the time to
the first token shows that it was stored.
"""


async def test_nothing_stored_is_called_a_stream() -> None:
    """Sent in one write over links of 5 Mbit/s to 1 Gbit/s, with and without server timing."""
    draw = random.Random(2026)
    assert await acquitted([drawn(draw) for _ in range(DRAWN)], 256) == []


async def test_nothing_stored_that_is_made_faster_than_sent_is_called_a_stream() -> None:
    """Up to 30,000 tokens a second, over 5 Mbit/s."""
    assert await acquitted(FAST, 1024) == []


async def acquitted(links: list[Link], most: int) -> list[str]:
    """What was called a stream, with at most so many tokens."""
    with ExitStack() as stack:
        servers = [stack.enter_context(Server(Stored(link, flights=False))) for link in links]
        results = await asyncio.gather(
            *(
                verify(plan([server.port], model="m", encodings=("identity",), cap_tokens=most))
                for server in servers
            )
        )
    return [
        f"{link}: {result.message}"
        for link, result in zip(links, results, strict=True)
        if streams(result.verdict)
    ]
