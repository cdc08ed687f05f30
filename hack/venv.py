"""
Makes .venv from requirements-dev.lock, hashes checked, with the project itself installed for editing.

Runs on the system's Python with its standard library only. What it made is remembered by the hash of what it
was made from, so a second run returns at once. It installs nothing outside .venv, save Debian's python3-venv
where that is missing and we are root.
"""

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
LOCK = ROOT / "requirements-dev.lock"
NEEDED = (3, 11)


class Failure(Exception):
    """A foreseen end; its text says what to do."""


def main() -> int:
    """Make or reuse .venv; 1 with one sentence when it cannot be made."""
    try:
        make()
    except Failure as failure:
        print(f"venv: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def make() -> None:
    """Bring .venv to what the lock file says; nothing to do when its stamp matches."""
    if sys.version_info < NEEDED:
        version = sys.version.split()[0]
        raise Failure(f"Python {version} is too old; install 3.11 or newer, or name one: make PYTHON=...")
    stamp = VENV / "made-from"
    wanted = _digest()
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    start = time.monotonic()
    print("venv: installing the locked packages into .venv (about 30 s, once)", file=sys.stderr, flush=True)
    stamp.unlink(missing_ok=True)
    if not _usable():
        _require_ensurepip()
        shutil.rmtree(VENV, ignore_errors=True)
        _run([sys.executable, "-m", "venv", str(VENV)], "the virtual environment could not be made")
    pip = [str(VENV / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _run([*pip, "--require-hashes", "--no-deps", "-r", str(LOCK)], "a package could not be installed")
    own = ["--no-deps", "--no-build-isolation", "--editable", str(ROOT)]
    _run([*pip, *own], "the project could not be installed")
    stamp.write_text(wanted)
    print(f"venv: done in {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)


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
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    except OSError:
        return False
    return done.returncode == 0 and done.stdout.strip() == sys.version.strip()


def _require_ensurepip() -> None:
    """Debian keeps ensurepip in a package of its own."""
    if importlib.util.find_spec("ensurepip") is not None:
        return
    package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise Failure(f"this Python cannot make virtual environments; install {package}")
    print(f"venv: installing {package} (about 10 s, once)", file=sys.stderr, flush=True)
    for words in (["update"], ["install", "-y", "--no-install-recommends", package]):
        _run(["apt-get", "-qq", *words], f"{package} could not be installed")


def _run(words: list[str], trouble: str) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(words, stdin=subprocess.DEVNULL, env=environment, check=False)
    if done.returncode != 0:
        raise Failure(
            f"{trouble}: {Path(words[0]).name} ended with {done.returncode}, its own words are above"
        )


if __name__ == "__main__":
    sys.exit(main())
