"""The cached copy of the real server: found, or installed once under a key of all that goes into it."""

import fcntl
import hashlib
import os
import sys
from pathlib import Path

from .install import HERE, HOST, InstallError, install

INGREDIENTS = ("requirements.lock", "install.py", "stubs.py", "model.py", "launch.sh")
FLAGS = ("--load-format", "dummy", "--dtype", "bfloat16", "--enforce-eager")
"""What a model without weights needs on a CPU, whatever the test asks for besides."""


def key() -> str:
    """Changes when anything changes that the directory is made of."""
    content = b"".join((HERE / name).read_bytes() for name in INGREDIENTS)
    return hashlib.sha256(content).hexdigest()[:12]


def directory(python: str = HOST) -> Path:
    cache = os.environ.get("STREAMING_CACHE") or Path.home() / ".cache" / "streaming-operator"
    return Path(cache) / f"vllm-{key()}-py{python}"


def ensure(python: str = HOST) -> Path:
    """
    The directory installed for a version of Python; made now if need be, by one process at a time; else InstallError.
    """
    target = directory(python)
    target.parent.mkdir(parents=True, exist_ok=True)
    with (target.parent / "vllm.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            install(target, python)
    return target


def launch() -> tuple[list[str], dict[str, str]]:
    """The command of `serve` up to the flags of the caller, and the environment it needs."""
    target = ensure()
    command = [str(target / "bin" / "vllm"), "serve", str(target / "model"), *FLAGS]
    return command, {"VLLM_PYTHON": sys.executable}


if __name__ == "__main__":
    try:
        print(ensure(*sys.argv[1:]))
    except InstallError as error:
        sys.exit(str(error))
