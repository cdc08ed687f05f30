"""The images with Python inside for tests: the engine's double and a client; the operator's is in `operator_image`.

Base, dependencies and our code are three layers, so that an edit of our code is a layer of kilobytes.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from . import archive, cache, image_python, rootfs, steps
from .versions import HERE, IMAGES, VERSIONS

REPO = HERE.parents[1]
SITE = "opt/site"  # installed packages
CODE = "opt/code"  # ours
OPERATOR_UID = 65532
VLLM_UID = 2000  # the uid of the official vLLM images; their group is 0
_NAMES = IMAGES["build"]
MACHINE = "x86_64"  # what build mode is made for
_PYTHON = {"PYTHONPATH": f"/{CODE}:/{SITE}", "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}
# Some libraries ask for the name of the user that they run as.
_USERS = f"operator:x:{OPERATOR_UID}:{OPERATOR_UID}::/tmp:/bin/sh\nvllm:x:{VLLM_UID}:0::/home/vllm:/bin/sh\n"
# The pod sets PYTHONPATH for its middleware, which replaces the image's.
_DOUBLE = f'#!/bin/sh\nexport PYTHONPATH="$PYTHONPATH:/{CODE}:/{SITE}"\nexec python3 -m double "$@"\n'
_GLIBC = range(36, 16, -1)  # the glibc 2.x of Debian bookworm, down to the oldest that wheels name


def base() -> archive.Layer:
    """Debian with Python and curl: also the image of a plain client."""

    def fill(root: Path) -> None:
        rootfs.unpack(image_python.debian(), root)
        rootfs.prune(root)
        with (root / "etc/passwd").open("a") as users:
            users.write(_USERS)
        home = root / "home/vllm"
        home.mkdir(mode=0o775)
        shutil.chown(home, VLLM_UID, 0)

    return rootfs.layer(
        "python",
        cache.key(_USERS, rootfs.key(image_python.PACKAGES), *rootfs.PRUNED),
        fill,
        keep_owners=True,
    )


def packages(name: str, lock: Path, about: str, machine: str = MACHINE) -> archive.Layer:
    """The packages of a lock file with hashes, as wheels for the Python of the base."""

    def fill(root: Path) -> None:
        with steps.step(f"install {about} (once per lock file)"):
            pip_install(root, ["--require-hashes", "--requirement", str(lock)], f"pip-{name}", machine)
            image_python.compile_all(root)

    other = () if machine == MACHINE else (machine,)
    return rootfs.layer(f"packages-{name}", cache.key(lock, "1", *other), fill, prefix=SITE)


def pip_install(target: Path, requirements: list[str], log: str, machine: str = MACHINE) -> None:
    """Wheels for the base's Python into a folder, whatever Python and whatever system runs here."""
    run_pip(["install", "--no-compile", f"--target={target}", *requirements], log, machine)
    cache.remove(target / "bin")


def run_pip(words: list[str], log: str, machine: str = MACHINE) -> None:
    """A command of this machine's pip about wheels for the base's Python and a machine type."""
    platforms = [f"manylinux_2_{minor}_{machine}" for minor in _GLIBC] + [f"manylinux2014_{machine}"]
    steps.run(
        [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *words, "--only-binary=:all:",
         "--implementation=cp", f"--python-version={VERSIONS.python}", *(f"--platform={one}" for one in platforms)],
        cache.log(log),
        remedy="pip must reach its package index (pip config list)",
    )  # fmt: skip


def code(name: str, source: Path, inside: str) -> archive.Layer:
    """A folder of this repository, seen in the image as package `inside`."""

    def fill(root: Path) -> None:
        shutil.copytree(source, root / inside, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        image_python.compile_all(root)

    return rootfs.layer(f"code-{name}", cache.key(source, inside), fill, prefix=CODE)


def script(name: str, programs: Mapping[str, str]) -> archive.Layer:
    """Small programs in /usr/local/bin: their names and texts."""

    def fill(root: Path) -> None:
        for program, text in programs.items():
            (root / program).write_text(text)
            (root / program).chmod(0o755)

    digest = cache.key(*(part for item in sorted(programs.items()) for part in item))
    return rootfs.layer(f"script-{name}", digest, fill, prefix="usr/local/bin")


def _client(_: str) -> archive.Image:
    """Python and curl, for plain clients inside the cluster."""
    return archive.Image(
        _NAMES["client"], (), command=("sleep", "infinity"), user=f"{OPERATOR_UID}:{OPERATOR_UID}"
    )


def _double(machine: str) -> archive.Image:
    """The double of the vLLM server, started as in the official image, whose entrypoint is `vllm serve`."""
    source = REPO / "tests" / "engines" / "double"
    return archive.Image(
        _NAMES["double"],
        (
            packages("double", source / "requirements.lock", "the test engine's dependencies", machine),
            script("vllm-double", {"vllm": _DOUBLE}),
            code("double", source, "double"),
        ),
        entrypoint=("vllm", "serve"),
        env={**_PYTHON, "HOME": "/home/vllm"},
        user=f"{VLLM_UID}:0",
        workdir="/home/vllm",
    )


def _on_debian(name: str) -> archive.Image:
    image = ON_PYTHON[name](MACHINE)
    return replace(image, layers=(base(), *image.layers))


# What comes on top of a Python for this machine type: in registry mode that of the official image, else our own.
ON_PYTHON: dict[str, Callable[[str], archive.Image]] = {
    "double": _double,
    "client": _client,
}
RECIPES: dict[str, Callable[[], archive.Image]] = {name: partial(_on_debian, name) for name in ON_PYTHON}
