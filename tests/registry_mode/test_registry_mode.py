"""What README promises to people with a container engine and no root."""

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests import cluster as test_cluster
from tests.cluster import cache, clients, docker, network, steps
from tests.e2e.waiting import wait_for
from tests.registry_mode import registry
from tests.registry_mode.newcomer import Newcomer, arrive

ROOT = Path(__file__).resolve().parents[2]
CLUSTER = "registry-mode"
INSTALLS = (
    "Makefile", "pyproject.toml", "requirements.lock", "requirements-dev.lock", "hack", "charts", "manifests/samples",
    "tests/cluster", "tests/engines/vllm", "tests/registry_mode",
)  # fmt: skip
"""What decides whether the demo can be installed; the rest is the other lanes'."""
pytestmark = pytest.mark.timeout(2400)  # the first one fills the registry and waits for the demo


@dataclass(frozen=True)
class World:
    """A newcomer, and the mirror that serves everything they pull."""

    newcomer: Newcomer
    mirror: str

    @property
    def env(self) -> dict[str, str]:
        """What they set; the cluster's name keeps it apart from the one that stands here already."""
        return {"IMAGES": "registry", "REGISTRY_MIRROR": self.mirror, "STREAMING_CLUSTER": CLUSTER}

    def kubectl(self, *words: str) -> str:
        """What kubectl prints, asked from outside."""
        return steps.output([clients.find("kubectl"), f"--kubeconfig={self.newcomer.kubeconfig}", *words])


def _passed() -> Path:
    """Exists when this has passed with the same files."""
    return cache.ROOT / "rehearsals" / f"registry-mode-{cache.key(*(ROOT / name for name in INSTALLS))}"


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """The registry filled, the newcomer arrived, this machine's closed network in place."""
    if _passed().exists() and not os.environ.get("FULL"):
        pytest.skip("passed before with the same files; FULL=1 runs it again")
    reason = test_cluster.available("build")
    if reason is not None:
        pytest.skip(reason)
    docker.ensure()
    network.close()
    with (
        tempfile.TemporaryDirectory(dir=cache.ROOT, prefix="registry-") as blobs,
        tempfile.TemporaryDirectory(prefix="newcomer-") as place,
        registry.serving(Path(blobs)) as host,
    ):
        for image in registry.upstream():
            registry.push(image, host)
        newcomer = arrive(Path(place))
        try:
            yield World(newcomer, f"{host}/{registry.PREFIX}")
        finally:
            newcomer.run(
                ".venv/bin/python", "-m", "tests.cluster", "down", env={"STREAMING_CLUSTER": CLUSTER}
            )
            registry.forget(docker.engine(), host)


@pytest.fixture(scope="module")
def demo(world: World, request: pytest.FixtureRequest) -> Iterator["subprocess.CompletedProcess[str]"]:
    """`IMAGES=registry make demo`, once; noted as passed when no test of this run has failed."""
    done = world.newcomer.run("make", "demo", env=world.env, seconds=1700)
    assert done.returncode == 0, done.stdout + done.stderr
    yield done
    if not request.session.testsfailed:
        _passed().mkdir(parents=True, exist_ok=True)


def test_without_root_and_go_the_demo_streams(demo: "subprocess.CompletedProcess[str]", world: World) -> None:
    """The endpoint is Ready in the newcomer's own cluster, and its answer came through the ingress to [DONE]."""
    sep = json.loads(world.kubectl("get", "sep", "-n", "demo", "tiny", "-o", "json"))
    conditions = {condition["type"]: condition["status"] for condition in sep["status"]["conditions"]}
    assert conditions["Ready"] == "True"
    assert "then [DONE]" in demo.stderr
    assert len(demo.stdout.split()) > 10


def test_every_image_that_is_not_ours_came_from_the_mirror(
    demo: "subprocess.CompletedProcess[str]", world: World
) -> None:
    """The prefix stands before each name; what holds our code was built here, on an image from there."""
    pods = json.loads(world.kubectl("get", "pods", "-A", "-o", "json"))["items"]
    images = {
        container["image"]
        for pod in pods
        if pod["metadata"]["namespace"] in ("ingress-nginx", "streaming-system", "demo")
        for container in pod["spec"]["containers"]
    }
    assert images == {
        f"{world.mirror}/registry.k8s.io/ingress-nginx/controller:{test_cluster.VERSIONS.ingress_nginx}",
        "localhost/streaming-operator:dev",
        "localhost/vllm-cpu:0.32.0",
    }
    node = f"{CLUSTER}-control-plane"
    used = steps.output([docker.engine(), "inspect", "--format", "{{.Config.Image}}", node])
    assert used.strip() == f"{world.mirror}/{test_cluster.IMAGES['registry']['node']}"


def test_nothing_was_built_with_go_and_no_packet_filter_touched(
    demo: "subprocess.CompletedProcess[str]", world: World
) -> None:
    """No program lies in the newcomer's cache, and the demo tells how the network stands."""
    assert not (world.newcomer.home / ".cache/streaming-operator/tools").exists()
    assert f"the cluster's network is {network.state()}" in demo.stderr


def test_a_second_demo_finds_everything(demo: "subprocess.CompletedProcess[str]", world: World) -> None:
    """Nothing is pulled, created or loaded again."""
    again = world.newcomer.run("make", "demo", seconds=600, env=world.env)
    assert again.returncode == 0, again.stderr
    for word in ("==> pull", "create the kind cluster", "into the node"):
        assert word not in again.stderr


def test_missing_clients_are_named_with_the_command_that_installs_them(world: World) -> None:
    """One sentence for all of them, before anything is pulled; no traceback."""
    places = [world.newcomer.root / "usr/local/bin" / name for name in clients.CLIENTS]
    for path in places:
        path.rename(path.with_name(f"{path.name}.away"))
    try:
        done = world.newcomer.run("make", "demo", env=world.env)
    finally:
        for path in places:
            path.with_name(f"{path.name}.away").rename(path)
    assert done.returncode != 0
    for name in clients.CLIENTS:
        assert f"{name} is not installed" in done.stderr
    assert clients.install_command(list(clients.CLIENTS), "Linux", os.uname().machine) in done.stderr
    assert "Traceback" not in done.stderr
    assert "==> pull" not in done.stderr


def test_what_is_broken_off_leaves_no_process(world: World) -> None:
    """A run that was interrupted left its `make` behind, as the newcomer and at full speed."""
    seconds = str(86_400 + os.getpid())
    with pytest.raises(subprocess.TimeoutExpired):
        world.newcomer.run("sleep", seconds, seconds=3)
    wait_for(lambda: not _running("sleep", seconds), "the end of what was broken off")


def _running(*words: str) -> list[Path]:
    """The processes of this command line."""
    line = "\0".join(words).encode() + b"\0"
    found = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has ended meanwhile
            found += [process] if process.read_bytes() == line else []
    return found


def test_who_may_not_use_the_engine_is_told_so(world: World) -> None:
    """The engine's own words, and the group that is missing."""
    stranger = replace(world.newcomer, may_use_engine=False)
    done = stranger.run("make", "demo", env=world.env)
    assert done.returncode != 0
    assert "permission denied" in done.stderr
    assert "the group docker" in done.stderr
    assert "Traceback" not in done.stderr
