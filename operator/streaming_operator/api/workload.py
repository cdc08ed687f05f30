"""The part of `spec` that becomes pods: the model, the engine, devices, caches, and how pods come and go."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from streaming_operator.api.cel import CEL, Model, at_most_one, exactly_one, keys_match, keys_without
from streaming_operator.api.types import (
    QUALIFIED_KEY,
    QUALIFIED_KEY_RULE,
    AbsolutePath,
    ConfigKey,
    DnsName,
    FreeObject,
    Labels,
    Quantity,
    Unique,
)

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
RESERVED_LABELS = r"^(streamingendpoints\.dev/|app\.kubernetes\.io/(name|instance|managed-by)$)"
RESERVED_LABELS_RULE = (
    "streamingendpoints.dev/* and app.kubernetes.io/{name,instance,managed-by} are the operator's"
)


def _no_parent(field: str, optional: bool) -> CEL:
    """A path without `..` parts."""
    unset = f"!has(self.{field}) || " if optional else ""
    return CEL(
        f"{unset}!self.{field}.split('/').exists(part, part == '..')",
        lambda model: ".." not in (getattr(model, field) or "").split("/"),
        "must not contain '..' as a part",
        f".{field}",
    )


def _reserved(arg: str) -> bool:
    """Whether *arg* is a flag of the operator, also abbreviated: argparse takes `--por` for `--port`."""
    name = arg.split("=")[0].replace("_", "-")
    if not name.startswith("--") or name == "--":
        return False
    return name.startswith(RESERVED_FLAG_PREFIX) or any(
        flag.startswith(name) for flag in (*RESERVED_FLAGS, RESERVED_FLAG_PREFIX)
    )


class SecretKeyRef(Model):
    """A key of a Secret in the endpoint's own namespace."""

    name: DnsName
    """Name of the Secret."""
    key: ConfigKey = "token"
    """Key within the Secret."""


class ApiKeySecretRef(SecretKeyRef):
    """The API key that clients must send."""

    key: ConfigKey = "api-key"
    """Key within the Secret."""


class HuggingFaceSource(Model):
    """Weights from the Hugging Face hub, loaded by the engine at start."""

    repo: Annotated[
        str, Field(max_length=200, pattern=r"^[a-zA-Z0-9][-._a-zA-Z0-9]*/[a-zA-Z0-9][-._a-zA-Z0-9]*$")
    ]
    """Repository, `organisation/name`."""
    revision: Annotated[str, Field(max_length=128, pattern=r"^[a-zA-Z0-9][-._a-zA-Z0-9]*$")] | None = None
    """Branch, tag or commit; pin it so that a restart loads the same weights."""
    token_secret_ref: SecretKeyRef | None = None
    """Access token for gated models."""


class PersistentVolumeClaimSource(Model):
    """Weights on a volume of the cluster."""

    claim_name: DnsName
    """Name of the PersistentVolumeClaim."""
    path: Annotated[str, Field(max_length=1024, pattern=r"^[._a-zA-Z0-9][-._a-zA-Z0-9/]*$")] | None = None
    """Folder within the volume, relative; the volume's root if unset."""
    read_only: bool = True
    """Mount the volume read-only."""

    cel: ClassVar = (_no_parent("path", optional=True),)


class LocalSource(Model):
    """Weights that are part of the engine's image."""

    path: AbsolutePath
    """Absolute folder inside the image."""

    cel: ClassVar = (_no_parent("path", optional=False),)


class ModelSource(Model):
    """Where the weights come from: exactly one of the members."""

    hugging_face: HuggingFaceSource | None = None
    """From the Hugging Face hub."""
    persistent_volume_claim: PersistentVolumeClaimSource | None = None
    """From a volume of the cluster."""
    local: LocalSource | None = None
    """From the engine's image."""

    cel: ClassVar = (exactly_one("huggingFace", "persistentVolumeClaim", "local"),)


class ServedModel(Model):
    """The model and the name that clients ask for."""

    source: ModelSource
    """Where the weights come from."""
    served_name: Annotated[str, Field(max_length=253, pattern=r"^[a-zA-Z0-9][-._:/a-zA-Z0-9]*$")] | None = (
        None
    )
    """Model name in requests and metrics; the endpoint's name if unset."""


class EnvVar(Model):
    """One environment variable, as in core/v1."""

    name: Annotated[str, Field(max_length=253, pattern=r"^[-._a-zA-Z][-._a-zA-Z0-9]*$")]
    """Name of the variable."""
    value: Annotated[str, Field(max_length=32768)] | None = None
    """Literal value; secrets belong into `valueFrom`."""
    value_from: FreeObject | None = None
    """Source of the value, as in core/v1 EnvVarSource."""

    cel: ClassVar = (at_most_one("value", "valueFrom"),)


class Engine(Model):
    """The model server: vLLM, configured to stream and to drain."""

    image: Annotated[str, Field(max_length=512, pattern=r"^[a-zA-Z0-9][-._:/@a-zA-Z0-9]*$")] = (
        DEFAULT_ENGINE_IMAGE
    )
    """Container image whose entrypoint is `vllm serve`."""
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    """When the kubelet pulls the image."""
    version: Annotated[str, Field(max_length=32, pattern=r"^[0-9]+\.[0-9]+\.[0-9]+$")] | None = None
    """vLLM's version, needed when the image's tag does not contain it; unknown versions get no optional flag."""
    args: Annotated[tuple[Annotated[str, Field(max_length=4096)], ...], Field(max_length=128)] = ()
    """Further flags of `vllm serve`; those that the operator owns are refused."""
    env: Annotated[tuple[EnvVar, ...], Field(max_length=128), Unique("name")] = ()
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
    """
    Send `X-Accel-Buffering: no` and `Cache-Control: no-cache`; end what outlives the drain (vLLM may hang it); refuse
    paths from outside that are not users'.
    """
    api_key_secret_ref: ApiKeySecretRef | None = None
    """API key that clients must send; read when the server starts."""

    cel: ClassVar = (
        CEL(
            "!has(self.args) || !self.args.map(arg, arg.split('=')[0].replace('_', '-')).exists(name, "
            f"name.startsWith('--') && name != '--' && (name.startsWith('{RESERVED_FLAG_PREFIX}') || "
            f"[{', '.join(map(repr, (*RESERVED_FLAGS, RESERVED_FLAG_PREFIX)))}]"
            ".exists(flag, flag.startsWith(name))))",
            lambda engine: not any(map(_reserved, engine.args)),
            f"{' '.join(RESERVED_FLAGS)} {RESERVED_FLAG_PREFIX}* are the operator's; use fields of spec",
            ".args",
            "FieldValueForbidden",
        ),
        CEL(
            f"!has(self.env) || !self.env.exists(e, e.name in [{', '.join(map(repr, RESERVED_ENV))}])",
            lambda engine: not any(variable.name in RESERVED_ENV for variable in engine.env),
            f"{', '.join(RESERVED_ENV)} are reserved; an API key belongs into apiKeySecretRef",
            ".env",
            "FieldValueForbidden",
        ),
    )


class Gpu(Model):
    """Accelerators of one replica."""

    resource_name: Annotated[
        str, Field(max_length=253, pattern=r"^[a-z0-9][-.a-z0-9]*/[a-zA-Z0-9][-._a-zA-Z0-9]*$")
    ] = "nvidia.com/gpu"
    """Extended resource to request."""
    count: Annotated[int, Field(ge=0, le=16)] = 1
    """Number of devices for one replica; 0 runs on the CPU."""


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


class PodMetadata(Model):
    """Labels and annotations added to the pods."""

    labels: Labels = Field(default_factory=dict)
    """Labels of the pods besides those of the operator."""
    annotations: Annotated[dict[str, Annotated[str, Field(max_length=4096)]], Field(max_length=32)] = Field(
        default_factory=dict
    )
    """Annotations of the pods."""

    cel: ClassVar = (
        keys_match("labels", QUALIFIED_KEY, QUALIFIED_KEY_RULE),
        keys_without("labels", RESERVED_LABELS, RESERVED_LABELS_RULE),
        keys_match("annotations", QUALIFIED_KEY, QUALIFIED_KEY_RULE),
    )


class ClaimCache(Model):
    """A volume that outlives the pod."""

    claim_name: DnsName
    """Name of the PersistentVolumeClaim."""


class EmptyDirCache(Model):
    """A volume that is deleted with the pod."""

    size_limit: Quantity | None = None
    """Upper limit of its size."""


class Cache(Model):
    """Where downloaded weights and compiled graphs are kept; at most one of the members."""

    persistent_volume_claim: ClaimCache | None = None
    """Keep the cache on a claim: a restart neither downloads nor compiles again."""
    empty_dir: EmptyDirCache | None = None
    """Keep the cache as long as the pod lives; the default."""

    cel: ClassVar = (at_most_one("persistentVolumeClaim", "emptyDir"),)


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
