"""How the cost of some work grows with its input: two sizes measured in turns, so that a busy machine slows both."""

import time
from collections.abc import Callable

FACTOR = 4
MOST = 10.0
"""Linear work on four times the bytes takes four times as long, quadratic work sixteen times."""
_ROUNDS = 3
_MORE = 12
"""Further rounds for a ratio that is too high: a busy machine disturbs some of them, quadratic work is so in all."""


def growth(work: Callable[[int], object], size: int) -> float:
    """How many times longer *work* takes with `FACTOR` times the size; the quickest of some rounds of each."""
    small, large = [], []
    for number in range(_ROUNDS + _MORE):
        if number >= _ROUNDS and min(large) < MOST * min(small):
            break
        small.append(_seconds(work, size))
        large.append(_seconds(work, FACTOR * size))
    return min(large) / min(small)


def _seconds(work: Callable[[int], object], size: int) -> float:
    begin = time.thread_time()
    work(size)
    return time.thread_time() - begin
