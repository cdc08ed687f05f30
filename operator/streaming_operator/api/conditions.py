"""
Condition types, reasons and verdicts: the words of `status`, enumerated in one place.

Reasons are API: each has a sentence and a remedy here, and docs/conditions.md is generated from them.
This module holds words only; what they are decided from lives in `probe` and `status`.
"""

from dataclasses import dataclass
from enum import StrEnum


class ConditionType(StrEnum):
    """Every condition of an endpoint; all of them are always present."""

    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    WORKLOAD_AVAILABLE = "WorkloadAvailable"
    EXPOSED = "Exposed"
    STREAMING_VERIFIED = "StreamingVerified"
    MONITORING_CONFIGURED = "MonitoringConfigured"


class Hop(StrEnum):
    """The places where the same request is asked, from the engine outwards."""

    POD = "Pod"
    SERVICE = "Service"
    EXPOSURE = "Exposure"


class Verdict(StrEnum):
    """What one verification says of the path it went; the value is the reason of `StreamingVerified`."""

    STREAMING = "Streaming"
    BUFFERED = "Buffered"
    COALESCED = "Coalesced"
    ENGINE_BATCHED = "EngineBatched"
    TRUNCATED = "Truncated"
    IDLE_TIMEOUT = "IdleTimeout"
    ERROR_IN_STREAM = "ErrorInStream"
    NO_DONE_MARKER = "NoDoneMarker"
    ABORTED = "Aborted"
    TTFT_EXCEEDED = "TTFTExceeded"
    AUTH_REJECTED = "AuthRejected"
    TLS_ERROR = "TLSError"
    DNS_UNRESOLVED = "DNSUnresolved"
    ROUTE_NOT_FOUND = "RouteNotFound"
    UPSTREAM_ERROR = "UpstreamError"
    UNREACHABLE = "Unreachable"
    INCONCLUSIVE = "Inconclusive"


class Reason(StrEnum):
    """Every reason that is not a verdict."""

    # Ready
    READY = "Ready"
    NOT_VERIFIED = "NotVerified"
    WORKLOAD_UNAVAILABLE = "WorkloadUnavailable"
    NOT_EXPOSED = "NotExposed"
    NOT_STREAMING = "NotStreaming"
    SCALED_TO_ZERO = "ScaledToZero"
    SUSPENDED = "Suspended"
    # Reconciling and Stalled
    PROGRESSING = "Progressing"
    UP_TO_DATE = "UpToDate"
    INVALID_SPEC = "InvalidSpec"
    NAME_TAKEN = "NameTaken"
    VERIFICATION_FAILING = "VerificationFailing"
    FORBIDDEN = "Forbidden"
    REJECTED = "Rejected"
    API_UNREACHABLE = "ApiUnreachable"
    INTERNAL_ERROR = "InternalError"
    NOT_STALLED = "NotStalled"
    # WorkloadAvailable
    AVAILABLE = "Available"
    NOT_APPLIED = "NotApplied"
    PODS_PENDING = "PodsPending"
    UNSCHEDULABLE = "Unschedulable"
    IMAGE_NOT_PULLED = "ImageNotPulled"
    CONFIG_MISSING = "ConfigMissing"
    CRASHING = "Crashing"
    MODEL_LOADING = "ModelLoading"
    STARTUP_TIMED_OUT = "StartupTimedOut"
    ROLLING_OUT = "RollingOut"
    # Exposed
    ADMITTED = "Admitted"
    CLUSTER_INTERNAL = "ClusterInternal"
    CLASS_NOT_FOUND = "ClassNotFound"
    HOST_CONFLICT = "HostConflict"
    KIND_MISSING = "KindMissing"
    ROUTE_PENDING = "RoutePending"
    ROUTE_REJECTED = "RouteRejected"
    # StreamingVerified besides the verdicts
    PENDING = "Pending"
    DISABLED = "Disabled"
    EDGE_ADDRESS_UNKNOWN = "EdgeAddressUnknown"
    SECRET_NOT_READABLE = "SecretNotReadable"  # noqa: S105 - a reason, not a secret
    # MonitoringConfigured
    CONFIGURED = "Configured"
    SERVICE_MONITOR_MISSING = "ServiceMonitorCRDMissing"
    TURNED_OFF = "TurnedOff"


@dataclass(frozen=True, slots=True)
class Explained:
    """What a reason means, and what a person can do about it."""

    means: str
    remedy: str
