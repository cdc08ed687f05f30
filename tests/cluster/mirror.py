"""Image names as this machine pulls them: upstream's, or behind a mirror that serves them under a prefix.

`REGISTRY_MIRROR=host:port/prefix` is put before every name, the upstream host included: with it,
`quay.io/prometheus/prometheus:v3` becomes `host:port/prefix/quay.io/prometheus/prometheus:v3`. `skopeo sync
--scoped` fills a registry in this layout.
"""

from __future__ import annotations

import os
import re

from . import steps
from .versions import BASES, IMAGES, Mode

VARIABLE = "REGISTRY_MIRROR"
_PREFIX = re.compile(r"[A-Za-z0-9][-.A-Za-z0-9]*(:[0-9]+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*")


def image(name: str, mode: Mode) -> str:
    """What a pod calls the image of this short name, such as `operator`."""
    return behind(IMAGES[mode][name])


def base(name: str) -> str:
    """The published image that one of ours is built on in registry mode."""
    return behind(BASES[name])


def behind(reference: str) -> str:
    """The reference with the mirror's prefix; what is built here is never looked for elsewhere."""
    prefix = configured()
    return reference if not prefix or reference.startswith("localhost/") else f"{prefix}/{reference}"


def configured() -> str:
    """The prefix without a slash at its end; empty when there is none."""
    prefix = os.environ.get(VARIABLE, "").rstrip("/")
    if prefix and not _PREFIX.fullmatch(prefix):
        raise steps.Failure(
            f"{VARIABLE}={prefix} is no image prefix",
            remedy=f"host[:port][/prefix] without a scheme, such as {VARIABLE}=registry.example.com:5000/hub",
        )
    return prefix
