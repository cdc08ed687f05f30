"""
The proxies of these tests, from Debian: `python -m tests.probe.packages` installs what is missing.

Where that is not possible it says which tests are skipped for it, and goes on.
"""

import shutil
import sys

from tests.cluster import docker, steps

PROGRAMS = {"nginx": "nginx-light", "haproxy": "haproxy"}
"""Program -> package."""


def missing() -> tuple[str, ...]:
    """Packages whose program is not on this machine."""
    path = "/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin"
    return tuple(package for program, package in PROGRAMS.items() if shutil.which(program, path=path) is None)


def main() -> None:
    """Install, or say why not."""
    wanted = missing()
    if not wanted:
        return
    try:
        docker.install(wanted, "proxies for the probe's tests")
    except steps.Failure as failure:
        steps.say(f"the probe's tests behind {', '.join(wanted)} are skipped: {failure}")


if __name__ == "__main__":
    sys.exit(main())
