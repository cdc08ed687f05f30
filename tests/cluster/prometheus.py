"""The Prometheus that a test of monitoring starts: its images and manifest; and the CRDs from the modules."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from . import archive, cache, rootfs, steps, tools
from .versions import HERE, IMAGES, VERSIONS, Mode

PACKAGES = ("prometheus", "ca-certificates")
NAMESPACE = "monitoring"
_FILES = HERE / "files" / "prometheus"
_NAMES = IMAGES["build"]
_USER = "65534:65534"
# set -> the module that holds its CRDs, the module's path, the folder inside
_CRDS = {
    "monitoring": (
        "prometheus",
        "github.com/prometheus-operator/prometheus-operator",
        "example/prometheus-operator-crd",
    ),
    "gateway": ("gateway-api", "sigs.k8s.io/gateway-api", "config/crd/standard"),
}


def crds(name: str) -> list[Path]:
    """The CRD files of one set, `monitoring` or `gateway`, copied from the Go module into our cache."""
    module, path, inside = _CRDS[name]
    digest = cache.key(tools.GO / module / "go.mod", inside)

    def build(draft: Path) -> None:
        with steps.step(f"fetch the {name} CRDs"):
            for file in sorted((tools.source(module, path) / inside).glob("*.yaml")):
                if "kind: CustomResourceDefinition" in file.read_text():
                    shutil.copyfile(file, draft / file.name)

    return sorted(cache.folder("crds", name, digest, build).glob("*.yaml"))


def server() -> archive.Image:
    """Debian's Prometheus."""

    def fill(root: Path) -> None:
        rootfs.unpack(rootfs.debian("prometheus", PACKAGES), root)
        rootfs.prune(root)
        rootfs.prune(root, ("usr/share/javascript", "usr/share/fonts", "usr/share/nodejs"))

    digest = cache.key(VERSIONS.debian, *PACKAGES, *rootfs.PRUNED)
    layer = rootfs.layer("prometheus", digest, fill, keep_owners=True)
    return archive.Image(_NAMES["prometheus"], (layer,), entrypoint=("/usr/bin/prometheus",), user=_USER)


def _program(name: str) -> archive.Image:
    def fill(root: Path) -> None:
        shutil.copy(tools.build("prometheus")[name], root / name)

    layer = rootfs.layer(name, tools.BUILDS["prometheus"].digest, fill, prefix="bin")
    return archive.Image(_NAMES[name], (layer,), entrypoint=(f"/bin/{name}",), user=_USER)


def manifest(mode: Mode = "build") -> str:
    """prometheus-operator, and one Prometheus that takes every ServiceMonitor and PrometheusRule.

    It answers at Service `prometheus-operated`, port 9090, in namespace `monitoring`.
    """
    text = (_FILES / "prometheus.yaml").read_text()
    for name in ("prometheus", "prometheus-operator", "prometheus-config-reloader"):
        text = text.replace(f"@{name}@", IMAGES[mode][name])
    return text


RECIPES: dict[str, Callable[[], archive.Image]] = {
    "prometheus": server,
    "prometheus-operator": lambda: _program("prometheus-operator"),
    "prometheus-config-reloader": lambda: _program("prometheus-config-reloader"),
}
