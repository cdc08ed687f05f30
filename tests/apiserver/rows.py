"""
For every constraint of the CRD one document that it lets pass and one that it refuses.

Bounds, types, enums and the like make their own rows; patterns and rules across fields need examples, which
stand here. `row` raises for a constraint that has none; a test holds the tables free of the unused.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.apiserver.constraints import Constraint
from tests.apiserver.documents import (
    ABSENT,
    BASES,
    STATUS,
    Document,
    Step,
    document,
    dotted,
    edited,
    place,
    shown,
)

Edits = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Row:
    """One constraint with its two documents, and what the refusal must say."""

    accepted: Document
    rejected: Document
    path: str
    """The field that the refusal must name."""
    said: tuple[str, ...]
    """What is allowed, as the API server says it."""


@dataclass(frozen=True, slots=True)
class Example:
    """Strings for a pattern: `good` may be made longer by repeating `filler` at its end."""

    good: str
    bad: str
    filler: str = "a"

    def long(self, length: int) -> str:
        """A string of this length that still matches."""
        return self.good + self.filler * (length - len(self.good))


PATTERNS = {
    r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$": Example("a-1.example", "-a"),
    r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$": Example("a-1", "a.b"),
    r"^[-._a-zA-Z0-9]+$": Example("a.b", "a/b"),
    r"^/[-._a-zA-Z0-9/]+$": Example("/models/qwen", "models"),
    r"^([a-zA-Z0-9]([-._a-zA-Z0-9]*[a-zA-Z0-9])?)?$": Example("a_b", "a b"),
    r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$": Example("0", "4 GB", filler="0"),
    r"^[a-zA-Z0-9][-._a-zA-Z0-9]*/[a-zA-Z0-9][-._a-zA-Z0-9]*$": Example("Qwen/Qwen2", "Qwen"),
    r"^[a-zA-Z0-9][-._a-zA-Z0-9]*$": Example("v1.0", "--revision"),
    r"^[._a-zA-Z0-9][-._a-zA-Z0-9/]*$": Example("qwen/0.5b", "/qwen"),
    r"^[a-zA-Z0-9][-._:/a-zA-Z0-9]*$": Example("org/model:1", "--model"),
    r"^[-._a-zA-Z][-._a-zA-Z0-9]*$": Example("A_B", "1A"),
    r"^[a-zA-Z0-9][-._:/@a-zA-Z0-9]*$": Example("r.example/a@sha256:0", "a b"),
    r"^9[5-9](\.[0-9]+)?$": Example("99.5", "100", filler="0"),
    r"^[0-9]+\.[0-9]+\.[0-9]+$": Example("0.33.0", "v0.33.0", filler="0"),
    r"^[a-z0-9][-.a-z0-9]*/[a-zA-Z0-9][-._a-zA-Z0-9]*$": Example("amd.com/gpu", "gpu"),
    r"^(s3|gs|az)://[a-zA-Z0-9][-._~/a-zA-Z0-9]*$": Example("s3://bucket/llama", "https://bucket"),
    r"^[^\x00-\x1f\x7f]*$": Example("64m", "64m;\nreturn 200;"),
    r"^[^$%\x00-\x1f\x7f]*$": Example("models", "%ENVIRONMENT(TOKEN)%"),
    r"^https?://[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*(:[1-9][0-9]{0,4})?"
    r"(/[-_~a-zA-Z0-9][-._~a-zA-Z0-9]*)*$": Example("https://a.example:8443/llm", "ftp://a.example"),
    r"^/$|^(/[-_~a-zA-Z0-9][-._~a-zA-Z0-9]*)+$": Example("/v2", "/v1/../metrics"),
    r"^(/[-_~a-zA-Z0-9][-._~a-zA-Z0-9]*)+$": Example("/llama", "/"),
    r"^[Xx]-[-a-zA-Z0-9]+$": Example("X-Version", "Host"),
    r"^[-!#$%&'*+.^_`|~0-9A-Za-z]+$": Example("X-Tenant", "X Tenant"),
}


def _header(number: int) -> dict[str, str]:
    return {"name": f"X-{number}", "value": "a"}


ITEMS: dict[str, Callable[[int], Any]] = {
    "spec.engine.env.[]": lambda number: {"name": f"A{number}"},
    "spec.exposure.pathPrefixes.[]": lambda number: f"/v1/{number}" if number else "/v1",
    "spec.exposure.httpRoute.parentRefs.[]": lambda number: {"name": f"gateway-{number}"},
    "spec.exposure.hosts.[]": lambda number: f"host-{number}.example.com",
    "spec.exposure.httpRoute.filters.[]": lambda number: {
        "requestHeaderModifier": {"remove": [f"X-{number}"]}
    },
    "spec.exposure.httpRoute.filters.[].requestHeaderModifier.set.[]": _header,
    "spec.exposure.httpRoute.filters.[].requestHeaderModifier.add.[]": _header,
    "spec.exposure.httpRoute.filters.[].requestHeaderModifier.remove.[]": lambda number: f"X-{number}",
    "spec.exposure.httpRoute.filters.[].responseHeaderModifier.set.[]": _header,
    "spec.exposure.httpRoute.filters.[].responseHeaderModifier.add.[]": _header,
    "spec.exposure.httpRoute.filters.[].responseHeaderModifier.remove.[]": lambda number: f"X-{number}",
    "spec.imagePullSecrets.[]": lambda number: f"secret-{number}",
    "spec.engine.args.[]": lambda number: f"--flag-{number}",
    "spec.model.adapters.[]": lambda number: {
        "name": f"adapter-{number}",
        "source": {"huggingFace": {"repo": "org/lora"}},
    },
    "spec.volumes.[]": lambda number: {"name": f"volume-{number}" if number else "templates", "emptyDir": {}},
    "spec.engine.volumeMounts.[]": lambda number: {"name": "cache", "mountPath": f"/mount-{number}"},
    "spec.initContainers.[]": lambda number: {"name": f"init-{number}", "image": "a"},
    "spec.sidecars.[]": lambda number: {"name": f"sidecar-{number}", "image": "a"},
    "spec.model.servedNames.[]": lambda number: f"name-{number}",
    "spec.gpu.resourceClaims.[]": lambda number: {"name": f"c{number}", "resourceClaimName": "gpus"},
    "spec.engine.command.[]": lambda number: f"word-{number}",
    "spec.engine.envFrom.[]": lambda number: {"configMapRef": {"name": f"map-{number}"}},
    "spec.tolerations.[]": lambda number: {"key": f"taint-{number}", "operator": "Exists"},
    "spec.topologySpreadConstraints.[]": lambda number: {
        "maxSkew": 1,
        "topologyKey": f"key-{number}",
        "whenUnsatisfiable": "ScheduleAnyway",
    },
}
"""The n-th item of a list."""

CONTEXT: dict[str, tuple[str, Edits]] = {
    "spec.exposure.timeouts.requestSeconds": ("gateway", {}),
    "spec.engine.tensorParallelSize": ("ingress", {"spec.gpu.count": 0}),
    "spec.engine.pipelineParallelSize": ("ingress", {"spec.gpu.count": 0}),
    "spec.engine.dataParallelSize": ("ingress", {"spec.gpu.count": 0}),
    "spec.gpu.count": ("gateway", {}),
    "spec.gpu.devicesPerRank": ("image", {"spec.gpu.count": 0}),
    "spec.gpu.ranksPerDevice": ("uri", {"spec.gpu.count": 0}),
    "spec.rollout.strategy": (
        "ingress",
        {"spec.rollout.maxSurge": ABSENT, "spec.rollout.maxUnavailable": ABSENT},
    ),
}
"""The base and the edits without which another rule would refuse the document too."""

_LONG_KEY = {"a" * 64: "1"}
_OUR_LABEL = {"app.kubernetes.io/name": "mine"}


def _named_like_its_adapter() -> Document:
    """The model of an endpoint `qwen` whose adapter has that name, too."""
    source = {"huggingFace": {"repo": "org/model"}}
    return {"source": source, "adapters": [{"name": "qwen", "source": source}]}


RULES: dict[str, tuple[str, Edits, Edits]] = {
    "metadata.name lower case letters": ("inside", {"metadata.name": "a-1"}, {"metadata.name": "1a"}),
    "metadata.name at most 45": ("inside", {"metadata.name": "a" * 45}, {"metadata.name": "a" * 46}),
    "spec.model.source set exactly one": ("ingress", {}, {"spec.model.source.local": {"path": "/models/a"}}),
    "spec.model.source.persistentVolumeClaim.path must not": (
        "gateway",
        {"spec.model.source.persistentVolumeClaim.path": "a..b/c"},
        {"spec.model.source.persistentVolumeClaim.path": "../c"},
    ),
    "spec.model.source.image.path must not": (
        "image",
        {"spec.model.source.image.path": "a/..b"},
        {"spec.model.source.image.path": "a/.."},
    ),
    "spec.model.adapters the model has the endpoint's name": (
        "inside",
        {"spec.model": _named_like_its_adapter() | {"servedName": "qwen-2"}},
        {"spec.model": _named_like_its_adapter()},
    ),
    "spec.exposure.canary.of names another": (
        "ingress",
        {"metadata.name": "chat-next", "spec.exposure.canary": {"of": "chat"}},
        {"metadata.name": "chat", "spec.exposure.canary": {"of": "chat"}},
    ),
    "spec.model.adapters an adapter needs": (
        "uri",
        {},
        {"spec.model.adapters": [{"name": "llama-3", "source": {"huggingFace": {"repo": "org/sql-lora"}}}]},
    ),
    "spec.model.adapters.[].source set exactly one": (
        "uri",
        {},
        {"spec.model.adapters": [{"name": "sql", "source": {}}]},
    ),
    "spec.model.adapters.[].source.persistentVolumeClaim.path must not": (
        "gateway",
        {},
        {
            "spec.model.adapters": [
                {"name": "a", "source": {"persistentVolumeClaim": {"claimName": "a", "path": "../a"}}}
            ]
        },
    ),
    "spec.model.adapters.[].source.image.path must not": (
        "image",
        {},
        {"spec.model.adapters": [{"name": "a", "source": {"image": {"reference": "a", "path": "../a"}}}]},
    ),
    "spec.model.adapters.[].source.local.path must not": (
        "scope",
        {},
        {"spec.model.adapters": [{"name": "a", "source": {"local": {"path": "/../a"}}}]},
    ),
    "spec.engine.args name adapters": (
        "uri",
        {"spec.engine.args": ["--max-lora-rank=32"]},
        {"spec.engine.args": ["--lora_modules", "a=b"]},
    ),
    "spec.workloadMetadata.labels keys": (
        "ingress",
        {"spec.workloadMetadata.labels": {"kueue.x-k8s.io/queue-name": "gpu"}},
        {"spec.workloadMetadata.labels": _LONG_KEY},
    ),
    "spec.workloadMetadata.labels streamingendpoints.dev/*": (
        "ingress",
        {"spec.workloadMetadata.labels": {"app.kubernetes.io/part-of": "search"}},
        {"spec.workloadMetadata.labels": _OUR_LABEL},
    ),
    "spec.workloadMetadata.annotations keys": (
        "ingress",
        {"spec.workloadMetadata.annotations": {"example.com/a": "b"}},
        {"spec.workloadMetadata.annotations": {"Example.com/a": "b"}},
    ),
    "spec.workloadMetadata.annotations streamingendpoints.dev/*": (
        "ingress",
        {"spec.workloadMetadata.annotations": {"reloader.stakater.com/auto": "true"}},
        {"spec.workloadMetadata.annotations": {"streamingendpoints.dev/applied-hash": "0"}},
    ),
    "spec.service.labels keys": (
        "ingress",
        {"spec.service.labels": {"kueue.x-k8s.io/queue-name": "gpu"}},
        {"spec.service.labels": _LONG_KEY},
    ),
    "spec.service.labels streamingendpoints.dev/*": (
        "ingress",
        {"spec.service.labels": {"app.kubernetes.io/part-of": "search"}},
        {"spec.service.labels": _OUR_LABEL},
    ),
    "spec.service.annotations keys": (
        "ingress",
        {"spec.service.annotations": {"example.com/a": "b"}},
        {"spec.service.annotations": {"Example.com/a": "b"}},
    ),
    "spec.service.annotations streamingendpoints.dev/*": (
        "ingress",
        {"spec.service.annotations": {"konghq.com/read-timeout": "3600000"}},
        {"spec.service.annotations": {"streamingendpoints.dev/applied-hash": "0"}},
    ),
    "spec.engine.volumeMounts /dev/shm": (
        "ingress",
        {"spec.engine.volumeMounts": [{"name": "templates", "mountPath": "/etc/streaming-operator-2"}]},
        {"spec.engine.volumeMounts": [{"name": "templates", "mountPath": "/dev/shm/"}]},
    ),
    "spec.engine.volumeMounts each names": (
        "ingress",
        {"spec.engine.volumeMounts": [{"name": "cache", "mountPath": "/root/.cache"}]},
        {"spec.engine.volumeMounts": [{"name": "other", "mountPath": "/other"}]},
    ),
    "spec.engine.volumeMounts /models holds": (
        "image",
        {"spec.engine.volumeMounts": [{"name": "templates", "mountPath": "/models2"}]},
        {"spec.engine.volumeMounts": [{"name": "templates", "mountPath": "/models/templates"}]},
    ),
    "spec.volumes files": (
        "inside",
        {"spec.volumes": [{"name": "templates", "emptyDir": {}}, {"name": "adapters", "emptyDir": {}}]},
        {"spec.volumes": [{"name": "templates", "emptyDir": {}}, {"name": "adapter-0", "emptyDir": {}}]},
    ),
    "spec.initContainers each has": (
        "ingress",
        {"spec.initContainers": [{"name": "engine-weights", "image": "a"}]},
        {"spec.initContainers": [{"name": "engine", "image": "a"}]},
    ),
    "spec.sidecars each has": (
        "ingress",
        {"spec.sidecars": [{"name": "proxy", "image": "a"}]},
        {"spec.sidecars": [{"name": "proxy"}]},
    ),
    "spec.sidecars names differ": (
        "ingress",
        {},
        {"spec.sidecars": [{"name": "pull", "image": "a"}]},
    ),
    "spec.model set at most one": ("uri", {}, {"spec.model.servedName": "qwen"}),
    "spec.gpu set at most one": ("image", {}, {"spec.gpu.ranksPerDevice": 1}),
    "spec.gpu.resourceClaims.[] set exactly one": (
        "image",
        {},
        {"spec.gpu.resourceClaims": [{"name": "gpu"}]},
    ),
    "spec.cache.persistentVolumeClaim.subPath must not": (
        "ingress",
        {"spec.cache.persistentVolumeClaim.subPath": "..a/hub"},
        {"spec.cache.persistentVolumeClaim.subPath": "../hub"},
    ),
    "spec.model.source.local.path must not": (
        "inside",
        {"spec.model.source.local.path": "/a/..b"},
        {"spec.model.source.local.path": "/a/../b"},
    ),
    "spec.engine.webSocket webSocket needs": (
        "ingress",
        {"spec.engine.webSocket": True, "spec.engine.streamingHeaders": True},
        {"spec.engine.webSocket": True, "spec.engine.streamingHeaders": False},
    ),
    "spec.engine.args these flags have fields": (
        "ingress",
        {"spec.engine.args": ["--portable", "--model-impl=auto", "--max-num-seqs=8", "--middleware", "m.M"]},
        {"spec.engine.args": ["--ssl-certfile=/tls/tls.crt"]},
    ),
    "spec.engine.args --host": (
        "ingress",
        {"spec.engine.args": ["--hf-overrides={}", "--ssl-ciphers=HIGH"]},
        {"spec.engine.args": ["--headless"]},
    ),
    "spec.engine.args a flag and its value": (
        "ingress",
        {"spec.engine.args": ["--chat-template={{ a b }}", "--limit-mm-per-prompt", '{"image": 1}']},
        {"spec.engine.args": ["--max-num-seqs 8"]},
    ),
    "spec.engine.env HF_TOKEN": (
        "ingress",
        {
            "spec.engine.env": [
                {"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": {"name": "hub", "key": "token"}}},
                {"name": "WANDB_API_KEY", "value": ""},
            ]
        },
        {"spec.engine.env": [{"name": "HF_TOKEN", "value": "hf_oops"}]},
    ),
    "spec.engine.env VLLM_API_KEY": (
        "ingress",
        {"spec.engine.env": [{"name": "VLLM_LOGGING_LEVEL", "value": "DEBUG"}]},
        {"spec.engine.env": [{"name": "VLLM_PORT", "value": "1"}]},
    ),
    "spec.engine.env.[] set at most one": (
        "ingress",
        {"spec.engine.env": [{"name": "A"}]},
        {
            "spec.engine.env": [
                {"name": "A", "value": "1", "valueFrom": {"fieldRef": {"fieldPath": "spec.x"}}}
            ]
        },
    ),
    "spec.gpu.count must be 0": (
        "ingress",
        {"spec.gpu": {"count": 2, "ranksPerDevice": 2}},
        {"spec.gpu": {"count": 7, "devicesPerRank": 2}},
    ),
    "spec.resources the devices": (
        "ingress",
        {"spec.resources.limits": {"amd.com/gpu": 1}},
        {"spec.resources.limits": {"nvidia.com/gpu": 1}},
    ),
    "spec.resources.requests keys": (
        "ingress",
        {"spec.resources.requests": {"example.com/fpga": 1}},
        {"spec.resources.requests": _LONG_KEY},
    ),
    "spec.resources.limits keys": (
        "ingress",
        {"spec.resources.limits": {"hugepages-2Mi": "1Gi"}},
        {"spec.resources.limits": {"a b": "1"}},
    ),
    "spec.nodeSelector keys": (
        "ingress",
        {"spec.nodeSelector": {"nvidia.com/gpu.product": "H100"}},
        {"spec.nodeSelector": {"a//b": "1"}},
    ),
    "spec.podMetadata.labels keys": (
        "ingress",
        {"spec.podMetadata.labels": {"example.com/team": "a"}},
        {"spec.podMetadata.labels": _LONG_KEY},
    ),
    "spec.podMetadata.labels streamingendpoints.dev/*": (
        "ingress",
        {"spec.podMetadata.labels": {"app.kubernetes.io/part-of": "search"}},
        {"spec.podMetadata.labels": _OUR_LABEL},
    ),
    "spec.podMetadata.annotations keys": (
        "ingress",
        {"spec.podMetadata.annotations": {"example.com/a": "b"}},
        {"spec.podMetadata.annotations": {"Example.com/a": "b"}},
    ),
    "spec.cache set at most one": (
        "gateway",
        {"spec.cache": {}},
        {"spec.cache.persistentVolumeClaim.claimName": "a"},
    ),
    "spec.rollout.podDisruptionBudget set exactly one": (
        "gateway",
        {},
        {"spec.rollout.podDisruptionBudget.minAvailable": 1},
    ),
    "spec.rollout.maxSurge needs strategy": (
        "inside",
        {"spec.rollout": {"strategy": "RollingUpdate", "maxSurge": 1}},
        {"spec.rollout": {"strategy": "Recreate", "maxSurge": 1}},
    ),
    "spec.rollout.maxUnavailable needs strategy": (
        "inside",
        {"spec.rollout": {"strategy": "RollingUpdate", "maxUnavailable": 1}},
        {"spec.rollout": {"maxUnavailable": 1}},
    ),
    "spec.rollout.maxSurge 0 needs": (
        "inside",
        {"spec.rollout": {"strategy": "RollingUpdate", "maxSurge": 0, "maxUnavailable": 1}},
        {"spec.rollout": {"strategy": "RollingUpdate", "maxSurge": 0}},
    ),
    "spec.exposure set exactly one": ("gateway", {}, {"spec.exposure.ingress.className": "nginx"}),
    "spec.exposure.hosts names further": (
        "gateway",
        {"spec.exposure.hosts": ["qwen.example.net", "10.example"]},
        {"spec.exposure.hosts": ["qwen.example.com"]},
    ),
    "spec.exposure.canary.weight needs ingress": (
        "gateway",
        {"spec.exposure.canary": {"of": "stable", "header": "X-New"}},
        {"spec.exposure.canary": {"of": "stable", "weight": 1}},
    ),
    "spec.exposure.httpRoute.annotations keys": (
        "gateway",
        {"spec.exposure.httpRoute.annotations": {"konghq.com/plugins": "keys"}},
        {"spec.exposure.httpRoute.annotations": {"a b": "c"}},
    ),
    "spec.exposure.httpRoute.annotations snippets": (
        "gateway",
        {"spec.exposure.httpRoute.annotations": {"example.com/a": "b"}},
        {"spec.exposure.httpRoute.annotations": {"nginx.org/location-snippets": "return 200;"}},
    ),
    "spec.exposure.httpRoute.filters.[].extensionRef.kind snippets": (
        "uri",
        {},
        {
            "spec.exposure.httpRoute.filters": [
                {"extensionRef": {"group": "gateway.nginx.org", "kind": "SnippetsFilter", "name": "a"}}
            ]
        },
    ),
    "spec.exposure.httpRoute.filters.[] set exactly one": (
        "gateway",
        {"spec.exposure.httpRoute.filters": [{"requestHeaderModifier": {"remove": ["X-Debug"]}}]},
        {"spec.exposure.httpRoute.filters": [{}]},
    ),
    "spec.exposure.host must be a host name": (
        "ingress",
        {"spec.exposure.host": "10.example"},
        {"spec.exposure.host": "10.0.0.1"},
    ),
    "spec.exposure.pathPrefixes one must cover": (
        "ingress",
        {"spec.exposure.pathPrefixes": ["/v1/completions"], "spec.verification.request.api": "Completions"},
        {"spec.exposure.pathPrefixes": ["/v1/ch", "/v2"], "spec.verification.request.api": "Chat"},
    ),
    "spec.exposure.pathPrefixes name each": (
        "ingress",
        {"spec.exposure.pathPrefixes": ["/v1", "/v2"]},
        {"spec.exposure.pathPrefixes": ["/v1", "/v1"]},
    ),
    "spec.exposure.timeouts.requestSeconds an Ingress": (
        "ingress",
        {"spec.exposure.timeouts.requestSeconds": 0},
        {"spec.exposure.timeouts.requestSeconds": 60},
    ),
    "spec.exposure.ingress.annotations keys": (
        "ingress",
        {"spec.exposure.ingress.annotations": {"nginx.ingress.kubernetes.io/proxy-body-size": "1g"}},
        {"spec.exposure.ingress.annotations": {"a b": "c"}},
    ),
    "spec.exposure.ingress.annotations snippets": (
        "ingress",
        {"spec.exposure.ingress.annotations": {"nginx.ingress.kubernetes.io/limit-rps": "5"}},
        {"spec.exposure.ingress.annotations": {"nginx.ingress.kubernetes.io/server-snippet": "return 200;"}},
    ),
    "spec.exposure.ingress.annotations use className": (
        "ingress",
        {"spec.exposure.ingress.annotations": {"kubernetes.io/tls-acme": "true"}},
        {"spec.exposure.ingress.annotations": {"kubernetes.io/ingress.class": "nginx"}},
    ),
    "spec.exposure.ingress.annotations use exposure.timeouts": (
        "ingress",
        {"spec.exposure.ingress.annotations": {"nginx.ingress.kubernetes.io/proxy-request-buffering": "off"}},
        {"spec.exposure.ingress.annotations": {"nginx.ingress.kubernetes.io/proxy-read-timeout": "60"}},
    ),
    "spec.verification.publicURL must have a host name": (
        "ingress",
        {"spec.verification.publicURL": "https://10.example:443/a"},
        {"spec.verification.publicURL": "http://10.96.0.1:443/a"},
    ),
    "spec.verification.publicURL leave /v1 out": (
        "ingress",
        {"spec.verification.publicURL": "https://a.example/v1/qwen"},
        {"spec.verification.publicURL": "https://a.example/qwen/v1"},
    ),
    "spec.verification.publicURL the port must be": (
        "ingress",
        {"spec.verification.publicURL": "http://a.example:65535"},
        {"spec.verification.publicURL": "http://a.example:65536/qwen"},
    ),
    "spec.verification.headersSecretRef needs exposure": (
        "ingress",
        {"spec.verification.publicURL": ABSENT},
        {
            "spec.exposure": ABSENT,
            "spec.verification.publicURL": ABSENT,
            "spec.verification.tls.clientCertSecretRef": ABSENT,
        },
    ),
    "spec.engine.tls.caConfigMapName needs exposure.httpRoute": ("image", {}, {"spec.exposure": ABSENT}),
    "spec.verification.tls.clientCertSecretRef needs exposure.ingress.tls": (
        "gateway",
        {"spec.verification.publicURL": ABSENT},
        {
            "spec.exposure.httpRoute": ABSENT,
            "spec.exposure.ingress": {"className": "nginx"},
            "spec.verification.publicURL": "http://a.example",
        },
    ),
    "spec.verification.checks.auth needs engine.apiKeySecretRef": (
        "ingress",
        {"spec.verification.checks.auth": True},
        {"spec.verification.checks.auth": True, "spec.engine.apiKeySecretRef": ABSENT},
    ),
    "spec.monitoring.serviceMonitor.labels keys": (
        "ingress",
        {"spec.monitoring.serviceMonitor.labels": {"example.com/a": "b"}},
        {"spec.monitoring.serviceMonitor.labels": {"a b": "c"}},
    ),
    "spec.monitoring.serviceMonitor.labels streamingendpoints.dev/*": (
        "ingress",
        {"spec.monitoring.serviceMonitor.labels": {"app": "prometheus"}},
        {"spec.monitoring.serviceMonitor.labels": {"streamingendpoints.dev/endpoint": "mine"}},
    ),
    "spec.monitoring.prometheusRule.labels keys": (
        "ingress",
        {"spec.monitoring.prometheusRule.labels": {"example.com/a": "b"}},
        {"spec.monitoring.prometheusRule.labels": {"a b": "c"}},
    ),
    "spec.monitoring.prometheusRule.labels streamingendpoints.dev/*": (
        "ingress",
        {"spec.monitoring.prometheusRule.labels": {"app": "prometheus"}},
        {"spec.monitoring.prometheusRule.labels": {"streamingendpoints.dev/endpoint": "mine"}},
    ),
}
"""Rules by path and the first words of their message: the base, edits that pass, edits that do not."""

WRONG = {"object": "text", "array": "text", "string": 7, "integer": "text", "boolean": "text"}
"""A value that is not of the type."""


def rule_key(constraint: Constraint) -> str | None:
    """The key in `RULES` of a rule."""
    said = f"{'.'.join(constraint.path)} {constraint.allowed}"
    return next((key for key in RULES if said.startswith(key)), None)


def row(constraint: Constraint) -> Row:
    """The two documents of a constraint."""
    if constraint.keyword == "rule":
        return _of_rule(constraint)
    path = constraint.path
    base, context = _base(path)
    where = place(base, path)
    if where is None:
        raise LookupError(f"no document sets {'.'.join(path)}")
    base = edited(base, *((dotted(name), value) for name, value in context.items()))
    good, bad, said = MAKERS[constraint.keyword](constraint, _value(base, where))
    if constraint.keyword == "required":
        where = (*where, constraint.allowed)
    accepted = base if good is None else edited(base, (where, good))
    named = (*where, len(bad) - 1) if constraint.keyword == "unique" else where
    return Row(accepted, edited(base, (where, bad)), shown(named), said)


def _of_rule(constraint: Constraint) -> Row:
    key = rule_key(constraint)
    if key is None:
        raise LookupError(f"no example for the rule {constraint.name!r}")
    name, passing, failing = RULES[key]
    base = document(BASES[name])
    accepted, rejected = (
        edited(base, *((dotted(path), value) for path, value in edits.items()))
        for edits in (passing, failing)
    )
    where = place(rejected, constraint.path) or constraint.path
    return Row(accepted, rejected, shown(where), (str(constraint.allowed),))


def _base(path: tuple[str, ...]) -> tuple[Document, Edits]:
    """The document to try a path on: as `CONTEXT` says, else the first that has it."""
    if path[:1] == ("status",):
        return document(BASES["inside"]) | {"status": STATUS}, {}
    if ".".join(path) in CONTEXT:
        name, edits = CONTEXT[".".join(path)]
        return document(BASES[name]), edits
    return next((body for body in map(document, BASES.values()) if place(body, path) is not None), {}), {}


def _value(body: Document, where: tuple[Step, ...]) -> Any:
    here: Any = body
    for step in where:
        here = here[step]
    return here


Made = tuple[Any, Any, tuple[str, ...]]
"""A value that passes (None: leave it), one that does not, and what is allowed in the API server's words."""


def _length(constraint: Constraint, value: Any) -> Made:
    example = PATTERNS[constraint.node["pattern"]] if "pattern" in constraint.node else Example("", "", "x")
    limit = constraint.allowed
    if constraint.keyword == "minLength":
        return example.long(limit), "x" * (limit - 1), (f"at least {limit}",)
    return example.long(limit), example.long(limit + 1), (f"may not be more than {limit}",)


def _items(constraint: Constraint, value: Any) -> Made:
    limit = constraint.allowed
    item = ITEMS[f"{'.'.join(constraint.path)}.[]"]
    some, more = ([item(number) for number in range(count)] for count in (limit, limit + 1))
    if constraint.keyword == "minItems":
        return some, [], (f"at least {limit} items",)
    return some, more, (f"at most {limit} items",)


def _properties(constraint: Constraint, value: Any) -> Made:
    limit = constraint.allowed
    some, more = ({f"k{number}": "1" for number in range(count)} for count in (limit, limit + 1))
    return some, more, (f"at most {limit} items",)


def _unique(constraint: Constraint, value: Any) -> Made:
    return None, [*value, value[0]], ("Duplicate value",)


MAKERS: dict[str, Callable[[Constraint, Any], Made]] = {
    "type": lambda c, _: (None, WRONG[c.allowed], (f"must be of type {c.node.get('format', c.allowed)}",)),
    "int-or-string": lambda c, _: (1, True, ("must be of type integer,string",)),
    "format": lambda c, _: (None, "yesterday", ("must be of type date-time",)),
    "enum": lambda c, _: (c.allowed[0], "Else", tuple(f'"{word}"' for word in c.allowed)),
    "pattern": lambda c, _: (PATTERNS[c.allowed].good, PATTERNS[c.allowed].bad, (c.allowed,)),
    "minimum": lambda c, _: (c.allowed, c.allowed - 1, (f"greater than or equal to {c.allowed}",)),
    "maximum": lambda c, _: (c.allowed, c.allowed + 1, (f"less than or equal to {c.allowed}",)),
    "minLength": _length,
    "maxLength": _length,
    "minItems": _items,
    "maxItems": _items,
    "maxProperties": _properties,
    "unique": _unique,
    "required": lambda c, _: (None, ABSENT, ("Required value",)),
}
