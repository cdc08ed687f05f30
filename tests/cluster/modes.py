"""How images come here: `build` makes all of them on this machine, `registry` pulls what others publish.

The mode of a running cluster is kept beside it, so that every later command loads images in the same way.
"""

from __future__ import annotations

import os

from . import cache
from .versions import Mode

_FILE = cache.STATE / "mode"
_chosen: list[Mode] = []  # what this process decided, before the cluster stands


def current() -> Mode:
    """What this process decided, else what the cluster was made with, else what IMAGES asks for."""
    if _chosen:
        return _chosen[-1]
    text = _FILE.read_text() if _FILE.exists() else os.environ.get("IMAGES")
    return "registry" if text == "registry" else "build"


def choose(mode: Mode) -> None:
    """Decide for the rest of this process."""
    _chosen.append(mode)


def known() -> bool:
    """Whether a cluster was made and its mode noted."""
    return _FILE.exists()


def note() -> None:
    """The cluster stands: keep the mode for the processes to come."""
    _FILE.write_text(current())


def forget() -> None:
    """The cluster is gone."""
    _FILE.unlink(missing_ok=True)
