"""
Whose status is stored: ours, or what somebody else wrote over it. Pure: the clock is a parameter.

Events of the watch are late: an older one that does not show our last write yet is no foreign status. Resource
versions tell them apart.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from streaming_operator.status import Status

ECHO_SECONDS = 60.0
"""Time by which the watch shows our own write; after that an older version counts too (etcd was restored)."""

PATIENCE = 3
"""Foreign writes in a row that are repaired at once."""

LONGEST_PAUSE = 60.0
"""Seconds between two repairs of a status that is overwritten again and again; a minute without one ends the row."""


@dataclass(slots=True)
class StoredStatus:
    """The status of one endpoint as it is stored, as far as is known."""

    content: Status = field(default_factory=dict)
    foreign: bool = False
    """Somebody else wrote `content`, and it was not looked at yet."""
    _version: str = ""
    _written_at: float = float("-inf")
    _overwritten: int = 0
    _overwritten_at: float = float("-inf")

    def wrote(self, content: Status, version: str, now: float) -> None:
        """Note our own write and the resource version that it made."""
        self.content, self.foreign = content, False
        self._version, self._written_at = version, now

    def saw(self, body: Mapping[str, Any], now: float) -> bool:
        """Compare with a body from the API server; True when somebody else wrote another status."""
        content = body.get("status") or {}
        if content == self.content:
            return False
        version = str((body.get("metadata") or {}).get("resourceVersion") or "")
        if _is_older(version, self._version) and now - self._written_at < ECHO_SECONDS:
            return False
        self.content, self.foreign = dict(content), True
        if self._version:
            in_a_row = now - self._overwritten_at < LONGEST_PAUSE * 2
            self._overwritten = self._overwritten + 1 if in_a_row else 1
            self._overwritten_at = now
        return True

    def wait(self, now: float) -> float:
        """Seconds until the status may be written again; zero or less unless others overwrite it all the time."""
        if self._overwritten <= PATIENCE or now - self._overwritten_at > LONGEST_PAUSE * 2:
            return 0.0
        return self._written_at + min(2.0 ** min(self._overwritten - PATIENCE, 10), LONGEST_PAUSE) - now


def _is_older(version: str, than: str) -> bool:
    """Whether a resource version is the earlier one; versions that are no numbers cannot be compared."""
    return version.isdigit() and than.isdigit() and int(version) < int(than)
