"""Waiting for a state of the world: polled until a generous deadline, with a failure that explains itself."""

import time
from collections.abc import Callable
from typing import TypeVar

import pytest

T = TypeVar("T")

PAUSE = 0.4
"""Seconds between two looks."""


def wait_for(
    check: Callable[[], T | None], what: str, *, seconds: float = 90, tell: Callable[[], str] | None = None
) -> T:
    """The first true answer of *check*; fails with *what* and *tell()* when there is none in time."""
    deadline = time.monotonic() + seconds
    while True:
        answer = check()
        if answer:
            return answer
        if time.monotonic() > deadline:
            break
        time.sleep(PAUSE)
    pytest.fail(f"not within {seconds:.0f} s: {what}\n{tell() if tell else f'last answer: {answer!r}'}")
