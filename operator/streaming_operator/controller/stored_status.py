"""
Whose status is stored: ours, or what somebody else wrote over it. Pure: the clock is a parameter.

Events of the watch are late: an older one that does not show our last write yet is no foreign status. Resource
versions tell them apart.
"""

from collections.abc import Mapping
from typing import Any, Self

from streaming_operator.kube.objects import as_json
from streaming_operator.kube.packing import Packer
from streaming_operator.status import Status

ECHO_SECONDS = 60.0
"""Time by which the watch shows our own write; after that an older version counts too (etcd was restored)."""

PATIENCE = 3
"""Foreign writes in a row that are repaired at once."""

LONGEST_PAUSE = 60.0
"""Seconds between two repairs of a status that is overwritten again and again; the row ends after twice as long."""


class StoredStatus:
    """The status of one endpoint as it is stored, as far as is known."""

    def __init__(self, content: Status, version: str, packer: Packer | None = None) -> None:
        """*packer* packs the statuses of all endpoints."""
        self._packer = packer or Packer()
        self._content = self._packer.pack(as_json(content))
        self.version = version
        """The newest resource version of the endpoint that is known; what is decided now is based on it."""
        self._foreign = False
        self._in_flight: Status | None = None
        self._wrote = False
        self._written_at = float("-inf")
        self._overwritten = 0
        self._overwritten_at = float("-inf")

    @classmethod
    def of(cls, body: Mapping[str, Any], packer: Packer | None = None) -> Self:
        """What a body from the API server shows."""
        return cls(dict(body.get("status") or {}), _version(body), packer)

    @property
    def content(self) -> Status:
        """The status itself, read anew."""
        status: Status = self._content.unpack()
        return status

    def writing(self, content: Status | None) -> None:
        """Note what is on its way to the API server: the watch may show it before the answer is there."""
        self._in_flight = content

    def wrote(self, content: Status, version: str, now: float) -> None:
        """Note our own write and the resource version that it made."""
        if not _is_older(version, self.version):  # else the watch has shown a later one already
            self.version = version
        self._content, self._written_at = self._packer.pack(as_json(content)), now
        self._foreign, self._wrote, self._in_flight = False, True, None

    def update(self, body: Mapping[str, Any], now: float) -> bool:
        """Compare with a body from the API server; True when somebody else wrote another status."""
        content, version = body.get("status") or {}, _version(body)
        if _is_older(version, self.version) and now - self._written_at < ECHO_SECONDS:
            return False
        self.version = version
        if content in (self.content, self._in_flight):
            return False
        self._content, self._foreign = self._packer.pack(as_json(dict(content))), True
        if self._wrote:
            in_a_row = now - self._overwritten_at < LONGEST_PAUSE * 2
            self._overwritten = self._overwritten + 1 if in_a_row else 1
            self._overwritten_at = now
        return True

    def take_foreign(self) -> Status | None:
        """What somebody else wrote since the last call, once."""
        foreign, self._foreign = self._foreign, False
        return self.content if foreign else None

    def wait(self, now: float) -> float:
        """Seconds until the status may be written again; zero or less unless others overwrite it all the time."""
        if self._overwritten <= PATIENCE or now - self._overwritten_at > LONGEST_PAUSE * 2:
            return 0.0
        return self._written_at + min(2.0 ** min(self._overwritten - PATIENCE, 10), LONGEST_PAUSE) - now


def _version(body: Mapping[str, Any]) -> str:
    return str((body.get("metadata") or {}).get("resourceVersion") or "")


def _is_older(version: str, than: str) -> bool:
    """Whether a resource version is the earlier one; versions that are no numbers cannot be compared."""
    return version.isdigit() and than.isdigit() and int(version) < int(than)
