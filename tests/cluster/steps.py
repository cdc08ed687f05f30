"""Runs commands for the person who waits: one line per step, long output in a log, failures with what to do.

It knows nothing of clusters. A `Failure` is a foreseen end and is printed without a traceback. It calls by name only
what `programs` lists; what was built or installed by us is called by its path.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from . import programs

HEARTBEAT = 30.0  # seconds between two signs of life of a long command
LONGEST = 3600.0  # seconds after which a command that has not ended is ended
GRACE = 20.0  # seconds that an interrupted command has to end by itself
TAIL = 15  # lines of a log that a failure shows


class Failure(Exception):
    """Something foreseen went wrong: what, where the details are, and what to do."""

    def __init__(self, what: str, *, where: str | Path | None = None, remedy: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.remedy = remedy

    def __str__(self) -> str:
        """Three short lines at most; the log's end stands in `what` when there is one."""
        lines = [self.what]
        if self.where:
            lines.append(f"    details: {self.where}")
        if self.remedy:
            lines.append(f"    what to do: {self.remedy}")
        return "\n".join(lines)


def say(text: str) -> None:
    """One line for the person, on standard error so that `env` and `tools` can be read by programs."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def step(text: str) -> Iterator[None]:
    """Print a step when it begins, and how long it took when it is done."""
    say(f"==> {text}")
    start = time.monotonic()
    yield
    took = time.monotonic() - start
    if took >= 1:
        say(f"    done in {took:.0f} s")


def run(
    argv: Sequence[str | Path],
    log: Path,
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: IO[bytes] | None = None,
    remedy: str = "",
) -> None:
    """Run a command with its output in `log`; a non-zero exit is a `Failure` that shows the log's end.

    `env` is added to this process's environment.
    """
    words = programs.listed(argv)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        out.write(f"$ {' '.join(words)}\n".encode())
        out.flush()
        process = _started(words, cwd, {**os.environ, **(env or {})}, stdin, out)
        try:
            code = _wait(process)
        except BaseException:
            _end(process)
            raise
    if code != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-TAIL:])
        raise Failure(f"{_short(words)} ended with {code}:\n{tail}", where=log, remedy=remedy)


def _started(
    words: list[str], cwd: Path | None, env: Mapping[str, str], stdin: IO[bytes] | None, out: IO[bytes]
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            words, cwd=cwd, env=env, stdin=stdin or subprocess.DEVNULL, stdout=out, stderr=out
        )
    except FileNotFoundError as error:
        raise _missing(words) from error


def _end(process: subprocess.Popen[bytes]) -> None:
    """Let a command clean up behind itself; what ignores the signal (`unshare --fork`) is killed."""
    process.terminate()
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _missing(words: Sequence[str]) -> Failure:
    name = words[0]
    package = name if "/" in name else programs.source(name).package
    return Failure(f"{name} is not installed on this machine", remedy=f"install {package}")


def _wait(process: subprocess.Popen[bytes]) -> int:
    start = time.monotonic()
    while True:
        try:
            return process.wait(timeout=HEARTBEAT)
        except subprocess.TimeoutExpired:
            taken = time.monotonic() - start
            if taken > LONGEST:
                raise Failure(f"{process.args[0]} did not end within {LONGEST / 60:.0f} minutes") from None
            say(f"    ... {taken:.0f} s")


def output(
    argv: Sequence[str | Path], *, stdin: bytes | None = None, env: Mapping[str, str] | None = None
) -> str:
    """What a quick command prints; a non-zero exit is a `Failure` with its error text."""
    words = programs.listed(argv)
    try:
        done = subprocess.run(
            words, input=stdin, capture_output=True, env={**os.environ, **(env or {})}, check=False
        )
    except FileNotFoundError as error:
        raise _missing(words) from error
    if done.returncode != 0:
        text = (done.stderr or done.stdout).decode(errors="replace").strip()
        raise Failure(f"{_short(words)} ended with {done.returncode}: {text}")
    return done.stdout.decode()


def succeeds(
    argv: Sequence[str | Path], *, env: Mapping[str, str] | None = None, seconds: float = 60
) -> bool:
    """Whether a quick command exits with 0 within the given time."""
    words = programs.listed(argv)
    try:
        done = subprocess.run(
            words,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **(env or {})},
            timeout=seconds,
            check=False,
        )
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _short(words: Sequence[str]) -> str:
    text = " ".join(words)
    return text if len(text) <= 120 else text[:117] + "..."
