"""Starts a model server as a process of its own and stops it by its pid; knows nothing of what it serves.

    with RunningEngine("double", ["--served-model-name", "tiny"]) as engine:
        engine.base_url

The real server is installed and started by the same call with "vllm", llama.cpp with "llama".
"""

import fcntl
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Literal, Self

import pytest

from tests.cluster import cache
from tests.cluster.programs import listed

Kind = Literal["double", "vllm", "llama"]
ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = {"double": 120.0, "vllm": 480.0, "llama": 120.0}
"""Longest wait until the port answers; the real server took 63 to 82 s on two cores, and minutes beside much else."""
STOP_SECONDS = 30.0
MODEL = "tiny"
"""The served model name when the arguments give none."""
PORTS = range(20_000, 30_000)
"""Of servers: below those that the kernel gives to whom asks for any port, and below Kubernetes' node ports."""


class EngineError(Exception):
    """The server did not start; the message holds the end of its log."""


class RunningEngine:
    """A running server. `.port`, `.pid` and `.base_url` are for its clients, `.log()` for failures.

    `wait=False` returns as soon as the process runs: for tests of a server that still loads.
    """

    def __init__(
        self,
        kind: Kind = "double",
        args: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        wait: bool = True,
        port: int | None = None,
        model: str = "model",
    ) -> None:
        """*model* is the double's model argument, which its list of models repeats."""
        self.model = model
        self.kind, self.port, self._wait = kind, port or free_port(), wait
        self._args, self._env = list(args), dict(env or {})
        self._log: IO[bytes] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        return self._running().pid

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        command, environment = self._command()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as the process)
        self._process = subprocess.Popen(
            listed(command), env=environment, cwd=ROOT, stdout=self._log, stderr=subprocess.STDOUT
        )
        if self._wait:
            self.wait_until_listening()

    def wait_until_listening(self) -> None:
        deadline = time.monotonic() + START_SECONDS[self.kind]
        while not self.listens():
            if self._running().poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise EngineError(
                    f"{self.kind} does not listen on {self.port} (its whole log: {self._kept_log()}):\n"
                    f"{self.log()[-4000:]}"
                )
            time.sleep(0.05)

    def listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def signal(self, number: signal.Signals = signal.SIGTERM) -> None:
        self._running().send_signal(number)

    def wait(self, seconds: float = STOP_SECONDS) -> int:
        """The exit code, once the process has ended by itself."""
        return self._running().wait(seconds)

    def ended(self) -> bool:
        return self._running().poll() is not None

    def stop(self) -> None:
        """SIGTERM, then SIGKILL; safe to call again."""
        end(self._running(), STOP_SECONDS)

    def log(self) -> str:
        """Everything the server has written so far."""
        assert self._log is not None, "not started"
        with Path(f"/proc/self/fd/{self._log.fileno()}").open(
            "rb"
        ) as again:  # a second offset on the same file
            return again.read().decode(errors="replace")

    def _kept_log(self) -> Path:
        """A copy that stays: the end of a log seldom has the cause, which another process wrote before."""
        kept = cache.log(f"engine-{self.kind}")
        kept.write_text(self.log())
        return kept

    def _running(self) -> "subprocess.Popen[bytes]":
        assert self._process is not None, "not started"
        return self._process

    def _command(self) -> tuple[list[str], dict[str, str]]:
        named = [] if "--served-model-name" in self._args else ["--served-model-name", MODEL]
        bind = ["--host", "127.0.0.1", "--port", str(self.port)]
        if self.kind == "double":
            launch = [sys.executable, "-m", "tests.engines.double", "serve", self.model]
            return [*launch, *bind, *named, *self._args], os.environ | self._env
        if self.kind == "llama":
            from tests.probe.packages import llama

            launch = [sys.executable, "-m", "tests.engines.llama"]
            return [*launch, *bind, *named, *self._args], os.environ | {
                "PYTHONPATH": str(llama())
            } | self._env
        from tests.engines.vllm.installed import launch as launch_vllm

        command, environment = launch_vllm()
        merged = os.environ | environment | self._env
        return [*command, *bind, *named, *self._args], merged


def free_port() -> int:
    """
    A port on which nobody listens, and nobody else will: every process of this machine takes the next one.

    Seconds pass until the server binds it, and a dead one must stay dead; a port from the kernel is given away again.
    """
    counter = cache.STATE / "next-port"
    counter.parent.mkdir(parents=True, exist_ok=True)
    with counter.open("a+") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        handle.seek(0)
        begin = int(handle.read() or 0)
        for number in range(begin, begin + len(PORTS)):
            port = PORTS[number % len(PORTS)]
            if _is_free(port):
                handle.truncate(0)
                handle.write(str((number + 1) % len(PORTS)))
                return port
    raise OSError(f"no port of {PORTS} is free")


def _is_free(port: int) -> bool:
    """Whether no address of this machine has it."""
    with socket.socket() as probe:
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True


def own_address() -> str:
    """An address of this machine that is not loopback; connecting a UDP socket sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no address but loopback")
        return str(probe.getsockname()[0])


def end(process: "subprocess.Popen[bytes]", seconds: float) -> None:
    """SIGTERM, then SIGKILL after so many seconds; nothing for a process that has ended."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
