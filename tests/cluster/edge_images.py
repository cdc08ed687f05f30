"""The images of the edges beside ingress-nginx: most are one program on the base that the node has anyway."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

from . import archive, cache, haproxy_image, python_images, rootfs, steps, tools
from .versions import IMAGES

_USER = "65532:65532"
_ISTIO_USER = "1337:1337"
_BOOTSTRAP = Path("var/lib/istio/envoy/envoy_bootstrap_tmpl.json")
"""Where Istio's agent looks for the template of Envoy's first configuration."""


def _image(name: str, digest: str, source: Callable[[], Path]) -> archive.Image:
    def fill(root: Path) -> None:
        shutil.copy(source(), root / name)

    layer = rootfs.layer(name, digest, fill, prefix="usr/local/bin")
    return archive.Image(IMAGES["build"][name], (python_images.base(), layer), entrypoint=(name,), user=_USER)


def _built(name: str) -> archive.Image:
    """A program that is built from its Go module."""
    return _image(name, tools.BUILDS[name].digest, lambda: tools.build(name)[name])


def _envoy() -> archive.Image:
    """Envoy as a wheel brings it: it needs nothing but libc."""
    from tests.probe import packages  # which knows us

    return _image("envoy", cache.key(packages.LOCK), _envoy_program)


def _envoy_program() -> Path:
    from tests.probe import packages

    try:
        return packages.PROGRAMS["envoy"]()
    except packages.Missing as missing:
        raise steps.Failure(str(missing)) from missing


def _istio_pilot() -> archive.Image:
    """istiod."""

    def fill(root: Path) -> None:
        shutil.copy(tools.build("istio")["pilot-discovery"], root)

    layer = rootfs.layer("istio-pilot", tools.BUILDS["istio"].digest, fill, prefix="usr/local/bin")
    return _istio("istio-pilot", "pilot-discovery", layer)


def _istio_proxy() -> archive.Image:
    """Istio's agent with a stock Envoy, where upstream's image has one with filters of Istio's own."""
    from tests.probe import packages

    def fill(root: Path) -> None:
        programs, template = root / "usr/local/bin", root / _BOOTSTRAP
        for folder in (programs, template.parent):
            folder.mkdir(parents=True)
        shutil.copy(tools.build("istio")["pilot-agent"], programs)
        shutil.copy(_envoy_program(), programs / "envoy")
        source = tools.source("istio", "istio.io/istio") / "tools/packaging/common/envoy_bootstrap.json"
        shutil.copyfile(source, template)  # without the mode: the module's files are read-only

    layer = rootfs.layer("istio-proxy", cache.key(tools.BUILDS["istio"].digest, packages.LOCK), fill)
    return _istio("istio-proxy", "pilot-agent", layer)


def _istio(name: str, program: str, layer: archive.Layer) -> archive.Image:
    layers = (python_images.base(), layer)
    return archive.Image(IMAGES["build"][name], layers, entrypoint=(program,), user=_ISTIO_USER)


RECIPES: dict[str, Callable[[], archive.Image]] = {
    "envoy-gateway": partial(_built, "envoy-gateway"),
    "envoy": _envoy,
    "traefik": partial(_built, "traefik"),
    "haproxy-ingress": haproxy_image.image,
    "contour": partial(_built, "contour"),
    "istio-pilot": _istio_pilot,
    "istio-proxy": _istio_proxy,
}
