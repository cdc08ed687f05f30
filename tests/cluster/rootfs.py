"""Makes Debian root file systems from packages, and layers from folders; both kept in the cache."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from . import archive, cache, packages, steps
from .versions import VERSIONS

RELEASES = ("bookworm", "trixie")
"""Debian 12 and 13."""

# What no container needs. perl comes with debconf; nothing of ours calls it.
PRUNED = (
    "usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info", "usr/share/perl*",
    "usr/share/lintian",
    "usr/share/bash-completion", "usr/share/zsh", "usr/share/mime", "usr/share/common-licenses",
    "usr/bin/perl*", "usr/lib/*/perl*", "var/cache/apt/*", "var/cache/debconf/*", "var/lib/apt/lists/*",
    "var/log/*",
)  # fmt: skip
_KEPT_OPTIONS = (
    "Acquire::http::Proxy",
    "Acquire::https::Proxy",
    "Acquire::Check-Valid-Until",
    "Acquire::Check-Date",
)


def key(include: tuple[str, ...], *, variant: str = "essential", release: str = VERSIONS.debian) -> str:
    """
    What decides a Debian root file system with these packages; it belongs into the key of all that is made from one.

    Another `debian_updates` in versions.toml makes all of them anew, with the mirror's packages of that day.
    """
    return cache.key(release, VERSIONS.debian_updates, variant, *sorted(include))


def debian(
    name: str, include: tuple[str, ...], *, variant: str = "essential", release: str = VERSIONS.debian
) -> Path:
    """The tar file of a Debian root file system with these packages, made by mmdebstrap if need be."""
    digest = key(include, variant=variant, release=release)

    def build(draft: Path) -> None:
        packages.require("mmdebstrap", about="mmdebstrap")
        with steps.step(f"make the Debian root file system {name!r} (about 40 s, once)"):
            argv = [
                "mmdebstrap", f"--variant={variant}", "--mode=root", f"--include={','.join(include)}",
                '--aptopt=APT::Install-Recommends "false"',
                *(f"--dpkgopt=path-exclude=/usr/share/{part}/*" for part in ("man", "doc", "locale")),
                *(f"--aptopt={option}" for option in _apt_options()),
                release, str(draft / "root.tar"), str(_sources(release, draft)),
            ]  # fmt: skip
            steps.run(argv, cache.log(f"mmdebstrap-{name}"), remedy="the Debian mirror must be reachable")

    return cache.folder("rootfs", name, digest, build) / "root.tar"


def is_debian() -> bool:
    """Whether this machine runs a release of Debian that is known to work: 12 or 13."""
    return _release() in RELEASES


def _release() -> str:
    """The code name in /etc/os-release; empty where there is none."""
    path = Path("/etc/os-release")
    lines = path.read_text().splitlines() if path.exists() else []
    return next((line.partition("=")[2] for line in lines if line.startswith("VERSION_CODENAME=")), "")


def _sources(release: str, folder: Path) -> Path:
    """
    A file with this machine's package sources that hold Debian itself, whatever mirror they name, for *release*.

    A mirror has every release, and Debian's keyring package the keys of the neighbouring ones.
    """
    own = _release()
    places = [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))]
    for path in places:
        if path.suffix in (".list", ".sources") and path.is_file() and f"{own}-" in path.read_text():
            copy = folder / f"{release}{path.suffix}"
            copy.write_text(path.read_text().replace(own, release))
            return copy
    raise steps.Failure(
        f"no package source of Debian {own} under /etc/apt",
        remedy="list Debian's mirror there, as it comes installed",
    )


def _apt_options() -> list[str]:
    """This machine's settings for reaching its mirror; mmdebstrap does not take them over by itself."""
    dump = steps.output(["apt-config", "dump"]).splitlines()
    return [line for line in dump if line.split(" ")[0] in _KEPT_OPTIONS]


def unpack(tar: Path, target: Path) -> None:
    """Unpack a root file system with its owners and modes."""
    steps.output(["tar", "-C", target, "--xattrs", "--xattrs-include=*", "-xpf", tar])


def inside(root: Path, path: str) -> Path:
    """
    The file that a path means inside a root file system: absolute links lead to its own files.

    The loader of programs is such a link. This machine's, of another release, crashes with the root's libraries.
    """
    place = root / path.lstrip("/")
    while place.is_symlink():
        target = place.readlink()
        place = root / str(target).lstrip("/") if target.is_absolute() else place.parent / target
    return place


def prune(root: Path, patterns: Iterable[str] = PRUNED) -> None:
    """Remove what the patterns name below a root file system."""
    for pattern in patterns:
        for path in list(root.glob(pattern)):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()


def layer(
    name: str, digest: str, fill: Callable[[Path], None], *, keep_owners: bool = False, prefix: str = ""
) -> archive.Layer:
    """A cached layer: `fill(folder)` makes what the image shall hold below `prefix`."""

    def build(draft: Path) -> None:
        content = draft / "content"
        content.mkdir()
        fill(content)
        packed = archive.write_layer(content, draft / "layer.tar", keep_owners=keep_owners, prefix=prefix)
        cache.remove(content)
        (draft / "layer.json").write_text(json.dumps({"digest": packed.digest, "size": packed.size}))

    place = cache.folder("layers", name, digest, build)
    facts = json.loads((place / "layer.json").read_text())
    return archive.Layer(place / "layer.tar", facts["digest"], facts["size"])
