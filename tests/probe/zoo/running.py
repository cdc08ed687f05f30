"""Real proxies as processes of their own on a free port of loopback, each with a configuration of the case's own."""

import http.client
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.cluster.programs import listed
from tests.engines.running import end, free_port
from tests.probe import packages
from tests.probe.zoo.configs import Place, command

START_SECONDS = 120.0
"""Longest wait until it listens, beside hundreds of others; the end of its process is seen at once."""
STOP_SECONDS = 5.0


@dataclass(frozen=True)
class Setup:
    """A proxy of the zoo: which program, and what its configuration says besides forwarding."""

    program: str
    """A name of `packages.PROGRAMS`."""
    route: str = ""
    """Goes into the route (nginx: location, HAProxy: listen, Caddy: reverse_proxy, Envoy: see configs)."""
    outside: str = ""
    """Goes into the configuration around it."""
    tls: bool = False
    dead: bool = False
    """Its upstream is a port without a listener."""


class Running:
    """A proxy before the server at port `upstream`; started and stopped by its own process id."""

    def __init__(self, setup: Setup, upstream: int, folder: Path, certificate: Path) -> None:
        self.port = free_port()
        self._program = packages.PROGRAMS[setup.program]()
        self._folder = folder
        dead = free_port()
        place = Place(
            self.port,
            dead if setup.dead else upstream,
            folder,
            certificate if setup.tls else None,
            free_port(),
            dead,
        )
        folder.mkdir(parents=True, exist_ok=True)
        self._command, self._environment = command(
            setup.program, self._program, place, setup.route, setup.outside
        )
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._log = (self._folder / "log").open("wb")
        self._process = subprocess.Popen(
            listed(self._command),
            stdout=self._log,
            stderr=subprocess.STDOUT,
            env=self._environment,
            cwd=self._folder,
        )
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self._ask()
                return self
            except OSError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    self._stop()
                    log = (self._folder / "log").read_text(errors="replace")[-1500:]
                    raise RuntimeError(f"{self._command[0]} does not listen:\n{log}") from None
                time.sleep(0.03)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    @property
    def pid(self) -> int:
        """Of its first process."""
        assert self._process is not None
        return self._process.pid

    def _ask(self) -> None:
        """Whether it listens; Traefik does so before it has read its routes, one of which answers 418."""
        socket.create_connection(("127.0.0.1", self.port), 1).close()
        if "traefik" in self._command[0]:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
            connection.request("GET", "/ready")
            if connection.getresponse().status == 404:
                raise ConnectionError("no routes yet")

    def reload(self) -> None:
        """Read the configuration again, as after any change of it."""
        assert self._process is not None
        self._process.send_signal(signal.SIGUSR2 if "haproxy" in self._command[0] else signal.SIGHUP)

    def _stop(self) -> None:
        process = self._process
        assert process is not None
        end(process, STOP_SECONDS)
        self._log.close()
        shutil.rmtree(self._folder / "data", ignore_errors=True)
