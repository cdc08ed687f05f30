"""Installs Debian packages on this machine, for the programs and shared libraries that they bring."""

from __future__ import annotations

import os
import shutil

from . import cache, programs, steps

PLACES = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def require(*names: str, about: str, with_packages: tuple[str, ...] = ()) -> None:
    """
    Leave with these programs installed, and with what belongs to them; Failure where they cannot be.

    `about` says in a few words what they are for.
    """
    missing = [
        name for name in names if shutil.which(name) is None and shutil.which(name, path=PLACES) is None
    ]
    if missing:
        to_install = dict.fromkeys((*(programs.source(name).package for name in missing), *with_packages))
        install(tuple(to_install), about)
        absent = [name for name in missing if shutil.which(name, path=PLACES) is None]
        if absent:
            raise steps.Failure(
                f"{' '.join(to_install)} came without {', '.join(absent)}",
                remedy=f"install {', '.join(absent)} by hand, and report it with your release of Debian",
            )


def require_libraries(*names: str, about: str) -> None:
    """
    Leave with these shared libraries of `programs.LIBRARIES` installed; Failure where they cannot be.

    What is linked to a library that is missing may start all the same, and fail much later with other words.
    """
    missing = [name for name in names if not _loads(name)]
    if missing:
        install(tuple(programs.LIBRARIES[name] for name in missing), about)


def _loads(library: str) -> bool:
    import ctypes  # a Python that was built without libffi has none, and makes .venv all the same

    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def install(packages: tuple[str, ...], about: str) -> None:
    """Install Debian packages on this machine, one call at a time: apt-get fails where another one runs."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise steps.Failure(
            f"{about} is missing and this is not root on Debian", remedy=f"install {', '.join(packages)}"
        )
    with cache.lock("apt"), steps.step(f"install {about} from Debian ({' '.join(packages)})"):
        log = cache.log(f"apt-{packages[0].split()[0]}")
        env = {"DEBIAN_FRONTEND": "noninteractive"}
        steps.run(
            ["apt-get", "update"], log, env=env, remedy="the Debian mirror of this machine must be reachable"
        )
        chosen = [_first(package.split(" | ")) for package in packages]
        steps.run(["apt-get", "install", "-y", "--no-install-recommends", *chosen], log, env=env)


def _first(alternatives: list[str]) -> str:
    """The first package that this release has."""
    return next(
        (name for name in alternatives if steps.succeeds(["apt-cache", "show", name])), alternatives[-1]
    )
