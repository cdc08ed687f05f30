"""
The errors of a pass; a class says what happens next, its text says what a person can do.

* OperatorError
  x InvalidSpec       the user must edit: Stalled until the generation moves
  x ClusterError
    + NotOurs         another owner holds a child's name: Stalled, nothing written
    + Forbidden       RBAC is missing: Stalled, looked at again with backoff
    + Rejected        the API server refuses what we sent: Stalled, retried with backoff
    + Gone            the object or its kind does not exist (any more)
    + Conflict        somebody wrote in between: retried at once
    + Unreachable     no usable answer: retried with backoff
"""

from streaming_operator.api.reasons import Reason


class OperatorError(Exception):
    """Base of everything this project raises on purpose."""

    reason: Reason = Reason.INTERNAL_ERROR
    stalls: bool = False
    """Whether a person must act before trying again can help."""


class InvalidSpec(OperatorError):
    """The resource contradicts a rule that only the operator can see."""

    reason = Reason.INVALID_SPEC
    stalls = True


class ClusterError(OperatorError):
    """The API server's answer, or the lack of one."""

    reason = Reason.API_UNREACHABLE


class NotOurs(ClusterError):
    """An object of a child's name is controlled by somebody else."""

    reason = Reason.NAME_TAKEN
    stalls = True


class Forbidden(ClusterError):
    """The service account may not do this."""

    reason = Reason.FORBIDDEN
    stalls = True


class Rejected(ClusterError):
    """The API server understood the request and refuses it (400, 413, 422)."""

    reason = Reason.REJECTED
    stalls = True


class Gone(ClusterError):
    """404: no such object, or no such kind."""


class Conflict(ClusterError):
    """409: the object changed between reading and writing."""


class Expired(ClusterError):
    """410: the watch's resource version is too old; list again."""


class Unreachable(ClusterError):
    """No usable answer within the limits: connection, time-out, 429 past patience, 5xx."""
