"""
How long an endpoint that is not Ready may wait before a person is asked; pure.

kstatus, and with it Flux, knows three states of an apply: done, failed (`Stalled`), and in progress. A trouble that may
end by itself, such as a Secret that another controller makes, is progress for a grace time, and failed afterwards, with
the same reason. It heals when its cause goes: the reason changes, and the wait is over.

Since when the reason holds is written into the status: a restarted operator counts on, and writes nothing at rest.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from streaming_operator.api.reasons import Reason
from streaming_operator.status.times import parsed, timestamp

GRACE_SECONDS: dict[Reason, float] = {
    # Only a person changes these; a minute covers an apply in which the cause goes a moment later.
    Reason.HOST_CONFLICT: 60,
    Reason.HOST_NOT_ALLOWED: 60,
    Reason.NOT_SUPPORTED: 60,
    Reason.ANNOTATION_NOT_ALLOWED: 60,
    Reason.EDGE_NOT_LISTED: 60,
    Reason.ROUTE_REJECTED: 60,
    Reason.KEY_NOT_SENT: 60,
    # Other controllers of the same sync may bring these: an edge, CRDs, external secrets.
    Reason.CLASS_NOT_FOUND: 300,
    Reason.KIND_MISSING: 300,
    Reason.CONFIG_MISSING: 300,
    Reason.SECRET_NOT_READABLE: 300,
    # A cloud's load balancer gets its address minutes after its Service.
    Reason.EDGE_ADDRESS_UNKNOWN: 600,
    # The kubelet tries again at pauses of up to five minutes: two of them.
    Reason.IMAGE_NOT_PULLED: 600,
    Reason.CRASHING: 600,
    # `startup.timeoutSeconds` was the grace.
    Reason.STARTUP_TIMED_OUT: 0,
}
"""
Seconds after which a reason of `Ready` becomes one of `Stalled`.

Not here: what ends by itself (a start, a rollout, an eviction), and `Unschedulable`, since a node autoscaler or another
workload's end may bring a GPU at any time, as for a Deployment without a deadline.
"""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A trouble with a grace time, and since when it is the reason of `Ready`."""

    reason: Reason
    since: datetime

    def seconds_left(self, now: datetime) -> float:
        """Seconds until the grace time ends; zero or less once it has."""
        return GRACE_SECONDS[self.reason] - (now - self.since).total_seconds()

    def written(self) -> dict[str, str]:
        """`status.waiting`."""
        return {"reason": str(self.reason), "since": timestamp(self.since)}


def waiting(reason: str, generation: int, previous: Mapping[str, Any], now: datetime) -> Waiting | None:
    """
    The wait for the end of the *reason* of a `Ready` that is not true; None where it has no grace time.

    It began with the first status that had this reason for this *generation*: each edit of the spec may be the cure. A
    time in the future comes from a clock that was set back.
    """
    if reason not in GRACE_SECONDS:
        return None
    begun = recalled(previous)
    same = begun is not None and begun.reason == reason and previous.get("observedGeneration") == generation
    return begun if begun is not None and same and begun.since <= now else Waiting(Reason(reason), now)


def recalled(status: Mapping[str, Any]) -> Waiting | None:
    """Read a wait back from a status; None where there is none, or another version wrote it."""
    entry = status.get("waiting") or {}
    reason, since = entry.get("reason"), parsed(entry.get("since"))
    return Waiting(Reason(reason), since) if reason in GRACE_SECONDS and since is not None else None
