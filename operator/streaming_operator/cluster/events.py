"""
Events of an endpoint, for `kubectl describe`: written on changes; a pass goes on when one cannot be written.
"""

import logging
import os
import uuid
from datetime import UTC, datetime
from typing import Literal

from streaming_operator.api.endpoint import API_VERSION, KIND, StreamingEndpoint
from streaming_operator.api.naming import FIELD_MANAGER
from streaming_operator.cluster import resources
from streaming_operator.errors import ClusterError
from streaming_operator.foreign_text import readable
from streaming_operator.kube.client import Transport

LONGEST_NOTE = 1024
"""events.k8s.io/v1 refuses more."""

log = logging.getLogger(__name__)


class Publisher:
    """Writes Events."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._instance = os.environ.get("POD_NAME") or os.environ.get("HOSTNAME") or FIELD_MANAGER

    async def publish(
        self, endpoint: StreamingEndpoint, kind: Literal["Normal", "Warning"], reason: str, message: str
    ) -> None:
        """Write one Event; a failure becomes a log line with its cause."""
        manifest = {
            "apiVersion": resources.EVENTS.api_version,
            "kind": resources.EVENTS.kind,
            "metadata": {"name": f"{endpoint.name}.{uuid.uuid4().hex[:16]}", "namespace": endpoint.namespace},
            "eventTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "reportingController": FIELD_MANAGER,
            "reportingInstance": self._instance[:128],
            "action": "Reconcile",
            "type": kind,
            "reason": reason,
            "note": readable(message, LONGEST_NOTE),
            "regarding": {
                "apiVersion": API_VERSION,
                "kind": KIND,
                "namespace": endpoint.namespace,
                "name": endpoint.name,
                "uid": endpoint.uid,
            },
        }
        try:
            await self._transport.create(
                resources.EVENTS.path(endpoint.namespace), manifest, "write an Event"
            )
        except ClusterError as error:
            log.warning(
                "event %s of %s/%s was not written: %s", reason, endpoint.namespace, endpoint.name, error
            )
