"""
What is worth an event: the difference between two statuses, pure.

Events tell of changes only; an endpoint that stays as it is stays silent.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from streaming_operator.api.reasons import ConditionType, Reason

WATCHED = (
    ConditionType.RECONCILING,
    ConditionType.STALLED,
    ConditionType.WORKLOAD_AVAILABLE,
    ConditionType.EXPOSED,
    ConditionType.STREAMING_VERIFIED,
    ConditionType.READY,
)

WAITING = (Reason.PODS_PENDING, Reason.MODEL_LOADING, Reason.ROLLING_OUT, Reason.ROUTE_PENDING)
"""Reasons that every start goes through: an event only after a better state."""


@dataclass(frozen=True, slots=True)
class Change:
    """One event to publish."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


def changes(previous: Mapping[str, Any], current: Mapping[str, Any]) -> tuple[Change, ...]:
    """Events for conditions whose status or reason moved; waiting states of a start are left out."""
    before, after = _by_type(previous), _by_type(current)
    events = []
    for kind in WATCHED:
        new, old = after.get(kind), before.get(kind)
        if new is None or (old and (old["status"], old["reason"]) == (new["status"], new["reason"])):
            continue
        if kind is ConditionType.RECONCILING:
            if new["reason"] == Reason.OVERWRITTEN:
                events.append(Change("Warning", new["reason"], new["message"]))
        elif kind is ConditionType.STALLED:
            if new["status"] == "True":
                events.append(Change("Warning", new["reason"], f"Stalled: {new['message']}"))
        elif new["reason"] in WAITING and not (old and old["status"] == "True"):
            continue
        elif new["status"] == "True" and not before:
            continue  # the first look at a new endpoint: nothing has changed yet
        elif new["status"] == "True":
            events.append(Change("Normal", new["reason"], f"{kind}: {new['message']}"))
        elif new["status"] == "False" and kind is not ConditionType.READY:
            events.append(Change("Warning", new["reason"], f"{kind}: {new['message']}"))
        elif kind is ConditionType.READY and old and old["status"] == "True":
            events.append(Change("Warning", "NotReady", f"{new['reason']}: {new['message']}"))
    return tuple(events)


def is_true(status: Mapping[str, Any], kind: str) -> bool:
    """Whether the condition of this type is True."""
    return bool(_by_type(status).get(kind, {}).get("status") == "True")


def _by_type(status: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Conditions by their type."""
    return {entry.get("type", ""): entry for entry in status.get("conditions") or ()}
