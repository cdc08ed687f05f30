"""(endpoint, observed, verifications, previous status, now) -> the whole status; pure."""

from streaming_operator.status.changes import Change, changes, is_true
from streaming_operator.status.conditions import World
from streaming_operator.status.summary import Status, summarize, unreadable, worth_writing
from streaming_operator.status.verification import Answer, VerificationState, recall, recall_answer
from streaming_operator.status.waiting import recalled as recall_wait

__all__ = [
    "Answer",
    "Change",
    "Status",
    "VerificationState",
    "World",
    "changes",
    "is_true",
    "recall",
    "recall_answer",
    "recall_wait",
    "summarize",
    "unreadable",
    "worth_writing",
]
