"""A folder that all processes of one run of pytest share, known to them by the environment."""

import os
import shutil
import tempfile
from pathlib import Path

_VARIABLE = "STREAMING_TEST_RUN"


def begin() -> bool:
    """Make it; False in a process that was started by the one which did."""
    if _VARIABLE in os.environ:
        return False
    os.environ[_VARIABLE] = tempfile.mkdtemp(prefix="streaming-tests-")
    return True


def folder() -> Path:
    """The folder of this run."""
    return Path(os.environ[_VARIABLE])


def end() -> None:
    """Remove it again."""
    shutil.rmtree(os.environ.pop(_VARIABLE), ignore_errors=True)
