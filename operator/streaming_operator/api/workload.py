"""The part of `spec` that becomes pods: the engine, devices, caches, and how pods come and go."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from streaming_operator.api import engine_args, pod_parts
from streaming_operator.api.cel import (
    CEL,
    Model,
    at_most_one,
    exactly_one,
    keys_match,
    keys_without,
    no_parent,
)
from streaming_operator.api.core_v1 import (
    EnvFromSource,
    EnvVarSource,
    PersistentVolumeClaimTemplate,
    VolumeMount,
)
from streaming_operator.api.model import ApiKeySecretRef
from streaming_operator.api.types import (
    QUALIFIED_KEY,
    QUALIFIED_KEY_RULE,
    DnsLabel,
    DnsName,
    ImageReference,
    Labels,
    PullPolicy,
    Quantity,
    RelativePath,
    Unique,
)

DEFAULT_ENGINE_IMAGE = "vllm/vllm-openai:v0.33.0"
"""Stored in each object by the CRD's default, so that an operator upgrade restarts no GPU."""

RESERVED_LABELS = r"^(streamingendpoints\.dev/|app\.kubernetes\.io/(name|instance|managed-by)$)"
RESERVED_LABELS_RULE = (
    "streamingendpoints.dev/* and app.kubernetes.io/{name,instance,managed-by} are the operator's"
)


Annotations = Annotated[dict[str, Annotated[str, Field(max_length=4096)]], Field(max_length=32)]


class EnvVar(Model):
    """One environment variable, as in core/v1."""

    name: Annotated[str, Field(max_length=253, pattern=r"^[-._a-zA-Z][-._a-zA-Z0-9]*$")]
    """Name of the variable."""
    value: Annotated[str, Field(max_length=32768)] | None = None
    """Literal value; secrets belong into `valueFrom`."""
    value_from: EnvVarSource | None = None
    """Source of the value, as in core/v1 EnvVarSource."""

    cel: ClassVar = (at_most_one("value", "valueFrom"),)


class EngineTls(Model):
    """TLS up to the pod: ingress-nginx is told to speak it, a Gateway by a BackendTLSPolicy."""

    secret_name: DnsName
    """Secret of type kubernetes.io/tls with the server's certificate; kubelets and the probe do not check its name."""
    ca_config_map_name: DnsName | None = None
    """
    ConfigMap with the CA of that certificate under `ca.crt`. A Gateway checks it, for the name NAME.NAMESPACE.svc of
    the Service.
    """


class Engine(Model):
    """The model server: vLLM, configured to stream and to drain."""

    image: ImageReference = DEFAULT_ENGINE_IMAGE
    """Container image with vLLM."""
    command: Annotated[tuple[Annotated[str, Field(max_length=4096)], ...], Field(max_length=32)] | None = None
    """
    What starts the server; the model and its flags follow as arguments. `vllm serve` if unset, the image's own
    entrypoint if empty: many images have another one, which ignores the model.
    """
    image_pull_policy: PullPolicy = "IfNotPresent"
    """When the kubelet pulls the image."""
    version: Annotated[str, Field(max_length=32, pattern=r"^[0-9]+\.[0-9]+\.[0-9]+$")] | None = None
    """vLLM's version, needed when the image's tag does not contain it; unknown versions get no optional flag."""
    args: Annotated[tuple[Annotated[str, Field(max_length=4096)], ...], Field(max_length=128)] = ()
    """Further flags of `vllm serve`; those that the operator owns are refused."""
    env: Annotated[tuple[EnvVar, ...], Field(max_length=128), Unique("name")] = ()
    """Further environment variables; those that the operator owns are refused."""
    env_from: Annotated[tuple[EnvFromSource, ...], Field(max_length=32)] = ()
    """Further sources of environment variables, as in core/v1 EnvFromSource."""
    volume_mounts: Annotated[tuple[VolumeMount, ...], Field(max_length=24), Unique("mountPath")] = ()
    """Where the server has volumes of `spec.volumes`, as in core/v1 VolumeMount."""
    port: Annotated[int, Field(ge=1024, le=65535)] = 8000
    """Port the server listens on inside the pod."""
    max_model_len: Annotated[int, Field(ge=1, le=16_777_216)] | None = None
    """Longest context in tokens; the model's own if unset."""
    tensor_parallel_size: Annotated[int, Field(ge=1, le=64)] | None = None
    """GPUs that share each layer; if unset, all that pipelineParallelSize and dataParallelSize leave."""
    pipeline_parallel_size: Annotated[int, Field(ge=1, le=64)] = 1
    """Groups of GPUs that share the stack of layers."""
    data_parallel_size: Annotated[int, Field(ge=1, le=64)] = 1
    """Copies of the model in one pod, each on its own GPUs."""
    shared_memory_size: Quantity | None = None
    """Size of /dev/shm, which counts against the memory limit as far as it is used; 2Gi if unset."""
    sse_keep_alive_seconds: Annotated[int, Field(ge=0, le=300)] = 15
    """Interval of SSE comments while the model is silent, 0 for none; needs an image that knows the flag."""
    streaming_headers: bool = True
    """
    Send `X-Accel-Buffering: no` and `Cache-Control: no-cache`; end what outlives the drain (vLLM may hang it); refuse
    paths from outside that are not users'.
    """
    web_socket: bool = False
    """Chat completions by WebSocket, too, and for browsers' EventSource at `/v1/chat/completions/stream`."""
    api_key_secret_ref: ApiKeySecretRef | None = None
    """API key that clients must send; read when the server starts."""
    tls: EngineTls | None = None
    """Serve HTTPS in the pod, and on port 443 of the Service."""

    cel: ClassVar = (
        *engine_args.RULES,
        *pod_parts.MOUNT_RULES,
        CEL(
            "!has(self.webSocket) || !self.webSocket || !has(self.streamingHeaders) || self.streamingHeaders",
            lambda engine: not engine.web_socket or engine.streaming_headers,
            "webSocket needs streamingHeaders: both are middleware of vLLM's server",
            ".webSocket",
        ),
    )


class ResourceClaim(Model):
    """One claim of dynamic resource allocation, as in core/v1 PodResourceClaim."""

    name: DnsLabel
    """Name within the pod."""
    resource_claim_name: DnsName | None = None
    """A ResourceClaim that all pods share."""
    resource_claim_template_name: DnsName | None = None
    """A ResourceClaimTemplate, of which each pod gets a claim of its own."""
    request: DnsLabel | None = None
    """The request within the claim that the container uses; all of them if unset."""

    cel: ClassVar = (exactly_one("resourceClaimName", "resourceClaimTemplateName"),)


class Gpu(Model):
    """Accelerators of one replica."""

    resource_name: Annotated[
        str, Field(max_length=253, pattern=r"^[a-z0-9][-.a-z0-9]*/[a-zA-Z0-9][-._a-zA-Z0-9]*$")
    ] = "nvidia.com/gpu"
    """Extended resource to request."""
    count: Annotated[int, Field(ge=0, le=128)] = 1
    """Number of devices for one replica; 0 runs on the CPU."""
    resource_claims: Annotated[tuple[ResourceClaim, ...], Field(max_length=8), Unique("name")] = ()
    """Devices by dynamic resource allocation instead of the extended resource; count says how many they are."""
    devices_per_rank: Annotated[int, Field(ge=1, le=16)] | None = None
    """Devices that one rank of the model takes, such as 2 NeuronCores that are used as one; 1 if unset."""
    ranks_per_device: Annotated[int, Field(ge=1, le=16)] | None = None
    """Ranks of the model that one device holds, such as the 2 cores of a Neuron device; 1 if unset."""

    cel: ClassVar = (at_most_one("devicesPerRank", "ranksPerDevice"),)


class Resources(Model):
    """Requests and limits of the engine's container besides the GPUs."""

    requests: Annotated[dict[str, Quantity], Field(max_length=16)] = Field(default_factory=dict)
    """Requested amounts by resource name."""
    limits: Annotated[dict[str, Quantity], Field(max_length=16)] = Field(default_factory=dict)
    """Limits by resource name."""

    cel: ClassVar = (
        keys_match("requests", QUALIFIED_KEY, QUALIFIED_KEY_RULE),
        keys_match("limits", QUALIFIED_KEY, QUALIFIED_KEY_RULE),
    )


METADATA_RULES = (
    keys_match("labels", QUALIFIED_KEY, QUALIFIED_KEY_RULE),
    keys_without("labels", RESERVED_LABELS, RESERVED_LABELS_RULE),
    keys_match("annotations", QUALIFIED_KEY, QUALIFIED_KEY_RULE),
)
"""Rules on labels and annotations that a spec adds."""

OWN_ANNOTATIONS = keys_without(
    "annotations",
    r"^(streamingendpoints\.dev|deployment\.kubernetes\.io)/",
    "streamingendpoints.dev/* and deployment.kubernetes.io/* are the operator's and the controller's",
)
"""On annotations of children that the operator annotates itself."""


class PodMetadata(Model):
    """Labels and annotations added to the pods."""

    labels: Labels = Field(default_factory=dict)
    """Labels of the pods besides those of the operator."""
    annotations: Annotations = Field(default_factory=dict)
    """Annotations of the pods."""

    cel: ClassVar = METADATA_RULES


class ServiceMetadata(Model):
    """Labels and annotations added to the Service, where some edges look for time limits and protocols."""

    labels: Labels = Field(default_factory=dict)
    """Labels of the Service besides those of the operator."""
    annotations: Annotations = Field(default_factory=dict)
    """Annotations of the Service."""

    cel: ClassVar = (*METADATA_RULES, OWN_ANNOTATIONS)


class WorkloadMetadata(Model):
    """Labels and annotations added to the Deployment, for queues and tools that watch workloads."""

    labels: Labels = Field(default_factory=dict)
    """Labels of the Deployment besides those of the operator."""
    annotations: Annotations = Field(default_factory=dict)
    """Annotations of the Deployment."""

    cel: ClassVar = (*METADATA_RULES, OWN_ANNOTATIONS)


class ClaimCache(Model):
    """A volume that outlives the pod."""

    claim_name: DnsName
    """Name of the PersistentVolumeClaim."""
    sub_path: RelativePath | None = None
    """Folder within the volume, relative; its root if unset."""

    cel: ClassVar = (no_parent("subPath", optional=True),)


class EphemeralCache(Model):
    """A volume of a storage class that each pod gets for itself, and that is deleted with it."""

    volume_claim_template: PersistentVolumeClaimTemplate
    """The claim, as in core/v1 PersistentVolumeClaimTemplate."""


class EmptyDirCache(Model):
    """A volume that is deleted with the pod."""

    size_limit: Quantity | None = None
    """Upper limit of its size."""


class Cache(Model):
    """Where downloaded weights and compiled graphs are kept; at most one of the members."""

    persistent_volume_claim: ClaimCache | None = None
    """Keep the cache on a claim: no restart downloads or compiles again. Of several pods the first starts alone."""
    empty_dir: EmptyDirCache | None = None
    """Keep the cache as long as the pod lives; the default."""
    ephemeral: EphemeralCache | None = None
    """Keep the cache as long as the pod lives, on a volume of a storage class: for more than a node's disk holds."""

    cel: ClassVar = (at_most_one("persistentVolumeClaim", "emptyDir", "ephemeral"),)


class Startup(Model):
    """How long a start may take."""

    timeout_seconds: Annotated[int, Field(ge=60, le=86_400)] = 1800
    """From the container's start to the first healthy answer: download, load, compile."""


class PodDisruptionBudget(Model):
    """How many pods stay during voluntary disruptions; exactly one of the members."""

    min_available: Annotated[int, Field(ge=0, le=1000)] | None = None
    """Pods that must stay."""
    max_unavailable: Annotated[int, Field(ge=0, le=1000)] | None = None
    """Pods that may be evicted at the same time."""

    cel: ClassVar = (exactly_one("minAvailable", "maxUnavailable"),)


class Rollout(Model):
    """How pods are replaced without cutting a stream."""

    strategy: Literal["Auto", "RollingUpdate", "Recreate"] = "Auto"
    """Auto replaces in place (maxSurge 0, maxUnavailable 1): a surge pod could wait for a GPU for ever."""
    max_surge: Annotated[int, Field(ge=0, le=100)] | None = None
    """With RollingUpdate: pods above the desired number; 1 if unset."""
    max_unavailable: Annotated[int, Field(ge=0, le=100)] | None = None
    """With RollingUpdate: pods that may be missing; 0 if unset."""
    drain_seconds: Annotated[int, Field(ge=0, le=7200)] = 300
    """Longest time for running streams to finish when a pod terminates."""
    pre_stop_seconds: Annotated[int, Field(ge=0, le=600)] = 15
    """Time for edges to stop sending before the drain begins."""
    pod_disruption_budget: PodDisruptionBudget | None = None
    """Budget for voluntary disruptions; maxUnavailable 1 if unset and replicas > 1."""

    cel: ClassVar = (
        CEL(
            "self.strategy == 'RollingUpdate' || !has(self.maxSurge)",
            lambda rollout: rollout.strategy == "RollingUpdate" or rollout.max_surge is None,
            "needs strategy: RollingUpdate",
            ".maxSurge",
        ),
        CEL(
            "self.strategy == 'RollingUpdate' || !has(self.maxUnavailable)",
            lambda rollout: rollout.strategy == "RollingUpdate" or rollout.max_unavailable is None,
            "needs strategy: RollingUpdate",
            ".maxUnavailable",
        ),
        # Unset, maxUnavailable is 0: a lone maxSurge of 0 would never replace a pod.
        CEL(
            "!has(self.maxSurge) || self.maxSurge > 0 || has(self.maxUnavailable) && self.maxUnavailable > 0",
            lambda rollout: rollout.max_surge != 0 or bool(rollout.max_unavailable),
            "0 needs maxUnavailable of at least 1, or no pod could ever be replaced",
            ".maxSurge",
        ),
    )
