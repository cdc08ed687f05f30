"""Which tests of a run have ended, in whatever process: for those that judge what all the others did."""

import time
from collections.abc import Iterable, Set

from tests.lanes.run_folder import folder

PATIENCE = 900.0
"""Seconds without any test's end after which nobody waits longer: the limit of one test, and some preparation."""
_PAUSE = 1.0


def note(nodeid: str) -> None:
    """This one has."""
    with (folder() / "ended").open("a") as file:
        file.write(f"{nodeid}\n")


def missing(nodeids: Iterable[str]) -> Set[str]:
    """Those that have not."""
    path = folder() / "ended"
    return set(nodeids) - set(path.read_text().splitlines() if path.exists() else ())


def wait_for(nodeids: Iterable[str]) -> None:
    """Return when all of them have, or when none has for so long that they never will."""
    awaited = left = missing(nodeids)
    deadline = time.monotonic() + PATIENCE
    while left and time.monotonic() < deadline:
        time.sleep(_PAUSE)
        now = missing(awaited)
        if now != left:
            left, deadline = now, time.monotonic() + PATIENCE
