"""(endpoint, observed, verifications, previous status, now) -> the whole status; pure."""

from streaming_operator.status.changes import Change, changes, is_true
from streaming_operator.status.conditions import World
from streaming_operator.status.standing import (
    FAILING_PAUSE,
    Standing,
    after,
    pause_until_due,
    ready_pods,
    recall,
)
from streaming_operator.status.summary import Status, summarize, unreadable, worth_writing

__all__ = [
    "FAILING_PAUSE",
    "Change",
    "Standing",
    "Status",
    "World",
    "after",
    "changes",
    "is_true",
    "pause_until_due",
    "ready_pods",
    "recall",
    "summarize",
    "unreadable",
    "worth_writing",
]
