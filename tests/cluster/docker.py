"""Owns the container engine: uses the one that runs, or, in build mode as root, installs Debian's and starts it.

What we started is known by a pid file, and only that is ever stopped.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from . import cache, packages, steps
from .programs import listed
from .versions import HERE

PID_FILE = cache.STATE / "dockerd.pid"
LOG = cache.LOGS / "dockerd.log"
PACKAGES = ("docker.io", "containerd", "runc", "iptables")
START_SECONDS = 60.0
STOP_SECONDS = 60.0
_ARCHITECTURE = ("{{.Architecture}}", "{{.Host.Arch}}")  # of docker, of podman
_QUESTION = ("ps", "--quiet")
"""What an engine that answers answers; not `info`, which in some versions tells on its standard output what failed."""
_CAP_SYS_RESOURCE = 24  # its bit in the kernel's capability sets


def engine() -> str:
    """The engine's command: ENGINE if it is set, else docker, else podman where only that is installed."""
    named = os.environ.get("ENGINE")
    if named:
        if named not in ("docker", "podman"):
            raise steps.Failure(f"ENGINE={named} means nothing", remedy="docker or podman")
        return named
    return "podman" if not shutil.which("docker") and shutil.which("podman") else "docker"


def kind_provider() -> dict[str, str]:
    """The environment in which kind uses the same engine."""
    return {} if engine() == "docker" else {"KIND_EXPERIMENTAL_PROVIDER": engine()}


def machine() -> str:
    """The machine type of the engine's containers, as the kernel names it: x86_64 or aarch64."""
    name = steps.output([engine(), "info", "--format", _ARCHITECTURE[engine() == "podman"]]).strip()
    return {"amd64": "x86_64", "arm64": "aarch64"}.get(name, name)


def running() -> bool:
    """Whether a container engine answers."""
    return shutil.which(engine()) is not None and steps.succeeds([engine(), *_QUESTION], seconds=20)


def trouble() -> str | None:
    """Why no container engine answers this user, and what to do; None when one does."""
    if not shutil.which(engine()):
        return "no container engine is installed: install Docker or Podman"
    try:
        steps.output([engine(), *_QUESTION])
    except steps.Failure as failure:
        words = " ".join(failure.what.split())
        return (
            f"the container engine does not answer: {words}; start it, and let this user use it (Linux: the "
            "group docker)"
        )
    return None


def ensure() -> None:
    """Leave with a container engine that answers."""
    if running():
        return
    if os.geteuid() != 0:
        raise steps.Failure(
            f"no container engine answers ({engine()} info)",
            remedy="start Docker, or run this as root on Debian",
        )
    packages.require("docker", "dockerd", about="the container engine", with_packages=PACKAGES)
    with cache.lock("engine"):  # two lanes of the tests may want it at the same moment
        if not running():
            with steps.step("start dockerd"):
                _start()


def _start() -> None:
    cache.STATE.mkdir(parents=True, exist_ok=True)
    argv = ["dockerd", "--pidfile", str(cache.STATE / "dockerd-own.pid")]
    if not _has_sys_resource():
        argv += [
            "--add-runtime",
            f"lesscaps={HERE / 'files' / 'runc-lesscaps'}",
            "--default-runtime",
            "lesscaps",
        ]
    pid = _own_pid()  # one that was starting when an earlier call was interrupted
    if pid is None:
        with cache.log("dockerd").open("ab") as log:
            # A session of its own: the engine outlives this command and the terminal's Ctrl-C. Its pid is noted before
            # it runs, so that Ctrl-C comes either before both or after both.
            noted = ["sh", "-c", 'echo $$ > "$0"; exec "$@"', PID_FILE, *argv]
            process = subprocess.Popen(
                listed(noted),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd="/",
            )
        pid = process.pid
    deadline = time.monotonic() + START_SECONDS
    while not running():
        if not _alive(pid) or time.monotonic() > deadline:
            PID_FILE.unlink(missing_ok=True)
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            raise steps.Failure("dockerd did not start", where=LOG)
        time.sleep(0.2)


def _has_sys_resource() -> bool:
    """kind's node is privileged; where this capability is out of bounds, the runtime must not ask for it."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapBnd:"):
            return bool(int(line.split()[1], 16) >> _CAP_SYS_RESOURCE & 1)
    return True


def stop() -> bool:
    """Stop the engine if it is ours; whether there was one to stop."""
    pid = _own_pid()
    if pid is None:
        PID_FILE.unlink(missing_ok=True)
        return False
    with steps.step("stop the dockerd that we started"):
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while _alive(pid):
            if time.monotonic() > deadline:
                raise steps.Failure(f"dockerd (pid {pid}) did not stop in {STOP_SECONDS:.0f} s", where=LOG)
            time.sleep(0.2)
    PID_FILE.unlink(missing_ok=True)
    return True


def _own_pid() -> int | None:
    try:
        pid = int(PID_FILE.read_text())
        name = Path(f"/proc/{pid}/comm").read_text().strip()
    except (FileNotFoundError, ValueError):
        return None
    return pid if name == "dockerd" else None  # a number can be used again by another program


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
