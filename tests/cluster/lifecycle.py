"""What `up` leaves behind, what `down` and `clean` take away, and whether a cluster can run here at all."""

from __future__ import annotations

import os
import platform
import shutil
import time
from collections.abc import Callable

from . import (
    cache,
    clients,
    docker,
    images,
    ingress,
    kind,
    mirror,
    modes,
    network,
    prometheus,
    rootfs,
    steps,
    tools,
)
from .versions import VERSIONS, Mode

_PULL_SECONDS = 10.0
_SMALL = f"registry.k8s.io/pause:{VERSIONS.pause}"  # the smallest image that a kind cluster needs


def available(requested: str | None = None) -> str | None:
    """None if the cluster can run here, else the reason and what to do. `requested` as in `up`."""
    if _images_setting(requested) == "registry":
        return docker.trouble()
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        return f"images are built on Linux on x86-64 only: {_ELSE}"
    if os.geteuid() != 0:
        return f"building images needs root (packet filter, root file systems): run as root, or {_ELSE}"
    if not rootfs.is_debian():
        return f"images are built from Debian's packages: run it on Debian 12 or 13, or {_ELSE}"
    if not docker.running() and not shutil.which("dockerd") and not shutil.which("apt-get"):
        return "no container engine and no apt-get to install one: install Docker"
    if not shutil.which("go") and not (cache.ROOT / "tools").is_dir():
        return f"Go is not installed and nothing is built yet: install Go 1.26 or newer, or {_ELSE}"
    return None


_ELSE = "IMAGES=registry, with a container engine that this user may use"


def up(
    requested: str | None = None, *, demo: bool = False, chosen: Callable[[Mode], None] = lambda _: None
) -> None:
    """Leave with cluster, CRDs, ingress controller and today's images; quick if nothing changed.

    `requested` is auto, registry or build; $IMAGES if it is not given, else auto. `demo` leaves out what only tests
    need: their images, and the CRDs of other projects. `chosen` is told how images come, before anything is made.
    """
    reason = available(requested)
    if reason:
        raise steps.Failure(f"no cluster here: {reason}")
    start = time.monotonic()
    with cache.lock("cluster"):
        mode = _decide(_images_setting(requested))
        modes.choose(mode)
        chosen(mode)
        clients.require()
        if kind.up(mode):
            kind.set_gpus(kind.GPUS)
            kind.finished()
        modes.note()
        if not demo:
            _install_crds()
        for name in images.DEMO if demo else images.DEFAULT:
            images.load(name, mode)
        _install_ingress(mode)
    steps.say(f"==> the cluster's network is {network.state()}")
    steps.say(
        f"==> the cluster is up ({time.monotonic() - start:.0f} s): export KUBECONFIG={kind.KUBECONFIG}"
    )


def _images_setting(requested: str | None) -> str:
    return requested or os.environ.get("IMAGES") or "auto"


def _decide(requested: str) -> Mode:
    """`auto`: what the running cluster was made with, else what one short pull says."""
    if requested == "registry":
        behind = mirror.configured()
        steps.say(f"==> images: registry{f' (behind {behind})' if behind else ''}; ours are built on them")
        return "registry"
    if requested not in ("auto", "build"):
        raise steps.Failure(f"IMAGES={requested} means nothing", remedy="auto, registry or build")
    docker.ensure()
    if requested == "build":
        return "build"
    if modes.known() and kind.running():
        return modes.current()
    small = mirror.behind(_SMALL)
    reached = steps.succeeds([docker.engine(), "pull", "--quiet", small], seconds=_PULL_SECONDS)
    chosen: Mode = "registry" if reached else "build"
    why = "the registry answers" if reached else f"no registry answered within {_PULL_SECONDS:.0f} s"
    steps.say(f"==> images: {chosen} ({why}; IMAGES=build or IMAGES=registry decides otherwise)")
    return chosen


_CRDS = ("servicemonitors.monitoring.coreos.com", "httproutes.gateway.networking.k8s.io")


def _install_crds() -> None:
    names = " ".join(_CRDS)
    if steps.succeeds(kind.kubectl_argv("get", "crd", *_CRDS)):
        return
    if modes.current() == "registry" and not shutil.which("go"):
        steps.say(f"==> left out without Go, which fetches them: the CRDs {names}")
        return
    with steps.step("install the CRDs of prometheus-operator and gateway-api"):
        for name in ("monitoring", "gateway"):
            kind.apply("\n---\n".join(path.read_text() for path in prometheus.crds(name)))


def _install_ingress(mode: Mode) -> None:
    """Also after a change of the controller's image; an apply without a change is not seen by the cluster."""
    with steps.step("wait for ingress-nginx"):
        kind.apply(ingress.manifest(mode=mode))
        kind.kubectl("-n", ingress.NAMESPACE, "rollout", "status", "deployment/ingress-nginx-controller",
                     "--timeout=600s")  # fmt: skip


def down() -> None:
    """Delete the cluster; the container engine and the cache stay."""
    with cache.lock("cluster"):
        kind.down()
        modes.forget()


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
    for name in tools.BUILDS:
        lines.append(f"tools       {name}: {'built' if tools.is_built(name) else 'not built'}")
    if kind.running():
        lines.append(f"kubeconfig  {kind.KUBECONFIG}")
        lines.append(f"node        {kind.address()}")
        lines += [f"image       {name}" for name in sorted(images.loaded()) if name.startswith("localhost/")]
        lines.append(f"images      {modes.current()}")
        lines.append(f"network     {_network()}")
    return lines


def _network() -> str:
    if network.should_be_closed(modes.current()) and os.geteuid() == 0 and not network.evidence().closed:
        return "NOT CLOSED: run up again"
    return network.state()


def _runs(answer: bool) -> str:
    return "running" if answer else "not running"
