"""The preStop script, run for real: against a small HTTP server, and against a process that loads."""

import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from streaming_operator.render.templates import drain
from tests.cluster.programs import listed

RUNNING = "vllm:num_requests_running"
WAITING = "vllm:num_requests_waiting"
NOBODY = 2**31 - 1
"""The number of no process: Linux gives none above 2**22."""


def metrics(running: int, waiting: int = 0) -> str:
    """What vLLM shows of two engines in one pod."""
    return (
        "# HELP vllm:num_requests_running Number of requests in model execution batches.\n"
        "# TYPE vllm:num_requests_running gauge\n"
        f'{RUNNING}{{engine="0",model_name="a{{b}} c"}} {float(running)}\n'
        f'{RUNNING}{{engine="1",model_name="a{{b}} c"}} 0.0\n'
        f'{WAITING}{{engine="0",model_name="a{{b}} c"}} {float(waiting)}\n'
        f'{WAITING}_by_reason{{engine="0",reason="capacity"}} 7.0\n'
    )


class Engine(ThreadingHTTPServer):
    """Answers /health, and one look at /metrics after the other; the last look stays."""

    def __init__(self, looks: list[str | None]) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.looks = looks
        self.asked: list[str] = []

    @property
    def arguments(self) -> list[str]:
        """Arguments of the script, as the Deployment has them, less the times; one that is refused stops nobody."""
        gauges = [f"--busy-gauge={RUNNING}", f"--busy-gauge={WAITING}"]
        paths = ["--health-path=/health", "--metrics-path=/metrics"]
        return [f"--port={self.server_port}", f"--pid={NOBODY}", *paths, *gauges]


class Answers(BaseHTTPRequestHandler):
    """One request to `Engine`."""

    server: Engine

    def do_GET(self) -> None:
        """/health is fine; /metrics is the next look, and None is a server too busy to say."""
        self.server.asked.append(self.path)
        body: str | None = ""
        if self.path == "/metrics":
            body = self.server.looks.pop(0) if len(self.server.looks) > 1 else self.server.looks[0]
        self.send_response(200 if body is not None else 503)
        self.end_headers()
        self.wfile.write((body or "").encode())

    def log_message(self, *_: object) -> None:
        """Stay quiet."""


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """An engine that shows the looks given by `parametrize`."""
    with Engine(list(request.param)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


class Clock:
    """Stands in for the script's `time`: only its own sleeping passes, however slow the machine is."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The script's time."""
    clock = Clock()
    monkeypatch.setattr(drain, "time", clock)
    return clock


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look often, so that a test of many looks is short."""
    monkeypatch.setattr(drain, "LOOK_SECONDS", 0.01)


IDLE = metrics(0)


@pytest.mark.parametrize("engine", [[metrics(2), metrics(0, 1), IDLE, metrics(1), IDLE, IDLE]], indirect=True)
def test_the_drain_ends_only_after_two_idle_looks_in_a_row(engine: Engine) -> None:
    """A request between two queues, seen idle for one look, is not cut."""
    drain.main([*engine.arguments, "--pre-stop-seconds=0", "--drain-seconds=60"])

    assert engine.asked == ["/health"] + ["/metrics"] * 6


@pytest.mark.parametrize("engine", [[metrics(1)], [metrics(0, 1)], [None], ["up 1\n"]], indirect=True)
def test_the_drain_ends_when_its_time_is_over(engine: Engine, clock: Clock) -> None:
    """A stream that does not fit, a queue, and gauges that cannot be read all use the whole drain time up."""
    drain.main([*engine.arguments, "--pre-stop-seconds=0", "--drain-seconds=0.2"])

    assert engine.asked.count("/metrics") > 2
    assert clock.now == pytest.approx(0.2)


@pytest.mark.parametrize("engine", [[IDLE]], indirect=True)
def test_the_edges_get_their_time_before_the_first_look(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An idle server goes on serving for preStopSeconds, since edges still send to it."""
    sleeps: list[tuple[float, list[str]]] = []
    monkeypatch.setattr(drain.time, "sleep", lambda seconds: sleeps.append((seconds, list(engine.asked))))

    drain.main([*engine.arguments, "--pre-stop-seconds=15", "--drain-seconds=60"])

    assert sleeps[0] == (15, ["/health"])


@pytest.mark.parametrize("engine", [[IDLE]], indirect=True)
def test_the_script_runs_on_its_own(engine: Engine) -> None:
    """The file as it is mounted, started by the interpreter alone, ends with 0 and says why."""
    command = [sys.executable, "-I", str(Path(drain.__file__)), *engine.arguments]
    ended = subprocess.run(
        listed([*command, "--pre-stop-seconds=0", "--drain-seconds=60"]),
        capture_output=True,
        text=True,
        check=False,
    )

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "drain: nothing runs any more\n")


def test_a_server_that_leaves_ends_the_drain() -> None:
    """When the engine dies during the drain there is nothing left to wait for."""
    with Engine([metrics(1)]) as server:
        answers = threading.Thread(
            target=lambda: [server.handle_request(), server.handle_request(), server.server_close()],
            daemon=True,  # it waits for both, however late they come
        )
        answers.start()
        drain.main([*server.arguments, "--pre-stop-seconds=0", "--drain-seconds=600"])

    assert server.asked == ["/health", "/metrics"]


LOADING = """
import os, signal
swallowed = []
def on_term(*_):
    if swallowed:
        os._exit(130)  # at once: a third signal could meet the interpreter on its way out
    swallowed.append(1)
signal.signal(signal.SIGTERM, on_term)
print("loading", flush=True)
while True:
    signal.pause()
"""


def test_a_server_that_loads_is_asked_until_it_leaves() -> None:
    """vLLM swallows the first SIGTERM while it loads; the second ends it, long before the grace is over."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound and not listening, as vLLM does it: connections are refused
        port = unused.getsockname()[1]
        server = subprocess.Popen([sys.executable, "-c", LOADING], stdout=subprocess.PIPE, text=True)
        assert server.stdout is not None
        assert server.stdout.readline() == "loading\n"
        times = ["--pre-stop-seconds=15", "--drain-seconds=600"]
        names = ["--health-path=/health", "--metrics-path=/metrics", f"--busy-gauge={RUNNING}"]
        hook = threading.Thread(
            target=drain.main, args=([f"--port={port}", f"--pid={server.pid}", *times, *names],)
        )
        hook.start()

        assert server.wait(timeout=60) == 130
        hook.join(timeout=60)
        assert not hook.is_alive()
        server.stdout.close()


def test_a_server_that_does_not_leave_is_left_to_the_kubelet(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    """The hook does not ask for ever: its time is over before the pod's grace."""
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr(drain.os, "kill", lambda pid, number: sent.append((pid, number)))

    drain.dismiss(1, seconds=0.05)

    assert len(sent) > 1
    assert clock.now >= 0.05
    assert {(1, signal.SIGTERM)} == set(sent)


def test_gauges_are_summed_over_the_engines_of_a_pod() -> None:
    """Labels with braces and blanks, other metrics with the same beginning: only the two gauges count."""
    assert drain.total(metrics(3, 2), {RUNNING, WAITING}) == 5.0
    assert drain.total(f"{RUNNING} 1\n", {RUNNING, WAITING}) is None
