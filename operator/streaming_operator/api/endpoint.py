"""
The StreamingEndpoint resource as pydantic models: the one description of `spec`.

Defaults, descriptions and constraints here become the CRD (`schema.py`); `CEL` rules hang on the class
they speak of, since a webhook is not needed to install. Nothing here talks to anything.

Durations are whole seconds, as in core/v1. Free-form Kubernetes types (`Quantity`, affinity and the like)
stay plain data: the API server that receives the children is their type checker.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

GROUP = "streamingendpoints.dev"
VERSION = "v1alpha1"
KIND = "StreamingEndpoint"
PLURAL = "streamingendpoints"
API_VERSION = f"{GROUP}/{VERSION}"

DEFAULT_ENGINE_IMAGE = "vllm/vllm-openai:v0.33.0"
"""Stored in each object by the CRD's default, so that an operator upgrade restarts no GPU."""

RESERVED_FLAGS = (
    "--port",
    "--host",
    "--uds",
    "--api-key",
    "--config",
    "--root-path",
    "--served-model-name",
    "--shutdown-timeout",
    "--disable-log-stats",
)
RESERVED_FLAG_PREFIX = "--ssl-"
RESERVED_ENV = ("VLLM_API_KEY", "VLLM_PORT", "VLLM_DEBUG_LOG_API_SERVER_RESPONSE")


@dataclass(frozen=True, slots=True)
class CEL:
    """One rule of the CRD (`x-kubernetes-validations`), checked by the API server."""

    rule: str
    message: str
    field_path: str | None = None


@dataclass(frozen=True, slots=True)
class FreeForm:
    """Marks a field whose inner structure belongs to Kubernetes: its keys are preserved, not described."""


class InvalidEndpoint(ValueError):
    """A body that breaks the schema: every problem as `path: what is allowed`."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class Model(BaseModel):
    """Base of every part of the resource: frozen, camelCase outside, unknown fields refused."""

    model_config = ConfigDict(
        frozen=True, alias_generator=to_camel, populate_by_name=True, extra="forbid", use_attribute_docstrings=True
    )
    cel: ClassVar[tuple[CEL, ...]] = ()


def exactly_one(owner: str, *names: str) -> CEL:
    """The union rule of this API: exactly one of the named members is set."""
    listed = ", ".join(names)
    terms = ", ".join(f"has(self.{name})" for name in names)
    return CEL(f"[{terms}].filter(x, x).size() == 1", f"{owner}: set exactly one of {listed}")


def at_most_one(owner: str, *names: str) -> CEL:
    """Like `exactly_one`, but none is fine too."""
    listed = ", ".join(names)
    terms = ", ".join(f"has(self.{name})" for name in names)
    return CEL(f"[{terms}].filter(x, x).size() <= 1", f"{owner}: set at most one of {listed}")


DnsName = Annotated[str, Field(max_length=253, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")]
DnsLabel = Annotated[str, Field(max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
SecretKey = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")]
Quantity = Annotated[str, Field(max_length=32, pattern=r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$")]
AbsolutePath = Annotated[str, Field(min_length=2, max_length=1024, pattern=r"^/[-._a-zA-Z0-9/]*$")]
AnnotationValue = Annotated[str, Field(max_length=4096)]
FreeObject = Annotated[dict[str, Any], FreeForm()]


class SecretKeyRef(Model):
    """A key of a Secret in the endpoint's own namespace."""

    name: DnsName
    """Name of the Secret."""
    key: SecretKey = "token"
    """Key within the Secret."""


class ApiKeySecretRef(SecretKeyRef):
    """Where the API key that clients must send lies."""

    key: SecretKey = "api-key"
    """Key within the Secret."""


class HuggingFaceSource(Model):
    """Weights from the Hugging Face hub, loaded by the engine at start."""

    repo: Annotated[str, Field(max_length=200, pattern=r"^[\w.-]+/[\w.-]+$")]
    """Repository, `organisation/name`."""
    revision: Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[\w.-]+$")] | None = None
    """Branch, tag or commit; pin it so that a restart loads the same weights."""
    token_secret_ref: SecretKeyRef | None = None
    """Access token for gated models."""


class PersistentVolumeClaimSource(Model):
    """Weights on a volume of the cluster."""

    claim_name: DnsName
    """Name of the PersistentVolumeClaim."""
    path: Annotated[str, Field(max_length=1024, pattern=r"^[-._a-zA-Z0-9][-._a-zA-Z0-9/]*$")] | None = None
    """Folder within the volume, relative; the volume's root if unset."""
    read_only: bool = True
    """Mount the volume read-only."""

    cel: ClassVar = (
        CEL("!has(self.path) || !self.path.split('/').exists(p, p == '..')", "path: must not contain '..'", ".path"),
    )


class LocalSource(Model):
    """Weights that are part of the engine's image."""

    path: AbsolutePath
    """Absolute folder inside the image."""

    cel: ClassVar = (CEL("!self.path.split('/').exists(p, p == '..')", "path: must not contain '..'", ".path"),)


class ModelSource(Model):
    """Where the weights come from: exactly one of the members."""

    hugging_face: HuggingFaceSource | None = None
    """From the Hugging Face hub."""
    persistent_volume_claim: PersistentVolumeClaimSource | None = None
    """From a volume of the cluster."""
    local: LocalSource | None = None
    """From the engine's image."""

    cel: ClassVar = (exactly_one("source", "huggingFace", "persistentVolumeClaim", "local"),)


class ServedModel(Model):
    """The model and the name that clients ask for."""

    source: ModelSource
    """Where the weights come from."""
    served_name: Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[\w./:-]+$")] | None = None
    """Model name in requests and metrics; the endpoint's name if unset."""


class EnvVar(Model):
    """One environment variable, as in core/v1."""

    name: Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z][-._a-zA-Z0-9]*$")]
    """Name of the variable."""
    value: Annotated[str, Field(max_length=32768)] | None = None
    """Literal value; secrets belong into `valueFrom`."""
    value_from: FreeObject | None = None
    """Source of the value, as in core/v1 EnvVarSource."""


class Engine(Model):
    """The model server: vLLM, told to stream and to drain."""

    image: Annotated[str, Field(min_length=1, max_length=512, pattern=r"^[^\s]+$")] = DEFAULT_ENGINE_IMAGE
    """Container image whose entrypoint is `vllm serve`."""
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    """When the kubelet pulls the image."""
    version: Annotated[str, Field(max_length=32, pattern=r"^[0-9]+\.[0-9]+\.[0-9]+$")] | None = None
    """vLLM's version, needed when the image's tag does not tell it; unknown versions get no optional flag."""
    args: Annotated[tuple[Annotated[str, Field(max_length=4096)], ...], Field(max_length=128)] = ()
    """Further flags of `vllm serve`; those that the operator owns are refused."""
    env: Annotated[tuple[EnvVar, ...], Field(max_length=128)] = ()
    """Further environment variables; those that the operator owns are refused."""
    env_from: Annotated[tuple[FreeObject, ...], Field(max_length=32)] = ()
    """Further sources of environment variables, as in core/v1 EnvFromSource."""
    port: Annotated[int, Field(ge=1024, le=65535)] = 8000
    """Port the server listens on inside the pod."""
    max_model_len: Annotated[int, Field(ge=1, le=16_777_216)] | None = None
    """Longest context in tokens; the model's own if unset."""
    tensor_parallel_size: Annotated[int, Field(ge=1, le=64)] | None = None
    """GPUs that share each layer; GPU count / pipelineParallelSize if unset."""
    pipeline_parallel_size: Annotated[int, Field(ge=1, le=64)] = 1
    """Groups of GPUs that share the stack of layers."""
    shared_memory_size: Quantity | None = None
    """Size of /dev/shm; 2Gi when several GPUs work together, else the runtime's default."""
    sse_keep_alive_seconds: Annotated[int, Field(ge=0, le=300)] = 15
    """Interval of SSE comments while the model is silent, 0 for none; needs an image that knows the flag."""
    streaming_headers: bool = True
    """Send `X-Accel-Buffering: no` and `Cache-Control: no-cache` with every stream."""
    api_key_secret_ref: ApiKeySecretRef | None = None
    """API key that clients must send; read when the server starts."""

    cel: ClassVar = (
        CEL(
            "!has(self.args) || self.args.all(a, !(a.split('=')[0].replace('_', '-') in "
            f"[{', '.join(repr(flag) for flag in RESERVED_FLAGS)}]) && "
            f"!a.replace('_', '-').startsWith('{RESERVED_FLAG_PREFIX}'))",
            f"args: {' '.join(RESERVED_FLAGS)} {RESERVED_FLAG_PREFIX}* are set by the operator; "
            "use the fields of spec instead",
            ".args",
        ),
        CEL(
            f"!has(self.env) || self.env.all(e, !(e.name in [{', '.join(repr(name) for name in RESERVED_ENV)}]))",
            f"env: {', '.join(RESERVED_ENV)} are reserved; an API key belongs into apiKeySecretRef",
            ".env",
        ),
    )


class Gpu(Model):
    """Accelerators of one replica."""

    resource_name: Annotated[str, Field(max_length=253, pattern=r"^[a-z0-9.-]+/[a-zA-Z0-9._-]+$")] = "nvidia.com/gpu"
    """Extended resource to request."""
    count: Annotated[int, Field(ge=0, le=16)] = 1
    """Number of devices for one replica; 0 runs on the CPU."""


class Resources(Model):
    """Requests and limits of the engine's container beside the GPUs."""

    requests: Annotated[dict[str, Quantity], Field(max_length=16)] = Field(default_factory=dict)
    """Requested amounts by resource name."""
    limits: Annotated[dict[str, Quantity], Field(max_length=16)] = Field(default_factory=dict)
    """Limits by resource name."""


class PodMetadata(Model):
    """Labels and annotations added to the pods."""

    labels: Annotated[dict[str, Annotated[str, Field(max_length=63)]], Field(max_length=32)] = Field(default_factory=dict)
    """Labels; those of the operator win."""
    annotations: Annotated[dict[str, AnnotationValue], Field(max_length=32)] = Field(default_factory=dict)
    """Annotations."""


class ClaimCache(Model):
    """A volume that outlives the pod."""

    claim_name: DnsName
    """Name of the PersistentVolumeClaim."""


class EmptyDirCache(Model):
    """A volume that dies with the pod."""

    size_limit: Quantity | None = None
    """Upper limit of its size."""


class Cache(Model):
    """Where downloaded weights and compiled graphs are kept; at most one of the members."""

    persistent_volume_claim: ClaimCache | None = None
    """Keep the cache on a claim: a restart neither downloads nor compiles again."""
    empty_dir: EmptyDirCache | None = None
    """Keep the cache as long as the pod lives; the default."""

    cel: ClassVar = (at_most_one("cache", "persistentVolumeClaim", "emptyDir"),)


class Startup(Model):
    """How long a start may take."""

    timeout_seconds: Annotated[int, Field(ge=60, le=86_400)] = 1800
    """From the container's start to the first healthy answer: download, load, compile."""


class PodDisruptionBudget(Model):
    """How many pods voluntary disruptions leave alone."""

    min_available: Annotated[int, Field(ge=0, le=1000)] | None = None
    """Pods that must stay."""
    max_unavailable: Annotated[int, Field(ge=0, le=1000)] | None = None
    """Pods that may go at once; 1 when replicas > 1 and nothing is set."""

    cel: ClassVar = (exactly_one("podDisruptionBudget", "minAvailable", "maxUnavailable"),)


class Rollout(Model):
    """How pods are replaced without cutting a stream."""

    strategy: Literal["Auto", "RollingUpdate", "Recreate"] = "Auto"
    """Auto replaces in place (maxSurge 0, maxUnavailable 1): a surge pod would wait for ever for a GPU."""
    max_surge: Annotated[int, Field(ge=0, le=100)] | None = None
    """With RollingUpdate: pods above the wanted number; 1 if unset."""
    max_unavailable: Annotated[int, Field(ge=0, le=100)] | None = None
    """With RollingUpdate: pods that may be missing; 0 if unset."""
    drain_seconds: Annotated[int, Field(ge=0, le=7200)] = 300
    """Longest time that running streams get to finish when a pod goes."""
    pre_stop_seconds: Annotated[int, Field(ge=0, le=600)] = 15
    """Time that edges get to stop sending before the drain begins."""
    pod_disruption_budget: PodDisruptionBudget | None = None
    """Budget for voluntary disruptions."""

    cel: ClassVar = (
        CEL(
            "self.strategy == 'RollingUpdate' || (!has(self.maxSurge) && !has(self.maxUnavailable))",
            "maxSurge and maxUnavailable need strategy: RollingUpdate",
        ),
        CEL(
            "!(has(self.maxSurge) && has(self.maxUnavailable) && self.maxSurge == 0 && self.maxUnavailable == 0)",
            "maxSurge and maxUnavailable must not both be 0",
        ),
    )


class Tls(Model):
    """TLS at the edge."""

    secret_name: DnsName
    """Secret of type kubernetes.io/tls that the edge serves."""


class Ingress(Model):
    """Expose by an Ingress."""

    class_name: DnsName
    """Name of the IngressClass."""
    annotations: Annotated[dict[str, AnnotationValue], Field(max_length=64)] = Field(default_factory=dict)
    """Further annotations; snippets are refused, and those that the operator owns win."""
    tls: Tls | None = None
    """Serve HTTPS for the host."""

    cel: ClassVar = (
        CEL(
            "!has(self.annotations) || self.annotations.all(k, !k.endsWith('-snippet') && !k.endsWith('-snippets'))",
            "annotations: snippets are refused; ask for a field instead",
            ".annotations",
        ),
        CEL(
            "!has(self.annotations) || !('kubernetes.io/ingress.class' in self.annotations)",
            "annotations: set className instead of kubernetes.io/ingress.class",
            ".annotations",
        ),
    )


class ParentRef(Model):
    """A Gateway, or one listener of it."""

    name: DnsName
    """Name of the Gateway."""
    namespace: DnsLabel | None = None
    """Namespace of the Gateway; the endpoint's own if unset."""
    section_name: DnsName | None = None
    """Listener of the Gateway; every matching one if unset."""


class HttpRoute(Model):
    """Expose by a Gateway API HTTPRoute, portable fields only."""

    parent_refs: Annotated[tuple[ParentRef, ...], Field(min_length=1, max_length=8)]
    """Gateways that carry the route."""


class Timeouts(Model):
    """Time limits at the edge, as far as it can be told."""

    idle_seconds: Annotated[int, Field(ge=1, le=86_400)] = 3600
    """Longest silence between two bytes, also before the first one."""
    request_seconds: Annotated[int, Field(ge=0, le=86_400)] = 0
    """Longest total time of one request, 0 for no limit."""
    connect_seconds: Annotated[int, Field(ge=1, le=75)] = 10
    """Longest time to connect to a pod; nginx allows no more than 75."""


class Exposure(Model):
    """The address that users call; without it the endpoint is reachable inside the cluster only."""

    host: DnsName
    """Host name that users call."""
    path_prefixes: Annotated[
        tuple[Annotated[str, Field(max_length=256, pattern=r"^/[-._~a-zA-Z0-9/]*$")], ...],
        Field(min_length=1, max_length=16),
    ] = ("/v1",)
    """Paths that leave the cluster; /metrics and the like stay inside."""
    ingress: Ingress | None = None
    """By an Ingress."""
    http_route: HttpRoute | None = None
    """By a Gateway API HTTPRoute."""
    timeouts: Timeouts = Field(default_factory=Timeouts)
    """Time limits at the edge."""

    cel: ClassVar = (
        exactly_one("exposure", "ingress", "httpRoute"),
        CEL(
            "self.pathPrefixes.exists(p, '/v1/chat/completions'.startsWith(p))",
            "pathPrefixes: one must cover /v1/chat/completions, which the probe asks; or leave exposure out",
            ".pathPrefixes",
        ),
    )


class ServiceMonitor(Model):
    """Scrape configuration for the prometheus-operator."""

    enabled: bool = True
    """Make one where the cluster has the kind."""
    interval_seconds: Annotated[int, Field(ge=1, le=3600)] = 15
    """Time between two scrapes."""
    labels: Annotated[dict[str, Annotated[str, Field(max_length=63)]], Field(max_length=32)] = Field(default_factory=dict)
    """Labels by which a Prometheus selects it, e.g. `release`."""


class Monitoring(Model):
    """How the engine's metrics, TTFT among them, reach Prometheus."""

    service_monitor: ServiceMonitor = Field(default_factory=ServiceMonitor)
    """The ServiceMonitor."""


class ProbeRequest(Model):
    """What the probe asks the model for."""

    prompt: Annotated[str, Field(min_length=1, max_length=2000)] = "Count from one upwards, one number a line."
    """Question; a unique prefix is added so that no cache answers."""
    max_tokens: Annotated[int, Field(ge=16, le=1024)] = 64
    """Tokens of the first try; doubled while a verdict would be a guess."""


class ConfigMapKeyRef(Model):
    """A key of a ConfigMap in the endpoint's own namespace."""

    name: DnsName
    """Name of the ConfigMap."""
    key: SecretKey = "ca.crt"
    """Key within the ConfigMap."""


class ProbeTls(Model):
    """How the probe checks the edge's certificate; there is no way to skip the check."""

    ca_config_map_ref: ConfigMapKeyRef | None = None
    """CA bundle (PEM) in a ConfigMap of the namespace; the system's roots if unset."""


class Verification(Model):
    """How streaming is proven."""

    mode: Literal["Required", "Advisory", "Disabled"] = "Required"
    """Required: Ready needs a stream through the users' address. Advisory: only told. Disabled: no probe."""
    request: ProbeRequest = Field(default_factory=ProbeRequest)
    """What the probe asks."""
    tls: ProbeTls = Field(default_factory=ProbeTls)
    """How the edge's certificate is checked."""
    first_request_timeout_seconds: Annotated[int, Field(ge=10, le=3600)] = 300
    """Patience for the first token after a start: graphs may still compile."""
    interval_seconds: Annotated[int, Field(ge=30, le=86_400)] = 300
    """Time between two verifications while all is well."""
    failure_threshold: Annotated[int, Field(ge=1, le=100)] = 3
    """Failures in a row that turn a verified endpoint not Ready."""


class EndpointSpec(Model):
    """What the user wants."""

    model: ServedModel
    """The model and its name."""
    engine: Engine = Field(default_factory=Engine)
    """The model server."""
    gpu: Gpu = Field(default_factory=Gpu)
    """Accelerators of one replica."""
    resources: Resources = Field(default_factory=Resources)
    """Requests and limits beside the GPUs."""
    runtime_class_name: DnsName | None = None
    """RuntimeClass of the pods."""
    node_selector: Annotated[dict[str, Annotated[str, Field(max_length=63)]], Field(max_length=32)] = Field(
        default_factory=dict
    )
    """Labels a node must have."""
    tolerations: Annotated[tuple[FreeObject, ...], Field(max_length=32)] = ()
    """Taints the pods tolerate, as in core/v1."""
    affinity: FreeObject | None = None
    """Scheduling preferences, as in core/v1."""
    topology_spread_constraints: Annotated[tuple[FreeObject, ...], Field(max_length=16)] = ()
    """How replicas spread, as in core/v1; a missing labelSelector becomes the endpoint's own."""
    priority_class_name: DnsName | None = None
    """PriorityClass of the pods."""
    service_account_name: DnsName | None = None
    """ServiceAccount of the pods; its token is not mounted unless this is set."""
    image_pull_secrets: Annotated[tuple[DnsName, ...], Field(max_length=16)] = ()
    """Names of Secrets to pull the engine's image with."""
    pod_metadata: PodMetadata = Field(default_factory=PodMetadata)
    """Labels and annotations of the pods."""
    pod_security_context: FreeObject | None = None
    """Replaces the pod's security context (uid 2000, gid 0), for images that need root."""
    security_context: FreeObject | None = None
    """Replaces the container's security context (no escalation, no capabilities)."""
    cache: Cache = Field(default_factory=Cache)
    """Where weights and compiled graphs are kept."""
    replicas: Annotated[int, Field(ge=0, le=1000)] = 1
    """Number of model servers; the `scale` subresource writes it."""
    startup: Startup = Field(default_factory=Startup)
    """How long a start may take."""
    rollout: Rollout = Field(default_factory=Rollout)
    """How pods are replaced."""
    exposure: Exposure | None = None
    """The address that users call."""
    monitoring: Monitoring = Field(default_factory=Monitoring)
    """How metrics are collected."""
    verification: Verification = Field(default_factory=Verification)
    """How streaming is proven."""
    suspend: bool = False
    """Leave every child as it is and send no probe."""

    cel: ClassVar = (
        CEL(
            "self.gpu.count == 0 || self.gpu.count >= (has(self.engine.tensorParallelSize) ? "
            "self.engine.tensorParallelSize : 1) * self.engine.pipelineParallelSize",
            "gpu.count: must be 0 or at least tensorParallelSize x pipelineParallelSize",
            ".gpu.count",
        ),
        CEL(
            "!has(self.exposure) || !has(self.exposure.ingress) || self.exposure.timeouts.requestSeconds == 0",
            "exposure.timeouts.requestSeconds: an Ingress has no total limit; it needs httpRoute",
            ".exposure.timeouts.requestSeconds",
        ),
    )


NAME_PATTERN = re.compile(r"^[a-z]([-a-z0-9]*[a-z0-9])?$")
NAME_MAX_LENGTH = 45

ROOT_CEL = (
    CEL(
        "self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
        "metadata.name: lower case letters, digits and '-', beginning with a letter",
    ),
    CEL(
        f"size(self.metadata.name) <= {NAME_MAX_LENGTH}",
        f"metadata.name: at most {NAME_MAX_LENGTH} characters, so that the children's names fit",
    ),
)


class StreamingEndpoint(Model):
    """One endpoint as the operator sees it: identity, spec, and the status it wrote last time."""

    name: str
    namespace: str
    uid: str
    generation: int
    spec: EndpointSpec
    deleting: bool = False
    previous_status: Annotated[dict[str, Any], FreeForm()] = Field(default_factory=dict)

    @classmethod
    def from_body(cls, body: Mapping[str, Any]) -> Self:
        """
        Parse the API server's object.

        Raises `InvalidEndpoint` naming every wrong field: an object stored under an older CRD, or a file
        given to `streamctl render`, has not passed the API server's own check.
        """
        metadata = body.get("metadata") or {}
        name = str(metadata.get("name") or "")
        if not NAME_PATTERN.match(name) or len(name) > NAME_MAX_LENGTH:
            raise InvalidEndpoint(
                (f"metadata.name: {name!r} must match {NAME_PATTERN.pattern} and have at most {NAME_MAX_LENGTH} characters",)
            )
        try:
            spec = EndpointSpec.model_validate(body.get("spec") or {}, by_name=False, by_alias=True)
        except ValidationError as error:
            raise InvalidEndpoint(_problems(error)) from error
        return cls(
            name=name,
            namespace=str(metadata.get("namespace") or "default"),
            uid=str(metadata.get("uid") or ""),
            generation=int(metadata.get("generation") or 1),
            spec=spec,
            deleting="deletionTimestamp" in metadata,
            previous_status=dict(body.get("status") or {}),
        )

    @property
    def key(self) -> tuple[str, str]:
        """`(namespace, name)`, the key of the work queue."""
        return (self.namespace, self.name)

    @property
    def served_name(self) -> str:
        """The model name that clients send."""
        return self.spec.model.served_name or self.name

    @property
    def tensor_parallel_size(self) -> int:
        """GPUs that share each layer, 1 on the CPU."""
        engine = self.spec.engine
        return engine.tensor_parallel_size or max(1, self.spec.gpu.count // engine.pipeline_parallel_size)


def _problems(error: ValidationError) -> tuple[str, ...]:
    """Turn pydantic's findings into `spec.path[0].field: what is allowed` without echoing values."""
    found = []
    for problem in error.errors(include_url=False, include_input=False):
        path = "spec" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in problem["loc"])
        found.append(f"{path}: {problem['msg'].removeprefix('Value error, ')}")
    return tuple(found)
