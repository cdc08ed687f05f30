"""Traefik on the test cluster: an implementation of the Gateway API, and a reader of ingress-nginx' annotations."""

from __future__ import annotations

from . import images, kind, mirror, modes, steps
from .versions import HERE

NAMESPACE = "edge-traefik"
CLASS = "edge-traefik"
INGRESS_CLASS = "edge-traefik-nginx"
"""Of the Ingresses that its provider of ingress-nginx' annotations serves."""
READ_SECONDS = 2
"""How long a silence may be in an Ingress that says nothing of it; 60 by default."""
PORT = 8000
"""Of its entry point, which is what a listener of its Gateways must name; users call port 80 of its Service."""
BUFFERED_PORT = 8001
"""Of the entry point that holds whole answers back."""
GRACE_SECONDS = 20
"""How long streams may go on when its pod is replaced; 10 by default."""


def install() -> None:
    """Leave with it running."""
    mode = modes.current()
    images.load("traefik", mode)
    with steps.step("install Traefik"):
        kind.apply(_manifest())
        kind.kubectl("-n", NAMESPACE, "rollout", "status", "deployment/traefik", "--timeout=600s")


def uninstall() -> None:
    """Take it away, with its Gateways' class."""
    kind.kubectl("delete", "--wait=false", "--ignore-not-found", "-f", "-", stdin=_manifest())


def _manifest() -> str:
    text = (HERE / "files" / "traefik" / "traefik.yaml").read_text()
    values = {"traefik": mirror.image("traefik", modes.current()), "grace": str(GRACE_SECONDS)}
    values |= {"ingress-class": INGRESS_CLASS, "read": str(READ_SECONDS)}
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text
