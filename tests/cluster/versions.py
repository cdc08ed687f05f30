"""Reads versions.toml: the one place that names versions and images. It decides nothing."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

HERE = Path(__file__).parent
FILE = HERE / "versions.toml"

Mode = Literal["build", "registry"]


@dataclass(frozen=True)
class Versions:
    """The pinned versions, each as the project that owns it writes it."""

    kubernetes: str
    kind: str
    etcd: str
    coredns: str
    pause: str
    local_path_provisioner: str
    ingress_nginx: str
    helm: str
    prometheus_operator: str
    prometheus: str
    gateway_api: str
    envoy_gateway: str
    haproxy_ingress: str
    contour: str
    istio: str
    debian: str
    debian_updates: str
    python: str


_TABLE = tomllib.loads(FILE.read_text())

VERSIONS = Versions(**{name: text for name, text in _TABLE.items() if isinstance(text, str)})
IMAGES: dict[Mode, dict[str, str]] = _TABLE["images"]
BASES: dict[str, str] = _TABLE["bases"]
