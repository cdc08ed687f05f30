"""
A Lease of coordination.k8s.io as it is stored: read, made, and replaced only in the version that was read.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from streaming_operator.errors import NotFound, Unreachable
from streaming_operator.kinds import Kind
from streaming_operator.kube.client import Transport

LEASES = Kind("coordination.k8s.io/v1", "Lease", "leases")


@dataclass(frozen=True, slots=True)
class Record:
    """What a Lease says."""

    holder: str
    """Identity of the process that holds it; empty: nobody, it was released."""
    seconds: float
    """How long after a renewal it is the holder's."""
    acquired: str = ""
    """When the holder took it, as the API writes times."""
    transitions: int = 0
    version: str = ""
    """`resourceVersion`: each renewal has another."""


class Lease(Protocol):
    """The one record that all candidates read and write."""

    async def read(self) -> Record | None:
        """The Lease as it is now; None where there is none."""

    async def create(self, record: Record) -> Record:
        """Make it; raises `Conflict` where somebody else has."""

    async def replace(self, record: Record) -> Record:
        """Write over `record.version`; raises `Conflict` where it has another version by now."""


class StoredLease:
    """One Lease of the API server."""

    def __init__(self, transport: Transport, namespace: str, name: str) -> None:
        """
        *transport* is its own, so that a renewal waits neither for other writes nor for a connection.
        """
        self._transport = transport
        self._namespace, self._name = namespace, name

    def __str__(self) -> str:
        return f"{self._namespace}/{self._name}"

    async def read(self) -> Record | None:
        """One GET."""
        try:
            body = await self._transport.read(
                LEASES.path(self._namespace, self._name), f"read the Lease {self}"
            )
        except NotFound:
            return None
        return _record(body)

    async def create(self, record: Record) -> Record:
        """One POST: of two at once, one is refused, which server-side apply would not do."""
        body = await self._transport.create(
            LEASES.path(self._namespace), self._manifest(record), f"create the Lease {self}"
        )
        return _record(body)

    async def replace(self, record: Record) -> Record:
        """One server-side apply of the version that was read."""
        manifest = self._manifest(record)
        manifest["metadata"]["resourceVersion"] = record.version
        body = await self._transport.apply(
            LEASES.path(self._namespace, self._name), manifest, f"write the Lease {self}"
        )
        return _record(body)

    def _manifest(self, record: Record) -> dict[str, Any]:
        """What is stored; `renewTime` is for people: no process compares another's clock with its own."""
        return {
            "apiVersion": LEASES.api_version,
            "kind": LEASES.kind,
            "metadata": {"name": self._name, "namespace": self._namespace},
            "spec": {
                "holderIdentity": record.holder,
                "leaseDurationSeconds": max(round(record.seconds), 1),
                "acquireTime": record.acquired or now(),
                "renewTime": now(),
                "leaseTransitions": record.transitions,
            },
        }


def now() -> str:
    """The time as the API writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _record(body: Any) -> Record:
    """What is stored; fields that somebody else left out have the value of a free Lease."""
    try:
        spec, version = body.get("spec") or {}, str(body["metadata"]["resourceVersion"])
        return Record(
            str(spec.get("holderIdentity") or ""),
            float(spec.get("leaseDurationSeconds") or 0.0),
            str(spec.get("acquireTime") or ""),
            int(spec.get("leaseTransitions") or 0),
            version,
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise Unreachable("cannot read the Lease: the answer is not a Lease") from error
