"""
The errors of a pass; a class says what happens next, its text says what a person can do.

* OperatorError
  + ClusterError
    + NotOurs         another owner holds a child's name: Stalled, nothing written
    + Forbidden       RBAC is missing: Stalled, retried with backoff
    + PodNotAllowed   the administrator's podPolicy refuses the pods: Stalled, the Deployment stays as it is
    + Rejected        the API server refuses what we sent: Stalled, retried with backoff
    + Overwritten     somebody changes a child back again and again: reported, repaired less often
    + EndpointGone    the endpoint itself was deleted: the pass ends, nothing is written
    + NamespaceGone   its namespace is being deleted, and the endpoint with it: as above
    + NotFound        another object, which the message names, does not exist
    + KindMissing     the API server does not serve the kind: retried with backoff
    + Conflict        somebody wrote in between: retried with backoff
    + Expired         the resource version of a watch is too old: list again
    + NotLeading      this process does not hold the Lease (any more): it writes nothing
    + Unreachable     no usable answer: retried with backoff
      + TooLarge      an answer of more bytes than are held at once: asked for in smaller pieces

A 404 alone says nothing about the endpoint: only `EndpointGone` and `NamespaceGone` end a pass silently.
"""

from streaming_operator.api.reasons import Reason


class OperatorError(Exception):
    """Base of everything this project raises on purpose."""

    reason: Reason = Reason.INTERNAL_ERROR
    stalls: bool = False
    """Whether a person must act before trying again can help."""


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


class PodNotAllowed(ClusterError):
    """The administrator's podPolicy does not allow what the spec asks of its pods."""

    reason = Reason.POD_NOT_ALLOWED
    stalls = True


class Rejected(ClusterError):
    """The API server understood the request and refuses it (400, 413, 422)."""

    reason = Reason.REJECTED
    stalls = True
    fields: tuple[str, ...] = ()
    """What it refuses, as it names it: `spec.template.spec.containers[0].env[2].value`."""


class Overwritten(ClusterError):
    """What we write is changed back again and again: repaired less and less often."""

    reason = Reason.OVERWRITTEN


class EndpointGone(ClusterError):
    """The endpoint of this uid does not exist any more, or is being deleted."""


class NamespaceGone(ClusterError):
    """The namespace is being deleted or does not exist: so it is with the endpoint in it."""


class NotFound(ClusterError):
    """404: the kind is served, but no object has this name."""


class KindMissing(ClusterError):
    """404: the API server does not serve this kind (any more)."""

    reason = Reason.KIND_MISSING


class Conflict(ClusterError):
    """409: the object changed between reading and writing."""


class Expired(ClusterError):
    """410: the watch's resource version is too old; list again."""


class NotLeading(ClusterError):
    """This process does not hold the Lease, or not for certain any more: nothing was sent."""


class Unreachable(ClusterError):
    """No usable answer within the limits: connection, time-out, 429 past patience, 5xx."""


class UnreadableCredentials(Unreachable):
    """The kubeconfig or the service account cannot be read: nobody was asked."""


class TooLarge(Unreachable):
    """An answer of more bytes than are held at once."""
