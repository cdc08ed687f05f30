"""
What two processes may not use at once, or only together with others who do not disturb.

A lock is shared by those that do not disturb each other, exclusive for others. It belongs to a file and ends with
the process.
"""

import fcntl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Lock:
    """One lock file, and whether it is taken exclusively."""

    path: Path
    alone: bool = False


@contextmanager
def held(*locks: Lock) -> Iterator[None]:
    """Hold all of them, waiting as long as it takes; everybody takes them in the same order."""
    with ExitStack() as stack:
        for lock in locks:
            lock.path.parent.mkdir(parents=True, exist_ok=True)
            handle = stack.enter_context(lock.path.open("a"))
            fcntl.flock(handle, fcntl.LOCK_EX if lock.alone else fcntl.LOCK_SH)
        yield
