"""`streamctl run` as a process: it becomes ready, works, serves its metrics, and ends cleanly on a signal."""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.apiserver.client import ApiError, Object
from tests.apiserver.control_plane import ControlPlane, optional_crds
from tests.apiserver.following import an_endpoint
from tests.cluster.programs import listed
from tests.engines.running import free_port

pytestmark = pytest.mark.apiserver

PATIENCE = 60.0
"""Seconds until a test gives up on the process."""


AT_REST = ("streamingendpoint_queue_length 0.0", "streamingendpoint_passes_running 0.0")
"""Of an operator with no pass to do and none under way."""

SHOWN = (
    'streamingendpoint_passes_total{outcome="done"}',
    *AT_REST,
    'streamingendpoint_watch_age_seconds{kind="StreamingEndpoint"}',
    'streamingendpoint_watch_age_seconds{kind="Deployment"}',
    'streamingendpoint_api_requests_total{code="200",verb="list"}',
    'streamingendpoint_api_requests_total{code="200",verb="watch"}',
    'streamingendpoint_api_requests_total{code="201",verb="patch"}',
    'streamingendpoint_api_requests_total{code="404",verb="get"}',
    "streamingendpoint_leader 1.0",
    "streamingendpoint_standby 0.0",
)
"""Of an operator at rest that has made an endpoint's objects, and a Lease that was not there."""


class Running:
    """The process, its port and its log."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.process, self.port, self._log = process, port, log

    def get(self, path: str) -> tuple[int, str]:
        """Status and text of one answer; 0 while nobody listens."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=PATIENCE) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def until(self, path: str, code: int) -> None:
        """Wait for an answer."""
        deadline = time.monotonic() + PATIENCE
        while self.get(path)[0] != code:
            assert self.process.poll() is None, f"it ended:\n{self.log()}"
            assert time.monotonic() < deadline, f"{path} never said {code}:\n{self.log()}"
            time.sleep(0.1)

    def until_shown(self, *samples: str) -> None:
        """Wait until its metrics have all of these at once."""
        deadline = time.monotonic() + PATIENCE

        def absent() -> list[str]:
            shown = self.get("/metrics")[1]
            return [sample for sample in samples if sample not in shown]

        while missing := absent():
            assert time.monotonic() < deadline, f"/metrics never had {missing}:\n{self.log()}"
            time.sleep(0.1)

    def log(self) -> str:
        """What it wrote so far."""
        return self._log.read_text()


@contextmanager
def operator(kubeconfig: Path, folder: Path, **settings: str) -> Iterator[Running]:
    """Start it beside a kubeconfig; killed at the end if it still runs."""
    port = free_port()
    log = folder / f"operator-{port}.log"
    ours = {f"STREAMING_OPERATOR_{name}": value for name, value in settings.items()}
    environment = {
        **os.environ,
        "KUBECONFIG": str(kubeconfig),
        "STREAMING_OPERATOR_HTTP_PORT": str(port),
        # Its own, unless a test wants two to meet: nobody waits for the end of what an earlier one held.
        "STREAMING_OPERATOR_LEASE_NAME": f"operator-{port}",
        **ours,
    }
    with log.open("wb") as out:
        command = [sys.executable, "-m", "streaming_operator", "run"]
        process = subprocess.Popen(listed(command), env=environment, stdout=out, stderr=out)
    try:
        yield Running(process, port, log)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        process.wait()


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_it_becomes_ready_works_and_ends_cleanly(
    control_plane: ControlPlane, namespace: str, tmp_path: Path, signum: signal.Signals
) -> None:
    """Ready after its caches are filled; an endpoint gets its status; the signal ends it with 0 and no traceback."""
    endpoint = an_endpoint(control_plane, namespace)
    body = {
        "apiVersion": "streamingendpoints.dev/v1alpha1",
        "kind": "StreamingEndpoint",
        "metadata": {"name": endpoint.name, "namespace": namespace},
    }
    # Its own namespace: it is at rest only after a pass over every endpoint it watches, and other tests leave theirs.
    settings = {"WATCH_NAMESPACES": namespace, "METRICS_AUTHENTICATION": "false"}
    with operator(control_plane.kubeconfig, tmp_path, **settings) as running:
        running.until("/readyz", 200)
        control_plane.until(body, lambda stored: "conditions" in (stored.get("status") or {}), "a status")
        assert running.get("/livez")[0] == 200
        running.until_shown(*SHOWN)

        running.process.send_signal(signum)
        assert running.process.wait(PATIENCE) == 0
        assert "Traceback" not in running.log()


def test_a_new_endpoint_costs_one_pass(control_plane: ControlPlane, namespace: str, tmp_path: Path) -> None:
    """After the first pass nothing new is known: the events of our own writes ask for no further pass."""
    # A Lease that is not lost on a busy machine: who leads again passes over everything again.
    settings = {
        "WATCH_NAMESPACES": namespace,
        "METRICS_AUTHENTICATION": "false",
        "LEASE_SECONDS": "120",
    }
    with operator(control_plane.kubeconfig, tmp_path, **settings) as running:
        running.until("/readyz", 200)
        bodies = [
            {
                "apiVersion": "streamingendpoints.dev/v1alpha1",
                "kind": "StreamingEndpoint",
                "metadata": {"name": an_endpoint(control_plane, namespace, f"chat-{number}").name}
                | {"namespace": namespace},
            }
            for number in range(10)
        ]
        for body in bodies:
            control_plane.until(body, lambda stored: "conditions" in (stored.get("status") or {}), "a status")
        running.until_shown(*AT_REST)  # a pass is counted after its status is written
        time.sleep(1)  # for a pass too many
        assert 'streamingendpoint_passes_total{outcome="done"} 10.0' in running.get("/metrics")[1]


def test_a_kind_that_is_removed_and_added_again_is_written_again(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    """ServiceMonitors come back, and an endpoint made in between has a status: no missing kind ends an endpoint."""
    crd = next(crd for crd in optional_crds() if crd["spec"]["names"]["kind"] == "ServiceMonitor")
    monitor = {"apiVersion": "monitoring.coreos.com/v1", "kind": "ServiceMonitor"}
    endpoint = {"apiVersion": "streamingendpoints.dev/v1alpha1", "kind": "StreamingEndpoint"}

    def named(kind: Object, name: str) -> Object:
        return {**kind, "metadata": {"name": name, "namespace": namespace}}

    def answer(obj: Object) -> int:
        """200, 404, or 503 while a kind is taken away."""
        try:
            control_plane.get(obj)
        except ApiError as refusal:
            return refusal.status
        return 200

    def has_status(name: str) -> bool:
        return "conditions" in (control_plane.get(named(endpoint, name)).get("status") or {})

    with operator(control_plane.kubeconfig, tmp_path, WATCH_NAMESPACES=namespace) as running:
        running.until("/readyz", 200)
        an_endpoint(control_plane, namespace, "before")
        await_true(lambda: answer(named(monitor, "before")) == 200)
        control_plane.delete(crd)
        try:
            await_true(lambda: answer(named(monitor, "before")) == 404)
            an_endpoint(control_plane, namespace, "between")
            await_true(lambda: has_status("between"))
        finally:
            # Installed while it is still being deleted, it would go with the one that was there.
            await_true(lambda: answer(crd) == 404)
            control_plane.install([crd])
        for name in ("before", "between"):
            await_true(
                lambda name=name: answer(named(monitor, name)) == 200, seconds=120
            )  # discovery comes once a minute


def await_true(holds: Callable[[], bool], seconds: float = PATIENCE) -> None:
    """Wait until it is so, seen from outside."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s"
        time.sleep(0.2)


def test_a_wrong_setting_ends_it_with_usage(control_plane: ControlPlane, tmp_path: Path) -> None:
    """Exit code 2 and the variable's name, before anything is started."""
    with operator(control_plane.kubeconfig, tmp_path, WORKERS="many") as running:
        assert running.process.wait(PATIENCE) == 2
        assert "STREAMING_OPERATOR_WORKERS" in running.log()
        assert "Traceback" not in running.log()


def test_without_an_api_server_it_says_so(tmp_path: Path) -> None:
    """A kubeconfig that is not there: one clear line, exit code 1."""
    with operator(tmp_path / "nowhere", tmp_path) as running:
        assert running.process.wait(PATIENCE) == 1
        assert "kubeconfig" in running.log()
        assert "Traceback" not in running.log()
