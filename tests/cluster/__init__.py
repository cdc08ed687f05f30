"""The test cluster: a real kind cluster and the real control plane's programs, without an image registry.

Tests use what this module offers; the command line is `python -m tests.cluster`. Standard library only:
it runs before the project's virtual environment exists.
"""

from __future__ import annotations

from pathlib import Path

from . import clients as _clients
from . import images as _images
from . import kind as _kind
from . import mirror as _mirror
from . import tools as _tools
from .ingress import manifest as ingress_manifest
from .kind import CLUSTER, GPUS, KUBECONFIG, NODE, address, audit_entries, node, set_gpus
from .lifecycle import available, clean, down, up
from .modes import current as mode
from .network import Evidence
from .network import evidence as closed
from .prometheus import crds
from .prometheus import manifest as prometheus_manifest
from .steps import Failure
from .versions import IMAGES, VERSIONS

__all__ = [
    "CLUSTER", "GPUS", "IMAGES", "KUBECONFIG", "NODE", "VERSIONS", "Evidence", "Failure", "address",
    "apiserver_binaries", "audit_entries", "available", "clean", "closed", "crds", "down", "helm",
    "image_digest",
    "image_name", "ingress_manifest", "kubeconfig", "kubectl", "load", "mode", "node", "prometheus_manifest",
    "running", "set_gpus", "up",
]  # fmt: skip


def apiserver_binaries() -> dict[str, Path]:
    """The paths of `etcd`, `kube-apiserver` and `kubectl`, built if need be (about 4 minutes, once)."""
    return _tools.build("apiserver")


def kubectl() -> Path:
    """The kubectl of the cluster's version."""
    return _clients.find("kubectl")


def helm() -> Path:
    """Helm, built if need be (about 2 minutes, once)."""
    return _clients.find("helm")


def kubeconfig() -> Path:
    """Where the running cluster's kubeconfig is."""
    return KUBECONFIG


def running() -> bool:
    """Whether the cluster's API server answers."""
    return _kind.running()


def load(name: str) -> bool:
    """Leave with today's image of this name in the node; whether anything had to be sent."""
    return _images.load(name, mode())


def image_name(name: str) -> str:
    """What a pod calls the image, such as `localhost/streaming-operator:dev` for `operator`."""
    return _mirror.image(name, mode())


def image_digest(name: str) -> str:
    """The digest of today's image: as a pod annotation it makes new pods when our code changed."""
    return _images.digest(name, mode())
