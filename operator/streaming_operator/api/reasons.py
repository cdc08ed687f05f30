"""
Condition types, reasons and verdicts of `status`.

Reasons are API: each has a meaning and a remedy here, and docs/conditions.md is generated from them. `probe` and
`status` decide which of them applies.
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
    """The places where the same request is sent, from the engine outwards."""

    POD = "Pod"
    SERVICE = "Service"
    EXPOSURE = "Exposure"
    PUBLIC = "Public"


class Verdict(StrEnum):
    """The result of one verification; the value is the reason of `StreamingVerified`."""

    STREAMING = "Streaming"
    BUFFERED = "Buffered"
    COALESCED = "Coalesced"
    ENGINE_BATCHED = "EngineBatched"
    TRUNCATED = "Truncated"
    IDLE_TIMEOUT = "IdleTimeout"
    TOTAL_TIMEOUT = "TotalTimeout"
    ERROR_IN_STREAM = "ErrorInStream"
    NO_DONE_MARKER = "NoDoneMarker"
    ABORTED = "Aborted"
    TTFT_EXCEEDED = "TTFTExceeded"
    CHUNK_GAP_EXCEEDED = "ChunkGapExceeded"
    AUTH_REJECTED = "AuthRejected"
    AUTH_NOT_ENFORCED = "AuthNotEnforced"
    TLS_ERROR = "TLSError"
    DNS_UNRESOLVED = "DNSUnresolved"
    ROUTE_NOT_FOUND = "RouteNotFound"
    UPSTREAM_ERROR = "UpstreamError"
    UNREACHABLE = "Unreachable"
    CANCEL_IGNORED = "CancelIgnored"
    WRONG_MODEL = "WrongModel"
    INCONCLUSIVE = "Inconclusive"


STREAMS = frozenset({Verdict.STREAMING, Verdict.ENGINE_BATCHED})
"""Verdicts of a path that streams: tokens that the engine itself bundles arrive as they are generated."""


class Reason(StrEnum):
    """Every reason that is not a verdict."""

    # Ready
    READY = "Ready"
    NOT_VERIFIED = "NotVerified"
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
    POD_NOT_ALLOWED = "PodNotAllowed"
    OVERWRITTEN = "Overwritten"
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
    EVICTED = "Evicted"
    ROLLING_OUT = "RollingOut"
    # Exposed
    ADMITTED = "Admitted"
    CLUSTER_INTERNAL = "ClusterInternal"
    CLASS_NOT_FOUND = "ClassNotFound"
    HOST_CONFLICT = "HostConflict"
    HOST_NOT_ALLOWED = "HostNotAllowed"
    NOT_SUPPORTED = "NotSupported"
    ANNOTATION_NOT_ALLOWED = "AnnotationNotAllowed"
    EDGE_NOT_LISTED = "EdgeNotListed"
    KIND_MISSING = "KindMissing"
    ROUTE_PENDING = "RoutePending"
    ROUTE_REJECTED = "RouteRejected"
    # StreamingVerified besides the verdicts
    PENDING = "Pending"
    DISABLED = "Disabled"
    EDGE_ADDRESS_UNKNOWN = "EdgeAddressUnknown"
    KEY_NOT_SENT = "KeyNotSent"
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


EXPLAINED: dict[Reason | Verdict, Explained] = {
    Reason.READY: Explained(
        "The endpoint serves, and streams as far as the mode of verification requires.", "Nothing to do."
    ),
    Reason.NOT_VERIFIED: Explained(
        "The endpoint serves; it has not been verified that it streams.",
        "Set `spec.verification.mode` to `Required`.",
    ),
    Reason.SCALED_TO_ZERO: Explained(
        "`spec.replicas` is 0.", "Scale up: `kubectl scale sep NAME --replicas=1`."
    ),
    Reason.SUSPENDED: Explained(
        "`spec.suspend` is true: no child is written, no probe runs.", "Set it to false."
    ),
    Reason.PROGRESSING: Explained("The operator applies the spec.", "Wait; `Ready` says what for."),
    Reason.UP_TO_DATE: Explained("Everything is as specified.", "Nothing to do."),
    Reason.INVALID_SPEC: Explained(
        "The spec violates a rule; the message has path and rule.", "Edit that field."
    ),
    Reason.NAME_TAKEN: Explained(
        "An object with a child's name has another owner; nothing was written.",
        "Rename or delete that object, or rename the endpoint.",
    ),
    Reason.VERIFICATION_FAILING: Explained(
        "The endpoint does not stream, `failureThreshold` times in a row.", "See `StreamingVerified`."
    ),
    Reason.FORBIDDEN: Explained(
        "The operator's service account lacks a right.",
        "Compare its role with the chart's; upgrade the chart.",
    ),
    Reason.REJECTED: Explained(
        "The API server, an admission policy or a quota refuses a child.",
        "Change what the server's error in the message names.",
    ),
    Reason.POD_NOT_ALLOWED: Explained(
        "The spec asks something of its pods that the administrator does not allow (the chart's value `podPolicy`): "
        "the Deployment is not written, and one that is there stays as it is, also at another number of replicas.",
        "Remove what the message names, or let the administrator set the value of `podPolicy` that it names.",
    ),
    Reason.API_UNREACHABLE: Explained(
        "The API server gave no usable response.", "It is retried with backoff."
    ),
    Reason.OVERWRITTEN: Explained(
        "Somebody changes a child back each time that it is repaired; it is repaired more and more rarely.",
        "Let the field manager that the message names leave that field alone.",
    ),
    Reason.INTERNAL_ERROR: Explained(
        "A pass failed inside the operator.", "Report it with the operator's log; it is retried with backoff."
    ),
    Reason.NOT_STALLED: Explained("Nothing requires a person's action.", "Nothing to do."),
    Reason.AVAILABLE: Explained("The newest pod template runs and accepts requests.", "Nothing to do."),
    Reason.NOT_APPLIED: Explained("The child has not been written yet.", "See `Stalled` and `Reconciling`."),
    Reason.PODS_PENDING: Explained("Pods do not run yet.", "Wait."),
    Reason.UNSCHEDULABLE: Explained(
        "No node fits; the message has the scheduler's reason.",
        "Free or add GPUs, or change `gpu`, `resources`, `nodeSelector`, `tolerations`.",
    ),
    Reason.IMAGE_NOT_PULLED: Explained(
        "The engine's image cannot be pulled.", "Check `engine.image` and `imagePullSecrets`."
    ),
    Reason.CONFIG_MISSING: Explained(
        "A Secret, ConfigMap or claim that the pod needs does not exist.", "Create what the message names."
    ),
    Reason.CRASHING: Explained(
        "The engine crashes repeatedly; the message quotes its last line.", "Fix its cause."
    ),
    Reason.MODEL_LOADING: Explained(
        "The engine runs and loads the model.", "Wait, at most `startup.timeoutSeconds`."
    ),
    Reason.STARTUP_TIMED_OUT: Explained(
        "The model was not loaded in time.", "Raise `startup.timeoutSeconds`, or see the pod's log."
    ),
    Reason.EVICTED: Explained(
        "The kubelet evicted or ended a pod; the message names the resource.",
        "Raise the request or limit that the message names; see the node's events.",
    ),
    Reason.ROLLING_OUT: Explained(
        "Pods of an older template are being replaced.", "Wait; streams are drained."
    ),
    Reason.ADMITTED: Explained("The edge has accepted the route.", "Nothing to do."),
    Reason.CLUSTER_INTERNAL: Explained(
        "Nothing is exposed.", "Set `spec.exposure` for an address outside the cluster."
    ),
    Reason.CLASS_NOT_FOUND: Explained(
        "The IngressClass, Gateway or GatewayClass does not exist.",
        "Correct the name, or install the controller.",
    ),
    Reason.HOST_CONFLICT: Explained(
        "Another endpoint, Ingress or HTTPRoute already serves this host, with this path or one above or below it. The "
        "endpoint's other hosts are served.",
        "Change one of the two hosts; whose host it is, the administrator can say in the chart's value `hostPolicy`.",
    ),
    Reason.NOT_SUPPORTED: Explained(
        "The endpoint's Ingress controller has no known means for a field of `exposure`, so that no route is written.",
        "Name a class of ingress-nginx, expose by `httpRoute`, or leave out the field that the message names.",
    ),
    Reason.HOST_NOT_ALLOWED: Explained(
        "The administrator gave this host to other namespaces, or none to this one (the chart's value `hostPolicy`): "
        "the host is not served, also where it was before. The endpoint's other hosts are.",
        "Choose a host that the message lists, or let the administrator add it to `hostPolicy`.",
    ),
    Reason.ANNOTATION_NOT_ALLOWED: Explained(
        "An annotation that may take over others' requests, or reach into other namespaces, is not on the edge's "
        "list: the route is not written. One that is there already stays as it is.",
        "Remove the annotation, or let the administrator add it to the chart's value `edges[].allowedAnnotations`.",
    ),
    Reason.EDGE_NOT_LISTED: Explained(
        "The operator may not read the class or Gateway, since `watchNamespaces` gives it Roles only, and the chart's "
        "values do not say what stands behind it; a route that is there already stays as it is.",
        "The administrator adds what the message names to `edges[]` or `gatewayNamespaces`, or sets "
        "`rbac.clusterRoles`.",
    ),
    Reason.KIND_MISSING: Explained(
        "The cluster lacks a kind that the endpoint needs; the message names it.", "Install its CRDs."
    ),
    Reason.ROUTE_PENDING: Explained(
        "The edge has not accepted the route yet.", "Wait; then see the edge's log."
    ),
    Reason.ROUTE_REJECTED: Explained(
        "The edge rejects the route; the message has its reason.", "Change what the reason names."
    ),
    Reason.PENDING: Explained(
        "No verification of the current pod template and route has ended yet.",
        "Wait for the workload and the route.",
    ),
    Reason.DISABLED: Explained("No probe is sent.", "Set `spec.verification.mode`."),
    Reason.EDGE_ADDRESS_UNKNOWN: Explained(
        "The edge's address is unknown, or the Service in the operator's `edges[]` cannot be read.",
        "Set or correct `edges[]` in the operator's chart: class and Service.",
    ),
    Reason.KEY_NOT_SENT: Explained(
        "Only DNS says where the host is, and the administrator allows no key, header or client certificate there: no "
        "probe is sent.",
        "Let the administrator add the host to `settings.keyHosts`, or the edge's Service to `edges[]`; or remove "
        "`verification.publicURL`.",
    ),
    Reason.SECRET_NOT_READABLE: Explained(
        "The probe cannot read the API key, the headers, the client certificate or the CA bundle, or cannot use them.",
        "Create or correct what the message names, or let the administrator set `rbac.readSecrets=true` or list it in "
        "`podPolicy.credentialSecretNames`.",
    ),
    Reason.CONFIGURED: Explained("A ServiceMonitor exists.", "Nothing to do."),
    Reason.SERVICE_MONITOR_MISSING: Explained(
        "The cluster has no ServiceMonitor kind.", "Install the prometheus-operator's CRDs, or turn it off."
    ),
    Reason.TURNED_OFF: Explained("The spec turns the ServiceMonitor off.", "Nothing to do."),
    Verdict.STREAMING: Explained("Tokens arrive one after the other, to the end.", "Nothing to do."),
    Verdict.BUFFERED: Explained(
        "A hop stores the response and sends it in one or a few blocks.",
        "Apply the remedy in the message to that hop.",
    ),
    Verdict.COALESCED: Explained(
        "A hop holds tokens back and sends them in bursts.",
        "Apply the remedy in the message to that hop.",
    ),
    Verdict.ENGINE_BATCHED: Explained(
        "The engine itself puts several tokens into one event; the path is fine.",
        "Nothing, or lower `--stream-interval`.",
    ),
    Verdict.TRUNCATED: Explained("The stream ended early.", "Raise the time limit that the message names."),
    Verdict.IDLE_TIMEOUT: Explained("The stream was cut during a silence.", "Raise the hop's read timeout."),
    Verdict.TOTAL_TIMEOUT: Explained(
        "A hop cuts every stream at the same age, whether or not it is idle.",
        "Raise that hop's limit for a whole request.",
    ),
    Verdict.ERROR_IN_STREAM: Explained(
        "The engine sent an error inside the stream.", "See the engine's log."
    ),
    Verdict.NO_DONE_MARKER: Explained("The stream ended without `[DONE]`.", "See the engine's log."),
    Verdict.ABORTED: Explained(
        "The engine gave the response up, or ended it without a finish reason.",
        "See the engine's log: it was shutting down or overloaded.",
    ),
    Verdict.TTFT_EXCEEDED: Explained(
        "No token came in time.",
        "Raise `verification.firstRequestTimeoutSeconds` (after a start) or "
        "`verification.thresholds.ttftMilliseconds`, or see the engine's load.",
    ),
    Verdict.CHUNK_GAP_EXCEEDED: Explained(
        "Tokens arrived, but with a longer pause than `verification.thresholds.maxGapMilliseconds`.",
        "See the engine's load, then the hop that the message names.",
    ),
    Verdict.AUTH_NOT_ENFORCED: Explained(
        "A request without the key was answered: anybody can use the endpoint.",
        "Check that the pods run with the Secret's key and that the edge does not add one.",
    ),
    Verdict.CANCEL_IGNORED: Explained(
        "Tokens stream, but the engine continues when the client has disconnected (`verification.checks.cancel`).",
        "Configure the hop that the message names to close its upstream when its client disconnects.",
    ),
    Verdict.WRONG_MODEL: Explained(
        "Tokens stream, but of another model: the model server lists another name or source than the spec's.",
        "Compare `model.source` and `engine.image`: the entrypoint of some images ignores the model that the operator "
        "names, and serves another under its name.",
    ),
    Verdict.AUTH_REJECTED: Explained(
        "The key was refused.",
        "The engine reads its key at start: restart the pods after changing the Secret.",
    ),
    Verdict.TLS_ERROR: Explained(
        "The edge's certificate is not trusted, or is valid for another name.",
        "Set `verification.tls.caConfigMapRef`, or correct `exposure.ingress.tls`.",
    ),
    Verdict.DNS_UNRESOLVED: Explained("The host has no address.", "Create the DNS record, or set `edges[]`."),
    Verdict.ROUTE_NOT_FOUND: Explained(
        "The edge answers 404.", "Check class, host and path; another route may take precedence."
    ),
    Verdict.UPSTREAM_ERROR: Explained(
        "A hop answers with a 5xx or an unexpected status.", "See that hop's log."
    ),
    Verdict.UNREACHABLE: Explained(
        "No connection could be made, or the address of the name is not allowed.",
        "Check address, port and network policies; a private network must be allowed by the administrator.",
    ),
    Verdict.INCONCLUSIVE: Explained(
        "The streams were too short or too uneven to judge.",
        "Raise `verification.request.maxTokens`, or see the load of the node.",
    ),
}
"""One entry for every reason and verdict; docs/conditions.md is generated from it."""
