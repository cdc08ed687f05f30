"""Every external program that this repository calls by name, and who brings it. Pure.

`steps` runs no program that is not listed here, and a test looks for calls beside it: what is nobody's to bring
fails there, and not on the machine of whoever follows the README.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Bringer = Literal["reader", "essential", "debian", "lock", "go"]
"""
reader: the README asks for it. essential: part of every Debian. debian: a package that is installed on demand.
lock: a wheel in requirements-dev.lock, beside .venv's Python. go: built from a module under go/.
"""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a program comes from."""

    bringer: Bringer
    package: str
    """Debian package, distribution on PyPI, or build in `tools.BUILDS`; what to install, for the reader's."""


def _all(bringer: Bringer, packages: dict[str, tuple[str, ...]]) -> dict[str, Source]:
    return {name: Source(bringer, package) for package, names in packages.items() for name in names}


PROGRAMS: dict[str, Source] = {
    **_all(
        "reader", {"git": ("git",), "Go 1.26 or newer": ("go",), "make": ("make",), "python3": ("python3",)}
    ),
    **_all(
        "essential",
        {
            "apt": ("apt-get", "apt-config"),
            "bash": ("bash",),
            "coreutils": ("chroot", "cp", "sleep"),
            "dash": ("sh",),
            "tar": ("tar",),
            "util-linux": ("mount", "unshare"),
        },
    ),
    **_all(
        "debian",
        {
            "binutils": ("nm", "readelf", "strip"),
            "containerd": ("containerd", "ctr"),
            "curl": ("curl",),
            "docker.io": ("docker", "dockerd"),
            "gcc": ("gcc",),
            "haproxy": ("haproxy",),
            "iptables": ("iptables",),
            "mmdebstrap": ("mmdebstrap",),
            "nginx-light": ("nginx",),
            "runc": ("runc",),
        },
    ),
    **_all("lock", {"uv": ("uv",)}),
    **_all(
        "go",
        {
            "apiserver": ("etcd", "kube-apiserver", "kubectl"),
            "node": ("kind",),
            "helm": ("helm",),
            "prometheus-server": ("prometheus",),
            "traefik": ("traefik",),
        },
    ),
}


class Unlisted(Exception):
    """A program that nobody brings; a mistake in this repository."""


def source(name: str) -> Source:
    """Who brings a program; raises Unlisted."""
    try:
        return PROGRAMS[name]
    except KeyError:
        raise Unlisted(
            f"{name!r} is called, but tests/cluster/programs.py does not say who brings it"
        ) from None
