"""The Prometheus that a test of monitoring starts: its images and manifest; and the CRDs from the modules."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

from . import archive, cache, mirror, rootfs, steps, tools
from .versions import HERE, IMAGES, VERSIONS, Mode

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
    "envoy-gateway": (
        "envoy-gateway",
        "github.com/envoyproxy/gateway",
        "charts/gateway-helm/charts/crds/crds/generated",
    ),
    "contour": ("contour", "github.com/projectcontour/contour", "examples/contour"),
    "istio": ("istio", "istio.io/istio", "manifests/charts/base/files"),
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


def _program(name: str, build: str) -> archive.Image:
    """An image of one program of a build."""

    def fill(root: Path) -> None:
        shutil.copy(tools.build(build)[name], root / name)

    layer = rootfs.layer(name, tools.BUILDS[build].digest, fill, prefix="bin")
    return archive.Image(_NAMES[name], (layer,), entrypoint=(f"/bin/{name}",), user=_USER)


def manifest(mode: Mode = "build") -> str:
    """prometheus-operator, and one Prometheus that takes every ServiceMonitor and PrometheusRule.

    It answers at Service `prometheus-operated`, port 9090, in namespace `monitoring`.
    """
    text = (_FILES / "prometheus.yaml").read_text()
    text = text.replace("@version@", VERSIONS.prometheus)
    for name in RECIPES:
        text = text.replace(f"@{name}@", mirror.image(name, mode))
    return text


RECIPES: dict[str, Callable[[], archive.Image]] = {
    "prometheus": partial(_program, "prometheus", "prometheus-server"),
    "prometheus-operator": partial(_program, "prometheus-operator", "prometheus"),
    "prometheus-config-reloader": partial(_program, "prometheus-config-reloader", "prometheus"),
}
