"""The socket's side: clocks, caps, pinning, cancelling."""

import asyncio
import socket
import sys
import threading
import time
from collections.abc import Callable

import pytest

from streaming_operator.api.reasons import Hop, Verdict
from streaming_operator.probe.http import connection
from streaming_operator.probe.http.guard import Guard
from streaming_operator.probe.http.request import PATHS, Api, CompletionParams, body, post
from streaming_operator.probe.http.response import Ending, NoResponse
from streaming_operator.probe.stream.recorder import Recorder
from streaming_operator.probe.stream.timeline import Timeline
from streaming_operator.probe.verification import verify
from tests.engines.running import MODEL
from tests.probe import proxies
from tests.probe.conftest import LIMITS, Engines, at_the_servers_pace, begun_in_time, plan
from tests.probe.proxies import Proxy
from tests.unit.probe.streams import HEAD, LAST, chunk, token

STEP = 0.002
"""Seconds by which the kernel's clock and ours may drift apart during a stream."""


async def ask(
    port: int,
    limits: connection.Limits = LIMITS,
    tokens: int = 64,
    api: Api = "chat",
    heard: Callable[[float, int], None] | None = None,
) -> Timeline:
    target = connection.Target(Hop.POD, "127.0.0.1", port, path=PATHS[api])
    question = body(CompletionParams(MODEL, max_tokens=tokens, api=api), "n")
    recorder = Recorder(heard)
    request = post(target.path, target.host_header, question, "identity", None)
    ended = await connection.exchange(target, request, recorder, limits)
    return recorder.timeline(ended.ending, ended.at, ended.clock, ended.segments)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux stamps segments on arrival")
async def test_kernel_stamps_arrivals(engines: Engines) -> None:
    """On Linux the clock is the kernel's."""
    t = await ask(engines().port)
    assert (t.clock, t.ending, t.events) == ("kernel", Ending.COMPLETE, 64)


@pytest.mark.parametrize("api", list(PATHS))
async def test_each_api_is_measured(engines: Engines, api: Api) -> None:
    """Chat completions, completions and responses: one event a token, the server's count and timing, the end."""
    t = await begun_in_time(lambda: ask(engines().port, api=api))
    assert (
        t.api,
        t.events,
        t.token_frames,
        t.tokens,
        t.done,
        t.finish_reason,
    ) == (api, 64, 64, 64, True, "length")
    assert at_the_servers_pace(t), (t.pacing, t.merged, t.late)


@pytest.mark.parametrize(("api", "done"), [("chat", True), ("responses", False)])
async def test_an_engine_that_is_down_in_each_format(engines: Engines, api: Api, done: bool) -> None:
    """Chat carries an error event and its end; a response breaks off, and that is no end."""
    t = await ask(engines("--error-after-tokens", "8").port, api=api)
    assert (t.events, t.done, t.error is not None, t.finish_reason) == (8, done, done, None)
    assert (Ending.COMPLETE if done else Ending.CLOSED) is t.ending


async def test_many_at_once_do_not_wait_for_one(engines: Engines) -> None:
    """Fifty streams are read to their ends by one thread, while one more stays silent to its limit."""
    server = engines("--max-num-seqs", "60").port
    limits = connection.Limits(first_token=2.0, stall=2.0, total=30.0)
    with Proxy(server, proxies.mute) as mute:
        silent, *timelines = await asyncio.gather(
            ask(mute.port, limits), *(ask(server, tokens=16) for _ in range(50))
        )
    assert silent.ending is Ending.SILENT
    assert [(t.ending, t.tokens) for t in timelines] == [(Ending.COMPLETE, 16)] * 50


async def test_fault_of_one_reader_is_its_own(engines: Engines) -> None:
    """A callback that fails ends its own exchange, with its own error; others go on."""

    def fails(at: float, size: int) -> None:
        raise ZeroDivisionError

    async def failing() -> None:
        with pytest.raises(ZeroDivisionError):
            await ask(engines().port, heard=fails)

    t, _ = await asyncio.gather(ask(engines().port), failing())
    assert t.events == 64


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts segments")
async def test_merged_reads_of_a_late_reader_are_counted(engines: Engines) -> None:
    """Segments that came one by one while the reader was late are joined by the kernel, and counted."""
    late, sent = threading.Event(), threading.Event()

    def one_by_one(upstream: socket.socket, client: socket.socket) -> None:
        client.sendall(HEAD + b"transfer-encoding: chunked\r\n\r\n")
        late.wait(10)
        for _ in range(10):
            client.sendall(chunk(token()))
        sent.set()
        client.sendall(LAST)

    def comes_late(at: float, size: int) -> None:
        late.set()
        sent.wait(10)

    with Proxy(engines().port, one_by_one) as server:
        t = await ask(server.port, heard=comes_late)
    assert (t.clock, t.events, t.token_reads) == ("kernel", 10, 1)
    assert t.merged in (9, 10)  # the last chunk comes with the rest or by itself


async def test_busy_loop_does_not_spoil_the_clock(engines: Engines) -> None:
    """While the loop does not turn and the interpreter is kept busy, each token is read before the next one is sent."""
    heard = threading.Semaphore(0)
    begun, busy, over = threading.Event(), threading.Event(), threading.Event()
    sent: list[float] = []
    read: list[float] = []

    def one_after_the_other(upstream: socket.socket, client: socket.socket) -> None:
        try:
            client.sendall(HEAD + b"transfer-encoding: chunked\r\n\r\n")
            heard.acquire(timeout=10)
            begun.set()
            busy.wait(10)
            while len(read) < 64:
                time.sleep(0.005)  # a server's pace: the interpreter is busy again before each token
                sent.append(time.monotonic())
                client.sendall(chunk(token()))
                if not heard.acquire(timeout=10):
                    break
                read.append(time.monotonic())
        finally:
            over.set()
        client.sendall(LAST)

    with Proxy(engines().port, one_after_the_other) as server:
        asked = asyncio.create_task(ask(server.port, heard=lambda at, size: heard.release()))
        assert await asyncio.to_thread(begun.wait, 20)
        busy.set()
        while not over.is_set():
            sum(range(200_000))  # holds the interpreter
        t = await asked
    assert (t.events, t.token_reads, t.merged) == (64, 64, 0)
    assert sent[-1] - read[0] - STEP <= t.spread <= read[-1] - sent[0] + STEP


async def test_size_is_capped(engines: Engines) -> None:
    """An answer without end is left."""
    limits = connection.Limits(size=2000)
    assert (await ask(engines().port, limits)).ending is Ending.TOO_LARGE


async def test_total_time_is_capped(engines: Engines) -> None:
    """A stream that flows but does not end is left, and is inconclusive."""
    limits = connection.Limits(total=0.3)
    assert (await ask(engines().port, limits, tokens=512)).ending is Ending.TOO_LONG
    result = await verify(plan([engines().port], limits=limits, start_tokens=512, encodings=("identity",)))
    assert result.verdict is Verdict.INCONCLUSIVE


async def test_redirect_is_not_followed(engines: Engines) -> None:
    """Where an answer points is nowhere that the probe goes."""
    with Proxy(engines().port, proxies.healthy) as trap:
        redirect = (
            b"HTTP/1.1 307 X\r\nLocation: http://127.0.0.1:%d/\r\nContent-Length: 0\r\n\r\n" % trap.port
        )
        with Proxy(engines().port, proxies.answer(redirect)) as edge:
            result = await verify(plan([edge.port]))
    assert (result.verdict, trap.requests) == (Verdict.ROUTE_NOT_FOUND, [])


async def test_operator_does_not_reach_loopback_by_name() -> None:
    """A host whose DNS answers loopback is refused after resolution."""
    with pytest.raises(connection.NoResponseError) as refused:
        await connection.resolve(connection.Target(Hop.EXPOSURE, "localhost", 80), Guard(), None)
    assert refused.value.cause is NoResponse.REFUSED_BY_US


async def test_name_is_resolved_once_and_kept(engines: Engines) -> None:
    """The address that was judged is the address that is asked; the name stays in the Host header."""
    target = connection.Target(Hop.EXPOSURE, "localhost", engines().port)
    pinned = await connection.resolve(target, Guard(local=True), None)
    assert pinned.address in ("127.0.0.1", "::1")
    assert pinned.host_header == f"localhost:{engines().port}"
    assert pinned.server_name == "localhost"


async def test_name_without_address() -> None:
    """A name that does not resolve."""
    with pytest.raises(connection.NoResponseError) as unknown:
        await connection.resolve(connection.Target(Hop.EXPOSURE, "nowhere.invalid", 80), Guard(), None)
    assert unknown.value.cause is NoResponse.DNS


async def test_cancelled_probe_leaves_nothing_behind(engines: Engines) -> None:
    """Cancelling closes the connection: the server sees it at once, and the thread is free again."""
    asked, gone = threading.Event(), threading.Event()

    def wait_for_client(upstream: socket.socket, client: socket.socket) -> None:
        asked.set()
        client.recv(1)
        gone.set()

    with Proxy(engines().port, wait_for_client) as edge:
        task = asyncio.create_task(ask(edge.port, connection.Limits()))
        await asyncio.to_thread(asked.wait, 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(gone.wait, 10)
