"""
Many probes at once, in one process of their own as in the operator: same exchange, sockets, threads and parser.
"""

import asyncio
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

from streaming_operator.api.reasons import Hop
from streaming_operator.probe.http import connection
from streaming_operator.probe.http.request import CompletionParams, chat, post
from streaming_operator.probe.stream.recorder import Recorder
from streaming_operator.probe.stream.timeline import Timeline
from tests.engines.running import MODEL

LIMITS = connection.Limits(first_token=60.0, stall=60.0)


@dataclass(frozen=True, slots=True)
class Load:
    """What is asked: so many probes at all times, each so many streams one after the other."""

    ports: tuple[int, ...]
    at_once: int
    streams: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Held:
    """The answers by the nonce of their question, and what the process spent."""

    timelines: dict[str, Timeline]
    cpu_seconds: float
    seconds: float


async def hold(load: Load) -> Held:
    """Probe; a probe that finds nobody raises."""
    began, used = time.monotonic(), time.process_time()
    timelines: dict[str, Timeline] = {}

    async def one(number: int) -> None:
        target = connection.Target(Hop.POD, "127.0.0.1", load.ports[number % len(load.ports)])
        for stream in range(load.streams):
            nonce = f"{load.at_once}-{number}-{stream}"
            ask = CompletionParams(MODEL, max_tokens=load.tokens)
            request = post(target.path, target.host_header, chat(ask, nonce), "identity", None)
            recorder = Recorder()
            ended = await connection.exchange(target, request, recorder, LIMITS)
            timelines[nonce] = recorder.timeline(ended.ending, ended.at, ended.clock)

    async with asyncio.TaskGroup() as group:
        for number in range(load.at_once):
            group.create_task(one(number))
    return Held(timelines, time.process_time() - used, time.monotonic() - began)


def run(load: Load) -> Held:
    """Hold the load in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(_run, load).result()


def _run(load: Load) -> Held:
    return asyncio.run(hold(load))
