"""
What the administrator sets for the whole operator; read from the environment once, at start.

The chart writes these variables. A wrong value is refused with its name and what is allowed.
"""

import ipaddress
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

PREFIX = "STREAMING_OPERATOR_"


class WrongSetting(ValueError):
    """A variable whose value cannot be used."""


@dataclass(frozen=True, slots=True)
class EdgeSetting:
    """One entry of the administrator's list: what stands behind a class and where it listens."""

    class_name: str | None = None
    gateway_class: str | None = None
    profile: Literal["ingress-nginx", "generic"] = "generic"
    service: str | None = None
    """`namespace/name` of the edge's Service."""
    http_port: int = 80
    https_port: int = 443
    annotations_prefix: str = "nginx.ingress.kubernetes.io"


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings, with the defaults of the chart."""

    edges: tuple[EdgeSetting, ...] = ()
    watch_namespaces: tuple[str, ...] = ()
    """Empty: the whole cluster."""
    read_secrets: bool = True
    """Whether the service account may read the Secrets that apiKeySecretRef names."""
    cluster_domain: str = "cluster.local"
    http_port: int = 8080
    """Port of /livez, /readyz and /metrics."""
    workers: int = 32
    """Passes at once."""
    connections: int = 32
    """Connections to the API server."""
    requests_per_second: float = 200.0
    request_burst: int = 400
    concurrent_probes: int = 16
    """Verifications at once."""
    resync_seconds: float = 600.0
    """Full comparison of an endpoint, from caches."""
    roll_call_seconds: float = 180.0
    """List of the endpoints' names, to find those whose deletion went unseen."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["json", "text"] = "json"
    forbidden_addresses: tuple[str, ...] = field(default=())
    """Public networks (CIDR) that no host name may lead a probe to, e.g. the pods' own where they have such."""
    allowed_addresses: tuple[str, ...] = field(default=())
    """Private networks (CIDR) that a host name may lead a probe to, e.g. that of the load balancers."""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> "Settings":
        """Read `STREAMING_OPERATOR_*`; raises `WrongSetting` naming the variable."""
        known = cls.__dataclass_fields__
        values: dict[str, Any] = {}
        for variable, text in environ.items():
            if not variable.startswith(PREFIX):
                continue
            name = variable.removeprefix(PREFIX).lower()
            if name not in known:
                raise WrongSetting(
                    f"{variable}: unknown; known are {', '.join(PREFIX + n.upper() for n in known)}"
                )
            values[name] = _convert(variable, known[name].type, text)
        return cls(**values)


def _convert(variable: str, kind: Any, text: str) -> Any:
    """Read one variable as the type of its field."""
    try:
        if variable == f"{PREFIX}EDGES":
            return tuple(_edge(entry) for entry in json.loads(text or "[]"))
        if variable.endswith("_ADDRESSES"):
            return tuple(str(ipaddress.ip_network(part.strip())) for part in text.split(",") if part.strip())
        if kind is bool:
            return {"true": True, "false": False}[text.lower()]
        if kind is int or kind is float:
            return kind(text)
        if str(kind).startswith("tuple"):
            return tuple(part.strip() for part in text.split(",") if part.strip())
        allowed = getattr(kind, "__args__", ())
        if allowed and text not in allowed:
            raise WrongSetting(f"{variable}: {text!r} is not one of {', '.join(allowed)}")
    except WrongSetting:
        raise
    except (ValueError, KeyError, TypeError) as error:
        raise WrongSetting(
            f"{variable}: cannot read {text!r} as {getattr(kind, '__name__', kind)}: {error}"
        ) from error
    return text


def _edge(entry: Mapping[str, Any]) -> EdgeSetting:
    """Read one edge as the chart writes it (camelCase)."""
    names = {
        "className": "class_name",
        "gatewayClass": "gateway_class",
        "profile": "profile",
        "service": "service",
        "httpPort": "http_port",
        "httpsPort": "https_port",
        "annotationsPrefix": "annotations_prefix",
    }
    unknown = set(entry) - set(names)
    if unknown:
        raise WrongSetting(
            f"{PREFIX}EDGES: unknown key {', '.join(sorted(unknown))}; known are {', '.join(names)}"
        )
    edge = EdgeSetting(**{names[key]: value for key, value in entry.items() if value is not None})
    if (edge.class_name is None) == (edge.gateway_class is None):
        raise WrongSetting(f"{PREFIX}EDGES: each edge has exactly one of className, gatewayClass")
    if edge.profile not in ("ingress-nginx", "generic"):
        raise WrongSetting(f"{PREFIX}EDGES: profile is ingress-nginx or generic, not {edge.profile!r}")
    if edge.service is not None and edge.service.count("/") != 1:
        raise WrongSetting(f"{PREFIX}EDGES: service is written namespace/name, not {edge.service!r}")
    return edge
