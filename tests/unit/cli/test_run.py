"""`streamctl run`: its process ends, whatever threads still do."""

import subprocess
import sys

from tests.cluster.programs import listed

BUSY = """
import asyncio, threading
from streaming_operator.cli import run
from streaming_operator.settings import Settings

async def operator(settings):
    asyncio.get_running_loop().run_in_executor(None, threading.Event().wait)  # a lookup that is never answered
    {end}

run.run_operator, run.LAST_SECONDS = operator, 0.1
run.run.main([])
"""


def code_of(end: str) -> int:
    """The exit code of an operator that ends like this while a thread is busy for ever."""
    script = [sys.executable, "-c", BUSY.format(end=end)]
    return subprocess.run(listed(script), timeout=120, capture_output=True, check=False).returncode


def test_a_busy_thread_does_not_keep_it() -> None:
    """Python waits for such threads without end, and the kubelet would kill the process at the end of its grace."""
    assert code_of("return") == 0


def test_a_busy_thread_does_not_make_a_failure_a_success() -> None:
    """What ended the operator is still seen by its exit code."""
    assert code_of("raise OSError(1, 'cannot')") == 1
