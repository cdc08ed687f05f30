"""
Makes .venv from requirements-dev.lock, hashes checked, with the project itself installed for editing.

Runs on the system's Python with its standard library only. What it made is remembered by the hash of what it
was made from, so a second run returns at once. It installs nothing outside .venv, save Debian's python3-venv
where that is missing and we are root.
"""

import hashlib
import importlib.util
import shutil
import subprocess
import sys
import time
from pathlib import Path

from tests.cluster import cache, command, packages, steps
from tests.cluster.programs import listed

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
LOCK = ROOT / "requirements-dev.lock"
NEEDED = (3, 11)


def main() -> int:
    """Make or reuse .venv; 1 with one sentence when it cannot be made."""
    return command.run(make, failed="venv", interrupted="interrupted; `make venv` goes on from here")


def make() -> None:
    """Bring .venv to what the lock file says; nothing to do when its stamp matches."""
    if sys.version_info < NEEDED:
        version = sys.version.split()[0]
        raise steps.Failure(
            f"Python {version} is too old", remedy="install 3.11 or newer, or name one: make PYTHON=..."
        )
    stamp = VENV / "made-from"
    digest = _digest()
    if stamp.is_file() and stamp.read_text() == digest:
        return
    start = time.monotonic()
    steps.say("venv: installing the locked packages into .venv (about 30 s, once)")
    stamp.unlink(missing_ok=True)
    log = cache.log("venv")
    if not _usable():
        _require_ensurepip()
        shutil.rmtree(VENV, ignore_errors=True)
        steps.run([sys.executable, "-m", "venv", VENV], log)
    pip = [VENV / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    remedy = "the package index must be reachable (pip config list)"
    steps.run([*pip, "--require-hashes", "--no-deps", "-r", LOCK], log, remedy=remedy)
    steps.run([*pip, "--no-deps", "--no-build-isolation", "--editable", ROOT], log)
    stamp.write_text(digest)
    steps.say(f"venv: done in {time.monotonic() - start:.0f} s")


def _digest() -> str:
    digest = hashlib.sha256(sys.version.encode())
    for path in (LOCK, ROOT / "pyproject.toml"):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _usable() -> bool:
    """Whether .venv has a Python of this version that starts, with pip; a moved or half-made one has not."""
    probe = "import pip, sys; print(sys.version)"
    try:
        words = [str(VENV / "bin" / "python"), "-c", probe]
        done = subprocess.run(listed(words), capture_output=True, text=True, check=False)
    except OSError:
        return False
    return done.returncode == 0 and done.stdout.strip() == sys.version.strip()


def _require_ensurepip() -> None:
    """Debian keeps ensurepip in a package of its own."""
    if importlib.util.find_spec("ensurepip") is None:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        packages.install((f"python{version}-venv",), "the part of Python that makes virtual environments")


if __name__ == "__main__":
    sys.exit(main())
