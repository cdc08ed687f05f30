"""The OpenAPI document of core/v1 as the pinned Kubernetes publishes it, from its Go module."""

from __future__ import annotations

import shutil
from pathlib import Path

from . import cache, steps, tools
from .versions import VERSIONS

_INSIDE = "api/openapi-spec/v3/api__v1_openapi.json"


def core_v1() -> Path:
    """The document, copied into our cache."""

    def build(draft: Path) -> None:
        with steps.step(f"fetch the OpenAPI document of Kubernetes {VERSIONS.kubernetes}"):
            shutil.copyfile(tools.source("kubernetes", "k8s.io/kubernetes") / _INSIDE, draft / "core-v1.json")

    return cache.folder("openapi", "core-v1", cache.key(VERSIONS.kubernetes, _INSIDE), build) / "core-v1.json"
