"""The Python of the images, run on this machine to compile ahead for them."""

from __future__ import annotations

import sys
from pathlib import Path

from . import cache, rootfs, steps
from .versions import VERSIONS

PACKAGES = ("python3", "ca-certificates", "curl", "libgomp1", "libstdc++6", "libnuma1", "python3-pip")
"""Of the images' Debian: Python with pip, what its wheels are linked to, and curl for whoever looks inside."""
_LIBRARIES = "usr/lib/x86_64-linux-gnu"
_SECONDS = 600


def debian() -> Path:
    """The tar file of the root file system that all images with Python stand on."""
    return rootfs.debian("python", PACKAGES)


def compile_all(root: Path) -> None:
    """
    Compile every module below a folder for the images' Python, whichever runs here.

    The containers' file systems are read-only, so that every start would compile again: a second for the operator,
    half a minute for vLLM. Byte code stays valid whatever an image does to file times. Some packages hold modules that
    are wrong on purpose, so a failure says nothing.
    """
    python, environment = _python()
    compiling = ["-m", "compileall", "-qq", "-j0", "--invalidation-mode=unchecked-hash", "-s", root, root]
    steps.succeeds([*python, *compiling], env=environment, seconds=_SECONDS)


def _python() -> tuple[list[str | Path], dict[str, str]]:
    """A command line of that Python and its environment: this one, else Debian's by its own loader and libraries."""
    if ".".join(map(str, sys.version_info[:2])) == VERSIONS.python:
        return [sys.executable], {}
    tar = debian()
    root = cache.folder(
        "python", "unpacked", cache.key(tar.parent.name), lambda draft: rootfs.unpack(tar, draft)
    )
    libraries = root / _LIBRARIES
    loader = [libraries / "ld-linux-x86-64.so.2", "--library-path", libraries]
    return [*loader, root / f"usr/bin/python{VERSIONS.python}", "-S"], {"PYTHONHOME": str(root / "usr")}
