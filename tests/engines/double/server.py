"""The process: binds, loads, listens, obeys signals and ends the way vLLM's API server does.

While it loads, the port is bound but nobody listens (connection refused) and a first SIGTERM is swallowed.
"""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Coroutine, Iterator

import anyio.lowlevel
import uvicorn

from .app import Double
from .args import Settings
from .engine import Engine
from .faults import Protocol

INTERRUPTED = 130
DEATH_SECONDS = 0.5
"""From the death of the engine to the closed port: the real server took 0.3 to 0.7 s."""


class Server(uvicorn.Server):
    """uvicorn without its signal handlers: ours end the engine first."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(settings: Settings) -> int:
    """Run until a signal or the engine's death; the exit code is vLLM's."""
    if settings.per_request_metrics and settings.disable_log_stats:
        print("ValueError: per-request metrics need the engine's statistics", file=sys.stderr)
        return 1
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    listener = _bound(settings)
    print(f"Loading for {settings.startup_duration} s", flush=True)
    await anyio.lowlevel.checkpoint()  # anyio imports its backend at its first use: not in a request
    if not await _loaded(settings.startup_duration, stopped):
        return INTERRUPTED
    stopped.clear()
    double = Double(settings)
    server = Server(_config(settings, double))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    await _first(stopped.wait(), double.engine.dead.wait())
    if double.engine.dead.is_set():
        await asyncio.sleep(DEATH_SECONDS)
    else:
        await _stop(double.engine, settings)
    server.should_exit = True
    await serving
    return 0


def _bound(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((settings.host, settings.port))
    return listener


def _config(settings: Settings, double: Double) -> uvicorn.Config:
    return uvicorn.Config(
        double.app,
        http=Protocol,
        lifespan="on",
        log_level=settings.log_level,
        access_log=settings.access_log,
        timeout_keep_alive=int(os.environ.get("VLLM_HTTP_TIMEOUT_KEEP_ALIVE", "5")),
        ws_ping_interval=float(os.environ.get("DOUBLE_WS_PING_SECONDS", "20")),
        ssl_certfile=settings.ssl_certfile,
        ssl_keyfile=settings.ssl_keyfile,
    )


async def _loaded(seconds: float, stopped: asyncio.Event) -> bool:
    """Wait out the load; the first signal is swallowed, at the second it is over."""
    for _ in range(2):
        began = asyncio.get_running_loop().time()
        try:
            await asyncio.wait_for(stopped.wait(), max(0.0, seconds))
        except TimeoutError:
            return True
        seconds -= asyncio.get_running_loop().time() - began
        stopped.clear()
    return False


async def _stop(engine: Engine, settings: Settings) -> None:
    """No time to drain: abort all. Else what still runs at the end of it is left hanging, as in vLLM."""
    engine.closed = True
    if settings.shutdown_timeout == 0 and not settings.knobs.lose_abort:
        engine.abort_all()
    elif not await engine.emptied(settings.shutdown_timeout):
        engine.freeze()


async def _first(*waits: Coroutine[None, None, object]) -> None:
    tasks = [asyncio.create_task(wait) for wait in waits]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
