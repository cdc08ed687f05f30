"""A tenant's pods falsify nobody else's verdict, whatever they answer and however much work that is."""

import asyncio
import contextlib
import json
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field

import pytest

from streaming_operator.api.reasons import Verdict
from streaming_operator.probe.judge.finding import Attempt
from streaming_operator.probe.judge.verdict import judge
from tests.security.hostile import ANSWERS, EVENT, PLAIN, serving
from tests.unit.probe.streams import healthy

HEALTHY = 100
PACE = 0.05
"""Seconds a token."""
MAX_GAP = 1.0
"""Limit of a pause in seconds, as `thresholds.maxGapMilliseconds`."""
ATTACKS = (
    "a million tiny events, gzipped",
    "one line without end",
    "one event of nested brackets, gzipped",
)


@dataclass
class Healthy:
    """A model server that sends a token every `PACE` seconds, and knows when it did."""

    sent: list[list[float]] = field(default_factory=list)
    """Of every request: when its tokens were sent, in seconds."""
    port: int = 0
    _server: asyncio.Server | None = field(default=None, repr=False)

    async def listen(self) -> None:
        """Serve on a port of its own."""
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    @property
    def streams(self) -> bool:
        """Whether what it sent is Streaming: on a machine with other work it is late itself."""
        return all(
            judge(Attempt(healthy(times, generation=(times[-1] - times[0]) * 1000)), max_gap=MAX_GAP).verdict
            is Verdict.STREAMING
            for times in self.sent
        )

    def close(self) -> None:
        """Serve no more."""
        assert self._server is not None
        self._server.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        clock = asyncio.get_running_loop().time
        with contextlib.suppress(OSError, asyncio.IncompleteReadError), contextlib.closing(writer):
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
            tokens = json.loads(await reader.readexactly(length))["max_tokens"]
            writer.write(PLAIN)
            begin, times = clock(), list[float]()
            self.sent.append(times)
            for number in range(tokens):
                await asyncio.sleep(begin + number * PACE - clock())
                writer.write(EVENT)
                times.append(clock() - begin)
            writer.write(_ending(tokens, (times[-1] - times[0]) * 1000))
            await writer.drain()


def _ending(tokens: int, generation: float) -> bytes:
    usage = {
        "choices": [],
        "usage": {"completion_tokens": tokens},
        "metrics": {"generation_time_ms": generation},
    }
    reason = {"choices": [{"index": 0, "delta": {}, "finish_reason": "length"}]}
    return (
        b"".join(b"data: %s\n\n" % json.dumps(one).encode() for one in (reason, usage)) + b"data: [DONE]\n\n"
    )


async def _verdicts(hostile: list[int], ports_of_healthy: list[int]) -> dict[int, tuple[str, str]]:
    ports = [",".join(map(str, each)) for each in (hostile, ports_of_healthy)]
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "tests.security.beside_hostile", *ports],
        check=True,
        capture_output=True,
        text=True,
        timeout=300,
    )
    return {int(port): tuple(result) for port, result in json.loads(done.stdout).items()}


@pytest.mark.parametrize(("pause", "streams"), [(0.0, True), (2 * MAX_GAP, False)], ids=["even", "one pause"])
def test_a_server_that_sent_evenly_is_judged(pause: float, streams: bool) -> None:
    """By its own times, and one that paused is not: else the test below could leave all of them out, or none."""
    times = [number * PACE + (pause if number >= 32 else 0.0) for number in range(64)]
    assert Healthy(sent=[times]).streams is streams


async def test_hostile_pods_falsify_nobodys_verdict() -> None:
    """
    A million tiny events, a huge line and nested brackets, again and again, beside 100 healthy endpoints: each of these
    is Streaming, or Inconclusive because the probe came late.

    What a server did not send evenly, on a machine with other work, is not judged here; where that leaves fewer than
    half of them, nothing is shown and the test is skipped.
    """
    servers = [Healthy() for _ in range(HEALTHY)]
    with contextlib.ExitStack() as stack:
        hostile = [stack.enter_context(serving(ANSWERS[name]())) for name in ATTACKS]
        for server in servers:
            await server.listen()
            stack.callback(server.close)
        verdicts = await _verdicts(hostile, [server.port for server in servers])
    even = {server.port: verdicts[server.port] for server in servers if server.streams}
    counts = Counter(verdict for verdict, _ in even.values())
    print(f"{len(even)} of {HEALTHY} servers sent evenly: {dict(counts)}")
    fine = (Verdict.STREAMING, Verdict.INCONCLUSIVE)
    assert [message for verdict, message in even.values() if verdict not in fine] == []
    if len(even) < HEALTHY // 2:
        pytest.skip(f"this machine is busy: {len(even)} of {HEALTHY} servers sent evenly, too few to judge")
