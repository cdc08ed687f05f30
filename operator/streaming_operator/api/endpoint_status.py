"""
The resource's `status` as pydantic models: its schema in the CRD; tests validate the operator's writes against it.

It constrains little on purpose: a status that the API server refuses would hide the problem that it reports.
"""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from streaming_operator.api.cel import Model
from streaming_operator.api.types import Unique


class ConditionStatus(Model):
    """One condition, as in metav1: what is true, since when, and why."""

    type: str
    """Ready, Reconciling, Stalled, WorkloadAvailable, Exposed, StreamingVerified or MonitoringConfigured."""
    status: Literal["True", "False", "Unknown"]
    """Whether it is true."""
    reason: str
    """One word for machines; docs/conditions.md explains each."""
    message: str
    """One sentence for people: what was observed, and what to change."""
    observed_generation: int | None = None
    """Generation of the spec that the condition is about."""
    last_transition_time: datetime
    """When `status` changed last."""


class HopStatus(Model):
    """What the probe measured at one hop."""

    name: str
    """Pod, Service, Exposure or Public."""
    address: str | None = None
    """Where the probe connected to."""
    protocol: str | None = None
    """Protocol spoken, e.g. HTTP/1.1."""
    verdict: str
    """The verdict on the stream."""
    message: str | None = None
    """The evidence, with numbers."""
    ttft_milliseconds: int | None = None
    """Time to the first token."""
    p95_gap_milliseconds: int | None = None
    """95 of 100 gaps between tokens were no longer."""
    max_gap_milliseconds: int | None = None
    """Longest gap between tokens."""
    events: int | None = None
    """Server-sent events that carried text."""
    reads: int | None = None
    """Reads in which they arrived."""
    tokens: int | None = None
    """Tokens by the server's own count."""
    pacing_percent: int | None = None
    """Time from first to last token in percent of the server's own: about 100 streams, about 0 was buffered."""
    done: bool | None = None
    """Whether the stream ended in `[DONE]`."""
    finish_reason: str | None = None
    """Why the model stopped."""


class VerificationStatus(Model):
    """The last verification; it is about one pod template and one route."""

    verdict: str
    """The verdict on the users' stream."""
    hop: str | None = None
    """The hop that the verdict blames, or the outermost one."""
    message: str | None = None
    """The evidence and the remedy."""
    pod_template_hash: str | None = None
    """The pod template that was asked."""
    route_hash: str | None = None
    """The route that carried it."""
    failures: int | None = None
    """Failures in a row since the last stream, counted up to spec.verification.failureThreshold."""
    last_time: datetime | None = None
    """When it was written; later verifications with the same result are in the operator's metrics."""
    hops: tuple[HopStatus, ...] = ()
    """The result of every hop, from the outside in."""


class RequestedVerificationStatus(Model):
    """The answer to the annotation verify-requested-at."""

    request: str
    """Its value."""
    verdict: str
    """The verdict on the users' stream."""
    hop: str | None = None
    """As in verification."""
    message: str | None = None
    """As in verification."""


class WaitingStatus(Model):
    """A trouble that may still end by itself; Stalled becomes true when its grace time is over."""

    reason: str
    """The reason of Ready."""
    since: datetime
    """When it became the reason."""


class EndpointStatus(Model):
    """What the operator observed last."""

    observed_generation: int | None = None
    """Generation of the spec that the controller observed."""
    conditions: Annotated[tuple[ConditionStatus, ...], Unique("type")] = ()
    """Every condition, always."""
    url: str | None = None
    """Base URL that users call; none when nothing is exposed."""
    internal_url: Annotated[str | None, Field(alias="internalURL")] = None
    """Base URL inside the cluster."""
    model_name: str | None = None
    """Model name that clients send."""
    replicas: int | None = None
    """Number of pods; read by the scale subresource."""
    ready_replicas: int | None = None
    """Pods that are ready."""
    selector: str | None = None
    """Label selector of the pods; read by the scale subresource."""
    waiting: WaitingStatus | None = None
    """What Ready waits for, while that is a trouble that has a grace time."""
    verification: VerificationStatus | None = None
    """The last verification."""
    last_verified_ttft_milliseconds: Annotated[int | None, Field(alias="lastVerifiedTTFTMilliseconds")] = None
    """Time to the first token in the last verification."""
    requested_verification: RequestedVerificationStatus | None = None
    """The verification that was asked for last."""
