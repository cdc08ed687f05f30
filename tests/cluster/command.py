"""How a command of this repository ends: an exit code, and a sentence instead of a traceback."""

from __future__ import annotations

import signal
import traceback
from collections.abc import Callable
from types import FrameType

from . import cache, steps

FAILED, INTERRUPTED = 1, 130


def run(action: Callable[[], object], *, failed: str, interrupted: str) -> int:
    """
    Run a command; the exit code.

    `failed` begins the sentence about a failure. `interrupted` is what Ctrl-C is answered with: what is kept, and what
    to call to go on. A CI system that cancels a job sends SIGTERM, a terminal that closes SIGHUP: both end the command
    as Ctrl-C does.
    """
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # a shell starts its background jobs with it ignored
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # `nohup` is meant to outlive the terminal
            signal.signal(number, _as_ctrl_c)
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


def _as_ctrl_c(number: int, frame: FrameType | None) -> None:
    """Only on Ctrl-C does Python leave by every `finally`, where the programs that were started are ended."""
    signal.raise_signal(signal.SIGINT)


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
