"""How a command of this repository ends: an exit code, and a sentence instead of a traceback."""

from __future__ import annotations

import traceback
from collections.abc import Callable

from . import cache, steps

FAILED, INTERRUPTED = 1, 130


def run(action: Callable[[], object], *, failed: str, interrupted: str) -> int:
    """
    Run a command; the exit code.

    `failed` begins the sentence about a failure. `interrupted` is what Ctrl-C is answered with: what is kept, and what
    to call to go on.
    """
    try:
        action()
    except steps.Failure as failure:
        steps.say(f"{failed}: {failure}")
        return FAILED
    except KeyboardInterrupt:
        steps.say(interrupted)
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - whoever waits for a cluster cannot use a traceback; it is in the log
        steps.say(f"{failed}: {_unforeseen(error)}")
        return FAILED
    return 0


def _unforeseen(error: Exception) -> steps.Failure:
    what = f"{type(error).__name__}: {error}"
    try:
        log = cache.log("unforeseen")
        log.write_text("".join(traceback.format_exception(error)))
    except OSError as reason:  # a full disk is the likeliest error of all
        return steps.Failure(
            f"{what}\n(and no log of it can be written: {reason})", remedy="is the disk full?"
        )
    return steps.Failure(what, where=log, remedy="try again; if it comes back, report it with this file")
