"""Contour on the test cluster, as an Ingress controller and as an implementation of the Gateway API."""

from __future__ import annotations

from . import images, kind, mirror, modes, prometheus, steps
from .versions import HERE

NAMESPACE = "edge-contour"
CLASS = "edge-contour"
GATEWAY = "public"
"""The one Gateway that it serves, in its namespace."""
ADDRESS = f"envoy.{NAMESPACE}.svc.cluster.local"
"""What its administrator has it write into the status of Ingresses and of the Gateway."""
IDLE_SECONDS = 10
"""Silence that Envoy's connection manager allows; 300 by default."""
GRACE_SECONDS = 24
"""How long the pods of its Envoy may take to end; 300 in Contour's manifests."""
_DEPLOYMENTS = ("contour", "envoy")


def install() -> None:
    """Leave with it running."""
    mode = modes.current()
    for name in _DEPLOYMENTS:
        images.load(name, mode)
    with steps.step("install Contour"):
        kind.apply("\n---\n".join(path.read_text() for path in prometheus.crds("contour")))
        kind.apply(_manifest())
        for name in _DEPLOYMENTS:
            kind.kubectl("-n", NAMESPACE, "rollout", "status", f"deployment/{name}", "--timeout=120s")


def uninstall() -> None:
    """Take it away, with its classes; its CRDs stay."""
    kind.kubectl("delete", "--wait=false", "--ignore-not-found", "-f", "-", stdin=_manifest())


def _manifest() -> str:
    mode = modes.current()
    text = (HERE / "files" / "contour" / "contour.yaml").read_text()
    values = {name: mirror.image(name, mode) for name in _DEPLOYMENTS}
    values |= {"address": ADDRESS, "idle": str(IDLE_SECONDS), "grace": str(GRACE_SECONDS)}
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text
