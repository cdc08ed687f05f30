"""The image of the real vLLM on CPU with a tiny model inside: what tests/engines/vllm installs, as layers."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from . import archive, cache, image_python, packages, python_images, rootfs, steps
from .versions import HERE, IMAGES, VERSIONS

REPO = HERE.parents[1]
SOURCE = REPO / "tests" / "engines" / "vllm"
PLACE = "opt/vllm"
MODEL = "models/tiny"
# For building against torch, for debuggers, for offloading to GPUs, for tests: a tenth of its size.
_UNUSED = (
    "site/torch/include", "site/torch/share", "site/torch/test", "site/torch/lib/*.a",
    "site/include",
    "site/share", "site/lib/*.a", "site/lib/*.dbg", "site/lib/libomptarget*", "site/lib/libur_*", "site/lib/libpi_*",
    "site/*/tests", "site/*/*/tests",
)  # fmt: skip
_WITH_DEBUG_INFORMATION = "site/vllm/_C*.so"  # most of their size
_LAUNCHER = f'#!/bin/sh\nexec /{PLACE}/bin/vllm "$@"\n'


def image() -> archive.Image:
    """Its entrypoint, user and home are those of the official image."""
    recipe = HERE / "vllm_image.py"
    parts = sorted(path for path in SOURCE.iterdir() if path.is_file() and path != SOURCE / "model.py")
    return archive.Image(
        IMAGES["build"]["vllm"],
        (
            python_images.base(),
            rootfs.layer("vllm", cache.key(recipe, *parts), _fill_server, prefix=PLACE),
            rootfs.layer("vllm-model", cache.key(SOURCE / "model.py"), _fill_model, prefix=MODEL),
            python_images.script("vllm-real", {"vllm": _LAUNCHER}),
        ),
        entrypoint=("vllm", "serve"),
        env={"HOME": "/home/vllm", "PYTHONUNBUFFERED": "1"},
        user=f"{python_images.VLLM_UID}:0",
        workdir="/home/vllm",
    )


def _fill_server(root: Path) -> None:
    packages.require("strip", about="what makes libraries smaller")
    installed = _made("install vLLM for CPU (about 30 s, once)", VERSIONS.python)
    with steps.step("pack vLLM (about 20 s, once)"):
        for name in ("bin", "site", "stub"):
            # Links instead of copies: the files are only read, and they are gigabytes.
            shutil.copytree(installed / name, root / name, symlinks=True, copy_function=os.link)
        rootfs.prune(root, _UNUSED)
        if not (root / "site/vllm/__pycache__").is_dir():
            image_python.compile_all(root / "site")
        for library in list(root.glob(_WITH_DEBUG_INFORMATION)):
            library.unlink()
            original = installed / library.relative_to(root)
            steps.output(["strip", "--strip-debug", "-o", library, original])


def _fill_model(root: Path) -> None:
    made = _made("train the tiny model (about 20 s, once; vLLM for this Python comes first)", "model")
    shutil.copytree(made, root, dirs_exist_ok=True)


def _made(about: str, what: str) -> Path:
    """The folder that tests/engines/vllm makes: the server for a version of Python, or the model; shared with tests."""
    python = REPO / ".venv" / "bin" / "python"  # it has uv, which installs a gigabyte in seconds
    installed = [python if python.exists() else sys.executable, "-m", "tests.engines.vllm.installed"]
    with steps.step(about):
        log = cache.log("vllm-install")
        remedy = "`make venv` installs uv; PyPI must be reachable"
        steps.run([*installed, what], log, cwd=REPO, env={"PYTHONPATH": str(REPO)}, remedy=remedy)
    return Path(log.read_text().splitlines()[-1])


if __name__ == "__main__":
    image()
