"""Owns the cache folder: what is built once, under a key made of everything that went into it.

A folder is either whole or absent: it is built beside its place and renamed. It does not know what it holds.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from . import steps

ROOT = Path(os.environ.get("STREAMING_CACHE") or Path.home() / ".cache" / "streaming-operator")
STATE = ROOT / "state"  # what belongs to the running engine and cluster, not to a build
LOGS = ROOT / "logs"
_POLL = 0.2  # seconds between two looks at a lock that another process holds


def key(*parts: str | Path) -> str:
    """A short digest of texts, files and whole folders (names, contents and executable bits)."""
    digest = hashlib.sha256()
    for part in parts:
        for piece in _pieces(part):
            digest.update(len(piece).to_bytes(8, "big"))
            digest.update(piece)
    return digest.hexdigest()[:16]


def _pieces(part: str | Path) -> Iterator[bytes]:
    if isinstance(part, str):
        yield part.encode()
    elif part.is_dir():
        for path in sorted(part.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield str(path.relative_to(part)).encode()
                yield b"x" if path.stat().st_mode & 0o100 else b"-"
                yield path.read_bytes()
    else:
        yield part.read_bytes()


def folder(group: str, name: str, digest: str, build: Callable[[Path], None]) -> Path:
    """The folder `group/name-digest`, made by `build(empty_folder)` if it is not there yet.

    Older folders of the same name are removed once the new one stands. Two processes never build the same
    name at once: the second waits and finds it made.
    """
    final = ROOT / group / f"{name}-{digest}"
    if final.is_dir():
        return final
    with lock(f"{group}-{name}"):
        if final.is_dir():
            return final
        draft = ROOT / group / f".draft-{name}-{digest}"
        remove(draft)
        draft.mkdir(parents=True)
        build(draft)
        draft.rename(final)
        for old in final.parent.iterdir():
            if old != final and old.name[: -len(digest)] == f"{name}-":
                remove(old)
    return final


@contextmanager
def lock(name: str) -> Iterator[None]:
    """Hold the lock of this name against other processes; say so when another one has it."""
    place = ROOT / "locks" / name
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            steps.say(f"    waiting: another process is at work on {name}")
            _await(handle)
        yield


def _await(handle: IO[str]) -> None:
    """Until the other process lets go, with signs of life."""
    start = time.monotonic()
    reported = 0.0
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_POLL)
        else:
            return
        waited = time.monotonic() - start
        if waited - reported >= steps.HEARTBEAT:
            steps.say(f"    ... {waited:.0f} s")
            reported = waited


def remove(path: Path) -> None:
    """Remove a folder of ours, also one that holds read-only parts; absent is fine."""
    if path.exists():
        shutil.rmtree(path)


def log(name: str) -> Path:
    """A fresh log file of this name."""
    LOGS.mkdir(parents=True, exist_ok=True)
    path = LOGS / f"{name}.log"
    path.write_bytes(b"")
    return path
