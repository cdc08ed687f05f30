"""haproxy-ingress on the test cluster, as an Ingress controller: the Gateway API's CRDs are newer than its types."""

from __future__ import annotations

from . import images, kind, mirror, modes, steps
from .versions import HERE

NAMESPACE = "edge-haproxy"
CLASS = "edge-haproxy"
SERVICE = "haproxy-ingress"
ADDRESS = f"{SERVICE}.{NAMESPACE}.svc.cluster.local"
"""What its administrator has it write into the status of each Ingress: a name, as with most load balancers."""
GRACE_SECONDS = 15
"""How long streams may go on when its pod is replaced; 20 by default."""


def install() -> None:
    """Leave with it running."""
    images.load("haproxy-ingress", modes.current())
    with steps.step("install haproxy-ingress"):
        kind.apply(_manifest())
        kind.kubectl("-n", NAMESPACE, "rollout", "status", "deployment/haproxy-ingress", "--timeout=120s")


def uninstall() -> None:
    """Take it away, with its class."""
    kind.kubectl("delete", "--wait=false", "--ignore-not-found", "-f", "-", stdin=_manifest())


def _manifest() -> str:
    text = (HERE / "files" / "haproxy-ingress" / "haproxy-ingress.yaml").read_text()
    values = {
        "haproxy-ingress": mirror.image("haproxy-ingress", modes.current()),
        "address": ADDRESS,
        "grace": str(GRACE_SECONDS),
    }
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text
