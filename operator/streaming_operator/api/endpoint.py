"""
The StreamingEndpoint resource: its whole spec, and one endpoint as the operator uses it.

Defaults, descriptions and constraints of the models become the CRD (`crd.py`), so that no webhook is
needed to install. Pure.

Durations are whole seconds, as in core/v1. Parts of core/v1 (affinity and the like) stay plain data here: the CRD
has Kubernetes' schema of them (`core_v1.py`), and the API server that receives the children checks them again.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self

import orjson
from pydantic import Field, ValidationError
from pydantic_core import InitErrorDetails

from streaming_operator import foreign_text
from streaming_operator.api import pod_parts, wording
from streaming_operator.api.cel import CEL, Model, keys_match
from streaming_operator.api.core_v1 import (
    Affinity,
    Container,
    PodSecurityContext,
    SecurityContext,
    Toleration,
    TopologySpreadConstraint,
    Volume,
)
from streaming_operator.api.exposure import Exposure, Ingress, Timeouts
from streaming_operator.api.http_route import HttpRoute, ParentRef
from streaming_operator.api.model import ServedModel
from streaming_operator.api.monitoring import Monitoring, PrometheusRule, ServiceMonitor
from streaming_operator.api.types import (
    QUALIFIED_KEY,
    QUALIFIED_KEY_RULE,
    DnsName,
    Labels,
    Unique,
)
from streaming_operator.api.verification import CREDENTIAL_RULES, PROBED_PATHS, Verification
from streaming_operator.api.workload import (
    DEFAULT_ENGINE_IMAGE,
    Cache,
    Engine,
    EnvVar,
    Gpu,
    PodMetadata,
    Resources,
    Rollout,
    ServiceMetadata,
    Startup,
    WorkloadMetadata,
)

__all__ = [
    "API_VERSION",
    "DEFAULT_ENGINE_IMAGE",
    "GROUP",
    "KIND",
    "PLURAL",
    "VERSION",
    "Cache",
    "EndpointSpec",
    "Engine",
    "EnvVar",
    "Exposure",
    "Gpu",
    "HttpRoute",
    "Ingress",
    "InvalidEndpoint",
    "Monitoring",
    "ParentRef",
    "PrometheusRule",
    "Resources",
    "Rollout",
    "ServedModel",
    "ServiceMonitor",
    "StreamingEndpoint",
    "Timeouts",
    "Verification",
]

GROUP = "streamingendpoints.dev"
VERSION = "v1alpha1"
KIND = "StreamingEndpoint"
PLURAL = "streamingendpoints"
API_VERSION = f"{GROUP}/{VERSION}"
POD_VERSION = 4
"""
The newest version of what the operator puts into pods besides the spec: files, arguments, variables. 1: drain and
streaming headers. 2: also the check of exposed paths. 3: also the command, /dev/shm for every pod, folders that any
user can write, an empty security context as it is, and ranks by the arguments, too. 4: also how long the server keeps
an idle connection.
"""


UNREADABLE = "unreadable"
"""Key of a body whose spec was not kept when it was read: why."""

DEEPEST = 32
"""Levels of a free-form part; core/v1 has at most 10 in an affinity."""


MOST_PROBLEMS = 50
LONGEST_PROBLEM = 400
"""Characters: paths have keys in them that the author chose."""


class InvalidEndpoint(ValueError):
    """A body that violates the schema; every problem as `path: what is allowed`."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        problems = tuple(problem[:LONGEST_PROBLEM] for problem in problems[:MOST_PROBLEMS])
        super().__init__("; ".join(problems))
        self.problems = problems


class EndpointSpec(Model):
    """What the user wants."""

    model: ServedModel
    """The model and its name."""
    engine: Engine = Field(default_factory=Engine)
    """The model server."""
    gpu: Gpu = Field(default_factory=Gpu)
    """Accelerators of one replica."""
    resources: Resources = Field(default_factory=Resources)
    """Requests and limits besides the GPUs."""
    runtime_class_name: DnsName | None = None
    """RuntimeClass of the pods."""
    node_selector: Labels = Field(default_factory=dict)
    """Labels a node must have."""
    tolerations: Annotated[tuple[Toleration, ...], Field(max_length=32)] = ()
    """Taints the pods tolerate, as in core/v1."""
    affinity: Affinity | None = None
    """Scheduling preferences, as in core/v1."""
    topology_spread_constraints: Annotated[tuple[TopologySpreadConstraint, ...], Field(max_length=16)] = ()
    """How replicas spread, as in core/v1; a missing labelSelector becomes the endpoint's own."""
    priority_class_name: DnsName | None = None
    """PriorityClass of the pods."""
    scheduler_name: DnsName | None = None
    """Scheduler of the pods; the cluster's own if unset."""
    service_account_name: DnsName | None = None
    """ServiceAccount of the pods; its token is not mounted unless this is set."""
    image_pull_secrets: Annotated[tuple[DnsName, ...], Field(max_length=16), Unique()] = ()
    """Names of Secrets to pull the engine's image with."""
    pod_metadata: PodMetadata = Field(default_factory=PodMetadata)
    """Labels and annotations of the pods."""
    workload_metadata: WorkloadMetadata = Field(default_factory=WorkloadMetadata)
    """Labels and annotations of the Deployment."""
    service: ServiceMetadata = Field(default_factory=ServiceMetadata)
    """Labels and annotations of the Service."""
    pod_security_context: PodSecurityContext | None = None
    """Replaces the pod's security context (uid 2000, gid 0), for images that need root; {} leaves it to the cluster."""
    security_context: SecurityContext | None = None
    """Replaces the container's security context (no escalation, no capabilities); {} leaves all to the cluster."""
    volumes: Annotated[tuple[Volume, ...], Field(max_length=24), Unique("name")] = ()
    """Further volumes of the pods, as in core/v1 Volume; the server has them by engine.volumeMounts."""
    init_containers: Annotated[tuple[Container, ...], Field(max_length=8), Unique("name")] = ()
    """Containers that run before the server, as in core/v1 Container; they may mount the volume `cache`."""
    sidecars: Annotated[tuple[Container, ...], Field(max_length=8), Unique("name")] = ()
    """Containers that run beside the server, started before initContainers and ended after it."""
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
    """How streaming is verified."""
    suspend: bool = False
    """Leave every child as it is and send no probe."""

    cel: ClassVar = (
        CEL(
            "self.gpu.count == 0 || "
            "self.gpu.count * (has(self.gpu.ranksPerDevice) ? self.gpu.ranksPerDevice : 1) >= "
            "self.engine.pipelineParallelSize * self.engine.dataParallelSize * "
            "(has(self.engine.tensorParallelSize) ? self.engine.tensorParallelSize : 1) * "
            "(has(self.gpu.devicesPerRank) ? self.gpu.devicesPerRank : 1)",
            lambda spec: (
                spec.gpu.count == 0
                or spec.gpu.count * (spec.gpu.ranks_per_device or 1)
                >= spec.engine.pipeline_parallel_size
                * spec.engine.data_parallel_size
                * (spec.engine.tensor_parallel_size or 1)
                * (spec.gpu.devices_per_rank or 1)
            ),
            "must be 0 (CPU) or enough for engine.tensorParallelSize x pipelineParallelSize x dataParallelSize ranks",
            ".gpu.count",
        ),
        CEL(
            "!has(self.model.adapters) || size(self.model.adapters) == 0 || !has(self.engine.args) || "
            "!self.engine.args.exists(arg, arg.split('=')[0].replace('_', '-') == '--lora-modules')",
            lambda spec: (
                not spec.model.adapters
                or all(arg.split("=")[0].replace("_", "-") != "--lora-modules" for arg in spec.engine.args)
            ),
            "name adapters in model.adapters or by --lora-modules, not by both: the last list would win",
            ".engine.args",
        ),
        CEL(
            "!has(self.resources) || "
            "!(has(self.resources.requests) && self.gpu.resourceName in self.resources.requests || "
            "has(self.resources.limits) && self.gpu.resourceName in self.resources.limits)",
            lambda spec: spec.gpu.resource_name not in {**spec.resources.requests, **spec.resources.limits},
            "the devices are counted by gpu.count, not here",
            ".resources",
            "FieldValueForbidden",
        ),
        *pod_parts.RULES,
        *CREDENTIAL_RULES,
        keys_match("nodeSelector", QUALIFIED_KEY, QUALIFIED_KEY_RULE),
        CEL(
            "!self.verification.checks.auth || has(self.engine.apiKeySecretRef)",
            lambda spec: not spec.verification.checks.auth or spec.engine.api_key_secret_ref is not None,
            "needs engine.apiKeySecretRef: without a key there is nothing to enforce",
            ".verification.checks.auth",
        ),
        CEL(
            "!has(self.exposure) || self.verification.mode == 'Disabled' || "
            "self.exposure.pathPrefixes.exists(p, p == '/' || (self.verification.request.api == 'Chat' ? "
            f"'{PROBED_PATHS['Chat']}/' : self.verification.request.api == 'Completions' ? "
            f"'{PROBED_PATHS['Completions']}/' : '{PROBED_PATHS['Responses']}/').startsWith(p + '/'))",
            lambda spec: (
                spec.exposure is None
                or spec.verification.mode == "Disabled"
                or any(
                    p == "/" or f"{PROBED_PATHS[spec.verification.request.api]}/".startswith(f"{p}/")
                    for p in spec.exposure.path_prefixes
                )
            ),
            "one must cover the path of verification.request.api (Chat: /v1/chat/completions), which the probe asks "
            "for; or set verification.mode to Disabled, or leave exposure out",
            ".exposure.pathPrefixes",
        ),
    )


VERIFY_ANNOTATION = f"{GROUP}/verify-requested-at"
"""Of the endpoint's own metadata: each new value asks for one verification now. Any text; a time by habit."""

LONGEST_REQUEST = 64
"""Characters of that value that count."""

NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
NAME_MAX_LENGTH = 45
NAME_RULE = "lower case letters, digits and '-', beginning with a letter"
NAME_LENGTH_RULE = f"at most {NAME_MAX_LENGTH} characters, so that the children's names fit"

NAME_CEL = (
    CEL(
        f"self.metadata.name.matches('^{NAME.pattern}$')",
        lambda body: NAME.fullmatch(body["metadata"]["name"]) is not None,
        NAME_RULE,
        ".metadata.name",
    ),
    CEL(
        f"size(self.metadata.name) <= {NAME_MAX_LENGTH}",
        lambda body: len(body["metadata"]["name"]) <= NAME_MAX_LENGTH,
        NAME_LENGTH_RULE,
        ".metadata.name",
    ),
)
OWN_NAME_CEL = (
    CEL(
        "!has(self.spec.exposure) || !has(self.spec.exposure.canary) || "
        "self.spec.exposure.canary.of != self.metadata.name",
        lambda body: (
            body["spec"].exposure is None
            or body["spec"].exposure.canary is None
            or body["spec"].exposure.canary.of != body["metadata"]["name"]
        ),
        "names another endpoint, not the canary itself",
        ".spec.exposure.canary.of",
    ),
    CEL(
        "!has(self.spec.model.adapters) || has(self.spec.model.servedName) || has(self.spec.model.servedNames) || "
        "!self.spec.model.adapters.exists(a, a.name == self.metadata.name)",
        lambda body: (
            body["spec"].model.served_name is not None
            or body["spec"].model.served_names is not None
            or all(adapter.name != body["metadata"]["name"] for adapter in body["spec"].model.adapters)
        ),
        "the model has the endpoint's name unless servedName is set: give the adapter another one",
        ".spec.model.adapters",
    ),
)
ROOT_CEL = (*NAME_CEL, *OWN_NAME_CEL)
"""Rules on the whole object; in Python they are checked on its name, and on the parsed spec beside it."""


class StreamingEndpoint(Model):
    """One endpoint: identity, spec, and the status that the operator wrote last."""

    name: str
    namespace: str
    uid: str
    generation: int
    created: str = ""
    """creationTimestamp as the API server writes it; empty for an endpoint from a file."""
    spec: EndpointSpec
    pod_version: int = POD_VERSION
    """By which version its pods are rendered: that of those that run, until the spec changes them anyway."""
    alone_among: int | None = None
    """How many pods there are while one new pod alone fills the cache that all share; None: as `replicas` says."""
    deleting: bool = False
    previous_status: dict[str, Any] = Field(default_factory=dict)
    verification_request: str = ""
    """The verification that somebody asked for last, by the value of `VERIFY_ANNOTATION`; "" for none."""

    @classmethod
    def from_body(cls, body: Mapping[str, Any]) -> Self:
        """
        Parse the API server's object, or a file's.

        Raises `InvalidEndpoint` naming every wrong field: an object stored under an older CRD, or a file
        given to `streamctl render`, has not been validated by the API server.
        """
        metadata = body.get("metadata") or {}
        if reason := body.get(UNREADABLE):
            raise InvalidEndpoint((str(reason),))
        named = {"metadata": {"name": str(metadata.get("name") or "")}}
        problems = tuple(f"metadata.name: {rule.message}" for rule in NAME_CEL if not rule.holds(named))
        try:
            spec = _parse(body.get("spec"))
        except ValidationError as error:
            raise InvalidEndpoint(problems + wording.problems(error)) from None
        own = named | {"spec": spec}
        problems += tuple(
            f"{rule.field_path[1:]}: {rule.message}" for rule in OWN_NAME_CEL if not rule.holds(own)
        )
        if problems:
            raise InvalidEndpoint(problems)
        return cls(
            name=named["metadata"]["name"],
            namespace=str(metadata.get("namespace") or "default"),
            uid=str(metadata.get("uid") or ""),
            generation=int(metadata.get("generation") or 1),
            created=str(metadata.get("creationTimestamp") or ""),
            spec=spec,
            deleting="deletionTimestamp" in metadata,
            previous_status=dict(body.get("status") or {}),
            verification_request=verification_request(metadata),
        )

    @property
    def key(self) -> tuple[str, str]:
        """`(namespace, name)`, the key of the work queue."""
        return (self.namespace, self.name)

    @property
    def served_name(self) -> str:
        """The model name that clients send."""
        return self.served_names[0]

    @property
    def served_names(self) -> tuple[str, ...]:
        """All names of the model, the first one in responses and metrics."""
        model = self.spec.model
        return model.served_names or (model.served_name or self.name,)


def verification_request(metadata: Mapping[str, Any]) -> str:
    """The value of `VERIFY_ANNOTATION`, as it is written into the status; "" for none."""
    value = (metadata.get("annotations") or {}).get(VERIFY_ANNOTATION)
    return foreign_text.readable(value, LONGEST_REQUEST) if isinstance(value, str) else ""


def _parse(spec: Any) -> EndpointSpec:
    """Parse as strictly as the API server: `"3"` is not a number. From JSON, since only there lists become tuples."""
    if spec is None:
        raise ValidationError.from_exception_data(
            "spec", [InitErrorDetails(type="missing", loc=(), input=None)]
        )
    if outside := _outside(spec):
        raise InvalidEndpoint(outside)
    text = orjson.dumps(_without_nulls(spec), default=str, option=orjson.OPT_NON_STR_KEYS)
    return EndpointSpec.model_validate_json(text, strict=True, by_alias=True, by_name=False)


def _outside(spec: Any) -> tuple[str, ...]:
    """
    What no part of a spec may be, before anything recurses into it: too deep, a number of more than 64 bits, or a text
    with half of a surrogate pair, which a file can have and the API server cannot.
    """
    problems: set[str] = set()
    pending: list[tuple[Any, int, str]] = [(spec, 0, "spec")]
    while pending:
        part, depth, path = pending.pop()
        if isinstance(part, (Mapping, list)) and depth > DEEPEST:
            problems.add(f"{path}: nested deeper than {DEEPEST} levels")
        elif isinstance(part, Mapping):
            pending += ((key, depth + 1, path) for key in part)
            pending += (
                (inner, depth + 1, f"{path}.{_readable(str(key)[:64])}" if depth < 2 else path)
                for key, inner in part.items()
            )
        elif isinstance(part, list):
            pending += ((inner, depth + 1, path) for inner in part)
        elif isinstance(part, int) and not -(2**63) <= part < 2**63:
            problems.add(f"{path}: numbers have at most 64 bits")
        elif isinstance(part, str) and _readable(part) != part:
            problems.add(f"{path}: texts are valid Unicode")
    return tuple(sorted(problems))


def _readable(text: str) -> str:
    """The text, with a question mark for what cannot be written as UTF-8."""
    return text if text.isascii() else text.encode(errors="replace").decode()


def _without_nulls(value: Any) -> Any:
    """Null means absent, as to the API server, which drops it before it applies defaults."""
    if isinstance(value, Mapping):
        return {key: _without_nulls(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_without_nulls(inner) for inner in value]
    return value
