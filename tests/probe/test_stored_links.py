"""A response that was stored is never called a stream, however long or slow the link over which it comes."""

import asyncio
import random
from contextlib import ExitStack

from streaming_operator.probe.judge.verdict import streams
from streaming_operator.probe.verification import verify
from tests.probe.conftest import plan
from tests.probe.links import Stored, drawn
from tests.probe.servers import Server

DRAWN = 12
"""Links; `python -m tests.bench stored` takes a thousand."""


async def test_nothing_stored_is_called_a_stream() -> None:
    """Sent in one write over links of 5 Mbit/s to 1 Gbit/s, with and without server timing."""
    draw = random.Random(2026)
    links = [drawn(draw) for _ in range(DRAWN)]
    with ExitStack() as stack:
        servers = [stack.enter_context(Server(Stored(link, flights=False))) for link in links]
        results = await asyncio.gather(
            *(
                verify(plan([server.port], model="m", encodings=("identity",), cap_tokens=256))
                for server in servers
            )
        )
    acquitted = [
        f"{link}: {result.message}"
        for link, result in zip(links, results, strict=True)
        if streams(result.verdict)
    ]
    assert acquitted == []
