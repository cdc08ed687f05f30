"""How much of a property's draw a run takes: a quarter, another one each time; all of it with FULL=1."""

import os

FULL = bool(os.environ.get("FULL"))


def examples(whole: int) -> int:
    """The number of examples of this run."""
    return whole if FULL else whole // 4
