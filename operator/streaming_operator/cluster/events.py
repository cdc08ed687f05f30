"""
Events of an endpoint, for `kubectl describe`: written on changes; a pass goes on when one cannot be written.

What happens again is counted in the Event that tells of it, as client-go does: an endpoint that comes and goes all
night has a few Events, not thousands.
"""

import logging
import os
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from streaming_operator.api.endpoint import API_VERSION, KIND, StreamingEndpoint
from streaming_operator.api.naming import FIELD_MANAGER
from streaming_operator.cluster import resources
from streaming_operator.errors import ClusterError, Forbidden, NotFound
from streaming_operator.foreign_text import readable
from streaming_operator.kube.client import Transport

LONGEST_NOTE = 1024
"""events.k8s.io/v1 refuses more."""

SERIES_SECONDS = 1800.0
"""Since its last occurrence, an Event is counted on: half of the hour for which the API server keeps it by default."""

MOST_REMEMBERED = 4096
"""Events that are counted on, of all endpoints; of one that is forgotten, the next occurrence is a new Event."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Told:
    """An Event that was written."""

    name: str
    count: int
    at: float


class Publisher:
    """Writes Events."""

    def __init__(self, transport: Transport, clock: Callable[[], float] = time.monotonic) -> None:
        self._transport = transport
        self._clock = clock
        self._instance = os.environ.get("POD_NAME") or os.environ.get("HOSTNAME") or FIELD_MANAGER
        self._told: OrderedDict[tuple[str, str, str, int], _Told] = OrderedDict()
        """By endpoint, type and reason, and the note's hash."""

    async def publish(
        self, endpoint: StreamingEndpoint, kind: Literal["Normal", "Warning"], reason: str, message: str
    ) -> None:
        """Write one Event, or count it in the one that said the same; a failure becomes a log line with its cause."""
        note = readable(message, LONGEST_NOTE)
        key = (endpoint.uid, kind, reason, hash(note))
        told = self._told.pop(key, None)
        try:
            if (
                told is None
                or self._clock() - told.at > SERIES_SECONDS
                or not await self._count(endpoint, told)
            ):
                told = await self._create(endpoint, kind, reason, note)
        except ClusterError as error:
            log.warning(
                "event %s of %s/%s was not written: %s", reason, endpoint.namespace, endpoint.name, error
            )
            return
        self._told[key] = told
        if len(self._told) > MOST_REMEMBERED:
            self._told.popitem(last=False)

    async def _count(self, endpoint: StreamingEndpoint, told: _Told) -> bool:
        """Count one more occurrence; False where the Event is gone by now, or a role of earlier days lacks `patch`."""
        series = {"count": told.count + 1, "lastObservedTime": _now()}
        path = resources.EVENTS.path(endpoint.namespace, told.name)
        try:
            await self._transport.merge(path, {"series": series}, "count an Event")
        except (NotFound, Forbidden):
            return False
        told.count, told.at = told.count + 1, self._clock()
        return True

    async def _create(self, endpoint: StreamingEndpoint, kind: str, reason: str, note: str) -> _Told:
        """Write a new Event."""
        name = f"{endpoint.name}.{uuid.uuid4().hex[:16]}"
        manifest: dict[str, Any] = {
            "apiVersion": resources.EVENTS.api_version,
            "kind": resources.EVENTS.kind,
            "metadata": {"name": name, "namespace": endpoint.namespace},
            "eventTime": _now(),
            "reportingController": FIELD_MANAGER,
            "reportingInstance": self._instance[:128],
            "action": "Reconcile",
            "type": kind,
            "reason": reason,
            "note": note,
            "regarding": {
                "apiVersion": API_VERSION,
                "kind": KIND,
                "namespace": endpoint.namespace,
                "name": endpoint.name,
                "uid": endpoint.uid,
            },
        }
        await self._transport.create(resources.EVENTS.path(endpoint.namespace), manifest, "write an Event")
        return _Told(name, 1, self._clock())


def _now() -> str:
    """The time as the API writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
