"""The cached copies of the real server and its model: found, or made once under a key of all that goes into them."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cluster import packages, steps

from .install import HERE, HOST, InstallError, install

INGREDIENTS = ("requirements.lock", "install.py", "stubs.py", "launch.sh")
FLAGS = ("--dtype", "bfloat16", "--enforce-eager")
"""What the model needs on a CPU, whatever the test asks for besides."""


def key(*names: str) -> str:
    """Changes when anything changes that is made of these files."""
    content = b"".join((HERE / name).read_bytes() for name in names)
    return hashlib.sha256(content).hexdigest()[:12]


def directory(python: str = HOST) -> Path:
    return _cache() / f"vllm-{key(*INGREDIENTS)}-py{python}"


def _cache() -> Path:
    return Path(os.environ.get("STREAMING_CACHE") or Path.home() / ".cache" / "streaming-operator")


def ensure(python: str = HOST) -> Path:
    """
    The directory installed for a version of Python; made now if need be, by one process at a time; else InstallError.
    """
    target = directory(python)
    with _alone():
        _require_what_it_is_linked_to(python)
        if not target.exists():
            install(target, python)
    return target


def _require_what_it_is_linked_to(python: str) -> None:
    """
    What the package index does not have: on this machine, a library; to install it at all, a compiler.

    Without libnuma vLLM says so in a warning, and its engine fails half a minute later for another reason.
    """
    try:
        if python == HOST:
            packages.require_libraries("libnuma.so.1", about="what vLLM is linked to")
        if not directory(python).exists():
            # torch's CUDA build is given empty libraries to link against.
            packages.require("gcc", "readelf", "nm", about="a compiler", with_packages=("libc6-dev",))
    except steps.Failure as failure:
        raise InstallError(str(failure)) from failure


def model() -> Path:
    """The directory of the model that counts; trained now if need be, for some 20 seconds; else InstallError."""
    target = _cache() / f"tiny-model-{key('model.py')}"
    if target.exists():
        return target
    server = ensure()
    with _alone():
        if not target.exists():
            _train(server, target)
    return target


def _train(server: Path, target: Path) -> None:
    work = target.with_name(target.name + ".partial")
    shutil.rmtree(work, ignore_errors=True)
    paths = {"PYTHONPATH": str(server / "site"), "LD_LIBRARY_PATH": str(server / "stub")}
    done = subprocess.run(
        [sys.executable, str(HERE / "model.py"), str(work)], env=os.environ | paths,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise InstallError(f"the tiny model cannot be made: {done.stdout.strip()[-2000:]}")
    work.rename(target)


@contextmanager
def _alone() -> Iterator[None]:
    """One process at a time."""
    _cache().mkdir(parents=True, exist_ok=True)
    with (_cache() / "vllm.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def launch() -> tuple[list[str], dict[str, str]]:
    """The command of `serve` up to the flags of the caller, and the environment it needs."""
    target = ensure()
    command = [str(target / "bin" / "vllm"), "serve", str(model()), *FLAGS]
    return command, {"VLLM_PYTHON": sys.executable}


if __name__ == "__main__":
    try:
        print(model() if sys.argv[1:] == ["model"] else ensure(*sys.argv[1:]))
    except InstallError as error:
        sys.exit(str(error))
