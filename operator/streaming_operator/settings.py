"""
What the administrator sets for the whole operator; read from the environment once, at start.

The chart writes these variables. A wrong value is refused with its name and what is allowed.
"""

import ipaddress
import os
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel
from pydantic.dataclasses import dataclass
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

PREFIX = "STREAMING_OPERATOR_"


class WrongSetting(ValueError):
    """A variable whose value cannot be used."""


def _listed(value: Any) -> Any:
    """The parts of a comma-separated text."""
    return (
        tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value
    )


def _network(text: str) -> str:
    """A network as Python writes it; raises `ValueError` for anything else."""
    return str(ipaddress.ip_network(text))


def _service(text: str) -> str:
    """The name of a Service with its namespace."""
    if not all(text.partition("/")) or text.count("/") != 1:
        raise ValueError("is written namespace/name")
    return text


def _without_nulls(value: Any) -> Any:
    """Helm writes a value that is not set as null."""
    return (
        {key: inner for key, inner in value.items() if inner is not None}
        if isinstance(value, dict)
        else value
    )


Port = Annotated[int, Field(ge=1, le=65535)]
Count = Annotated[int, Field(ge=1, le=1024)]
Seconds = Annotated[float, Field(ge=1, le=86_400, allow_inf_nan=False)]
AnnotationKey = Annotated[
    str,
    Field(
        pattern=r"^([a-z0-9][-.a-z0-9]*/(\*|[A-Za-z0-9][-._A-Za-z0-9]*\*?)|[A-Za-z0-9][-._A-Za-z0-9]*\*?)$"
    ),
]
Namespace = Annotated[str, Field(pattern=r"^(\*|[a-z0-9]([-a-z0-9]*[a-z0-9])?)$")]
HostPattern = Annotated[
    str, Field(pattern=r"^(\*|(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*)$")
]
Profile = Annotated[str, Field(pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$")]
"""Which there are is known to `routes`; `cluster.edges.check` refuses others."""
ObjectName = Annotated[str, Field(pattern=r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$", max_length=253)]
Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed)]
Networks = Annotated[tuple[Annotated[str, AfterValidator(_network)], ...], NoDecode, BeforeValidator(_listed)]


@dataclass(
    frozen=True,
    slots=True,
    config=ConfigDict(alias_generator=to_camel, validate_by_name=True, extra="forbid"),
)
class EdgeSetting:
    """One entry of the administrator's list: what stands behind a class and where it listens."""

    class_name: str | None = None
    gateway_class: str | None = None
    profile: Profile | None = None
    """The kind of edge; by default what is recognised by the controller of the class."""
    service: Annotated[str, AfterValidator(_service)] | None = None
    """`namespace/name` of the edge's Service."""
    http_port: Port = 80
    https_port: Port = 443
    annotations_prefix: str = "nginx.ingress.kubernetes.io"
    allowed_annotations: tuple[AnnotationKey, ...] = ()
    """Annotations of an Ingress that are allowed besides those of the profile; `*` at the end: any rest."""
    controller: str = ""
    """Of the class, where the operator may not read it: `spec.controller`, of a GatewayClass `spec.controllerName`."""
    supported_features: tuple[str, ...] = ()
    """Likewise `status.supportedFeatures` of a GatewayClass."""

    @model_validator(mode="after")
    def _has_one_class(self) -> Self:
        if (self.class_name is None) == (self.gateway_class is None):
            raise ValueError("each edge has exactly one of className, gatewayClass")
        if self.class_name is not None and self.supported_features:
            raise ValueError("supportedFeatures belongs to a gatewayClass: an IngressClass has none")
        return self


@dataclass(
    frozen=True,
    slots=True,
    config=ConfigDict(alias_generator=to_camel, validate_by_name=True, extra="forbid"),
)
class HostRule:
    """Hosts that belong to some namespaces."""

    namespaces: Annotated[tuple[Namespace, ...], Field(min_length=1)]
    """Names; `*` is all of them."""
    hosts: Annotated[tuple[HostPattern, ...], Field(min_length=1)]
    """Host names; `*.example.com` is every name below example.com, `*` every name."""


@dataclass(
    frozen=True,
    slots=True,
    config=ConfigDict(alias_generator=to_camel, validate_by_name=True, extra="forbid"),
)
class PodPolicy:
    """What tenants may ask of a pod; in lists of names `*` at the end of an entry stands for any rest."""

    security_context: Literal["baseline", "restricted", "any"] = "baseline"
    """The level of the Pod Security Standards that both security contexts must meet."""
    capabilities: tuple[str, ...] = ()
    """Capabilities that a container may add besides those of the level."""
    service_account_names: tuple[str, ...] = ()
    priority_class_names: tuple[str, ...] = ()
    runtime_class_names: tuple[str, ...] = ("*",)
    env_secret_names: tuple[str, ...] = ()
    """Secrets for variables of all containers, and for volumes."""
    credential_secret_names: tuple[str, ...] = ("*",)
    """Secrets for `engine.apiKeySecretRef`, `huggingFace.tokenSecretRef`, and those that a probe sends."""
    control_plane_nodes: bool = False
    """Whether tolerations, node selectors and affinities may lead to nodes of the control plane."""
    host_access: bool = False
    """Whether a pod may use its node's namespaces, paths and ports."""
    labels: tuple[str, ...] = (
        "kueue.x-k8s.io/*",
        "kai.scheduler/*",
        "scheduling.volcano.sh/*",
        "karpenter.sh/*",
        "sidecar.istio.io/inject",
        "istio.io/rev",
    )
    annotations: tuple[str, ...] = (
        "cluster-autoscaler.kubernetes.io/*",
        "karpenter.sh/*",
        "kubectl.kubernetes.io/*",
        "kueue.x-k8s.io/*",
        "linkerd.io/inject",
        "prometheus.io/*",
        "scheduling.volcano.sh/*",
        "sidecar.istio.io/inject",
    )
    service_annotations: tuple[str, ...] = (
        "alb.ingress.kubernetes.io/healthcheck-*",
        "alb.ingress.kubernetes.io/target-group-attributes",
        "cloud.google.com/app-protocols",
        "cloud.google.com/backend-config",
        "cloud.google.com/neg",
        "konghq.com/connect-timeout",
        "konghq.com/protocol",
        "konghq.com/read-timeout",
        "konghq.com/write-timeout",
        "projectcontour.io/max-*",
        "projectcontour.io/upstream-protocol.*",
        "prometheus.io/*",
        "service.kubernetes.io/topology-mode",
        "traefik.ingress.kubernetes.io/service.nativelb",
        "traefik.ingress.kubernetes.io/service.passhostheader",
        "traefik.ingress.kubernetes.io/service.serversscheme",
        "traefik.ingress.kubernetes.io/service.sticky.*",
    )
    """Annotations of Services: time limits, protocols and health checks of edges that read them there."""


def covers(pattern: str, host: str) -> bool:
    """Whether a host is the one of a pattern, or lies below `*.domain`; `*` is any."""
    return pattern in (host, "*") or (pattern.startswith("*.") and host.endswith(pattern[1:]))


class Settings(BaseSettings):
    """All settings, with the defaults of the chart."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    edges: tuple[Annotated[EdgeSetting, BeforeValidator(_without_nulls)], ...] = ()
    edge_policies: Annotated[tuple[Profile, ...], NoDecode, BeforeValidator(_listed)] = ()
    """Profiles whose own policy objects the operator writes beside the route, and has the right to."""
    host_policy: tuple[HostRule, ...] = ()
    """Which namespaces may use which hosts. Empty: each may use every host that is free."""
    pod_policy: PodPolicy = Field(default_factory=PodPolicy)
    """What tenants may ask of a pod."""
    quote_servers: bool = True
    """Whether conditions and events may quote what model servers and edges said."""
    key_hosts: Annotated[tuple[HostPattern, ...], NoDecode, BeforeValidator(_listed)] = ()
    """Hosts that a probe may send what Secrets hold to although only DNS says where they are."""
    watch_namespaces: Names = ()
    """Empty: the whole cluster."""
    gateway_namespaces: Names = ()
    """Where Gateways are read besides `watch_namespaces`, if only there."""
    cluster_roles: bool = True
    """Whether the service account has rights outside namespaces: to read classes and every Gateway."""
    read_secrets: bool = True
    """Whether the service account may read the Secrets that a probe sends something of."""
    cluster_domain: Annotated[str, Field(min_length=1)] = "cluster.local"
    lease_name: ObjectName = "streaming-operator"
    """The Lease, in the operator's own namespace, by which several processes agree on the one that works."""
    lease_seconds: Annotated[int, Field(ge=5, le=300)] = 15
    """
    After so long without a renewal another process may take the Lease. At least 15 outside tests, as in the chart: in
    the last third of it the kernel drops what it could not send, within 5 s (`fence.UNACKNOWLEDGED_SECONDS`).
    """
    http_port: Port = 8080
    """Port of /livez, /readyz and /metrics."""
    workers: Count = 32
    """Passes at once."""
    connections: Count = 32
    """Connections to the API server: the most writes at once; how many there are follows its responses."""
    concurrent_probes: Count = 16
    """Verifications at once."""
    resync_seconds: Seconds = 600.0
    """Full comparison of an endpoint, from caches."""
    roll_call_seconds: Seconds = 180.0
    """List of the endpoints' names, to find those whose deletion was not seen."""
    metrics_authentication: bool = True
    """/metrics asks for a token whose bearer may `get` that path, by TokenReview and SubjectAccessReview."""
    detailed_metrics: bool = False
    """Durations of probes by bucket (histograms): 75 more series for each endpoint and hop."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["json", "text"] = "json"
    forbidden_addresses: Networks = ()
    """Public networks (CIDR) that no host name may lead a probe to, e.g. the pods' own where they have such."""
    allowed_addresses: Networks = ()
    """Private networks (CIDR) that a host name may lead a probe to, e.g. that of the load balancers."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what is given: the environment is read where `from_environment` says so, and nowhere else."""
        return (init_settings,)

    @classmethod
    def from_environment(cls) -> Self:
        """Read `STREAMING_OPERATOR_*`; raises `WrongSetting` naming the variable."""
        known = [PREFIX + name.upper() for name in cls.model_fields]
        for variable in os.environ:
            if variable.startswith(PREFIX) and variable not in known:
                raise WrongSetting(f"{variable}: unknown; known are {', '.join(known)}")
        try:
            return cls(**EnvSettingsSource(cls)())
        except SettingsError as error:
            # pydantic-settings names the field in its text alone.
            names = [name for name in cls.model_fields if f'"{name}"' in str(error)]
            variables = ", ".join(f"{PREFIX}{name.upper()}" for name in names)
            raise WrongSetting(f"{variables}: cannot be read as JSON: {error.__cause__}") from error
        except ValidationError as error:
            raise WrongSetting("; ".join(map(_problem, error.errors()))) from error


def _problem(error: Any) -> str:
    """One finding of pydantic, by the name of the variable."""
    name, *path = error["loc"]
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    words = "unknown key" if error["type"] == "unexpected_keyword_argument" else error["msg"]
    return (
        f"{PREFIX}{str(name).upper()}{where}: {words.removeprefix('Value error, ')}, not {error['input']!r}"
    )
