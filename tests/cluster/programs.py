"""Every external program that this repository calls by name, and who brings it. Pure.

Every command goes through `listed`, mostly by `steps`, and a test finds the calls that do not: what nobody brings fails
there, and not on the machine of whoever follows the README.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
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
    """
    Debian package, distribution on PyPI, or build in `tools.BUILDS`; what to install, for the reader's.

    `a | b` is the first of two Debian packages that a release has, as in Debian's own dependencies.
    """


def _all(bringer: Bringer, packages: dict[str, tuple[str, ...]]) -> dict[str, Source]:
    return {name: Source(bringer, package) for package, names in packages.items() for name in names}


PROGRAMS: dict[str, Source] = {
    **_all(
        "reader",
        {
            "git": ("git",),
            "Go 1.26 or newer": ("go",),
            "make": ("make",),
            "Podman, or Docker": ("podman",),
            "python3": ("python3",),
        },
    ),
    **_all(
        "essential",
        {
            "apt": ("apt-cache", "apt-config", "apt-get"),
            "bash": ("bash",),
            "coreutils": ("chroot", "cp", "head", "mkdir", "mkfifo", "mktemp", "readlink", "rm", "sleep"),
            "dash": ("sh",),
            "dpkg": ("dpkg-deb",),
            "tar": ("tar",),
            "util-linux": ("mount", "nsenter", "pivot_root", "umount", "unshare"),
        },
    ),
    **_all(
        "debian",
        {
            "binutils": ("nm", "readelf", "strip"),
            "containerd": ("containerd", "ctr"),
            "curl": ("curl",),
            "docker-cli | docker.io": ("docker",),
            "docker.io": ("dockerd",),
            "gcc": ("gcc",),
            "haproxy": ("haproxy",),
            "iptables": ("iptables",),
            "mmdebstrap": ("mmdebstrap",),
            "nginx-light": ("nginx",),
            "runc": ("runc",),
            "slirp4netns": ("slirp4netns",),
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

LIBRARIES: dict[str, str] = {"libgomp.so.1": "libgomp1", "libnuma.so.1": "libnuma1"}
"""
Shared libraries that wheels from PyPI expect of the machine, and the Debian package that has each.

A bare Debian has neither; what else wheels are linked to, each of them brings or every Debian has.
"""


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


def listed(command: Sequence[str | Path]) -> list[str]:
    """
    The words of a command that may be called; raises Unlisted for a program that nobody brings.

    A path is taken as it is: what lies there was built or installed by this repository.
    """
    words = [str(word) for word in command]
    if "/" not in words[0]:
        source(words[0])
    return words
