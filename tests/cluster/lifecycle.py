"""What `up` leaves behind, what `down` and `clean` take away, and whether a cluster can run here at all."""

from __future__ import annotations

import os
import platform
import shutil
import time

from . import cache, docker, images, ingress, kind, network, prometheus, rootfs, steps, tools
from .versions import VERSIONS, Mode

_MODE_FILE = cache.STATE / "mode"
_PULL_SECONDS = 10.0
_SMALL = f"registry.k8s.io/pause:{VERSIONS.pause}"  # the smallest image that a kind cluster needs


def available() -> str | None:
    """None if the cluster can run here, else the reason and what to do."""
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        return "the test cluster is built for Linux on x86-64: run it in such a virtual machine"
    if os.geteuid() != 0:
        return "the test cluster needs root (packet filter, root file systems): run as root"
    if not rootfs.is_debian():
        return "the test cluster is made from Debian's packages: run it on Debian 12 or 13"
    if not docker.running() and not shutil.which("dockerd") and not shutil.which("apt-get"):
        return "no container engine and no apt-get to install one: install Docker"
    if not shutil.which("go") and not (cache.ROOT / "tools").is_dir():
        return "Go is not installed and nothing is built yet: install Go 1.26 or newer"
    return None


def up(wish: str | None = None) -> None:
    """Leave with cluster, CRDs, ingress controller and today's images; quick if nothing changed.

    `wish` is auto, registry or build; $IMAGES if it is not given, else auto.
    """
    reason = available()
    if reason:
        raise steps.Failure(f"no cluster here: {reason}")
    start = time.monotonic()
    with cache.lock("cluster"):
        docker.ensure()
        mode = _decide(wish or os.environ.get("IMAGES") or "auto")
        if kind.up(mode):
            _install_crds()
            kind.set_gpus(kind.GPUS)
            kind.finished()
        _MODE_FILE.write_text(mode)
        for name in images.DEFAULT:
            images.load(name, mode)
        _install_ingress(mode)
    steps.say(
        f"==> the cluster is up ({time.monotonic() - start:.0f} s): export KUBECONFIG={kind.KUBECONFIG}"
    )


def mode() -> Mode:
    """How the running cluster's images came here."""
    text = _MODE_FILE.read_text() if _MODE_FILE.exists() else "build"
    return "registry" if text == "registry" else "build"


def _decide(wish: str) -> Mode:
    """`auto`: what the running cluster was made with, else what one short pull says."""
    if wish == "build":
        return "build"
    if wish == "registry":
        return "registry"
    if wish != "auto":
        raise steps.Failure(f"IMAGES={wish} means nothing", remedy="auto, registry or build")
    if kind.running() and _MODE_FILE.exists():
        return mode()
    reached = steps.succeeds(["docker", "pull", "--quiet", _SMALL], seconds=_PULL_SECONDS)
    chosen: Mode = "registry" if reached else "build"
    why = "the registry answers" if reached else f"no registry answered within {_PULL_SECONDS:.0f} s"
    steps.say(f"==> images: {chosen} ({why}; IMAGES=build or IMAGES=registry decides otherwise)")
    return chosen


def _install_crds() -> None:
    with steps.step("install the CRDs of prometheus-operator and gateway-api"):
        for name in ("monitoring", "gateway"):
            kind.apply("\n---\n".join(path.read_text() for path in prometheus.crds(name)))


def _install_ingress(mode: Mode) -> None:
    """Also after a change of the controller's image; an apply without a change is not seen by the cluster."""
    with steps.step("wait for ingress-nginx"):
        kind.apply(ingress.manifest(mode=mode))
        kind.kubectl("-n", ingress.NAMESPACE, "rollout", "status", "deployment/ingress-nginx-controller",
                     "--timeout=120s")  # fmt: skip


def down() -> None:
    """Delete the cluster; the container engine and the cache stay."""
    with cache.lock("cluster"):
        kind.down()
        _MODE_FILE.unlink(missing_ok=True)


def clean(*, with_cache: bool = False) -> None:
    """Delete the cluster, take back the network rules and stop the container engine if it is ours."""
    if docker.running():
        down()
        if os.geteuid() == 0:
            network.open_again()
    docker.stop()
    if with_cache:
        with steps.step(f"remove {cache.ROOT}"):
            cache.remove(cache.ROOT)


def status() -> list[str]:
    """What runs and what is built, a line each."""
    lines = [
        f"cache       {cache.ROOT}",
        f"engine      {_runs(docker.running())}{' (ours)' if docker.PID_FILE.exists() else ''}",
        f"cluster     {_runs(kind.running())}",
    ]
    for name, build in tools.BUILDS.items():
        built = (cache.ROOT / "tools" / f"{name}-{build.digest}").is_dir()
        lines.append(f"tools       {name}: {'built' if built else 'not built'}")
    if kind.running():
        lines.append(f"kubeconfig  {kind.KUBECONFIG}")
        lines.append(f"node        {kind.address()}")
        lines += [f"image       {name}" for name in sorted(images.loaded()) if name.startswith("localhost/")]
        lines.append(f"network     {'closed' if network.evidence().closed else 'NOT CLOSED: run up again'}")
    return lines


def _runs(answer: bool) -> str:
    return "running" if answer else "not running"
