"""
Documents that set every field of the resource, and small edits of them.

No single document can: members of a union exclude each other. A constraint is tried on the first of `BASES`
that has its field.
"""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from streaming_operator.api import crd
from streaming_operator.api.endpoint import API_VERSION, KIND
from tests.apiserver.constraints import ITEM, VALUE

Document = dict[str, Any]
Step = str | int

ABSENT = object()
"""As a value of an edit: remove the field."""


def document(spec: Document, name: str = "qwen") -> Document:
    """A StreamingEndpoint of this spec."""
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": name}, "spec": deepcopy(spec)}


MINIMAL: Document = {
    "model": {"source": {"huggingFace": {"repo": "Qwen/Qwen2.5-0.5B-Instruct"}}},
    "gpu": {"count": 1},
    "exposure": {"host": "qwen.example.com", "ingress": {"className": "nginx"}},
}
"""Four facts: the model, the GPU count, the host, the class."""

_COMMON: Document = {
    "engine": {
        "image": "vllm/vllm-openai:v0.33.0",
        "command": ["vllm", "serve"],
        "imagePullPolicy": "IfNotPresent",
        "version": "0.33.0",
        "args": ["--gpu-memory-utilization=0.9"],
        "env": [{"name": "HF_HUB_OFFLINE", "value": "1"}],
        "envFrom": [{"configMapRef": {"name": "engine"}}],
        "volumeMounts": [{"name": "templates", "mountPath": "/templates"}],
        "port": 8000,
        "maxModelLen": 8192,
        "tensorParallelSize": 2,
        "pipelineParallelSize": 2,
        "dataParallelSize": 1,
        "sharedMemorySize": "2Gi",
        "sseKeepAliveSeconds": 15,
        "streamingHeaders": True,
        "webSocket": True,
        "apiKeySecretRef": {"name": "key", "key": "api-key"},
        "tls": {"secretName": "engine-tls"},
    },
    "gpu": {"resourceName": "nvidia.com/gpu", "count": 4},
    "resources": {"requests": {"cpu": "4"}, "limits": {"memory": "16Gi"}},
    "runtimeClassName": "nvidia",
    "nodeSelector": {"disk": "fast"},
    "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
    "affinity": {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [
                    {"matchExpressions": [{"key": "gpu", "operator": "In", "values": ["h100", "h200"]}]}
                ]
            }
        },
        "podAntiAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {
                    "weight": 1,
                    "podAffinityTerm": {
                        "topologyKey": "kubernetes.io/hostname",
                        "labelSelector": {"matchLabels": {"app": "search"}},
                    },
                }
            ]
        },
    },
    "topologySpreadConstraints": [
        {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}
    ],
    "priorityClassName": "high",
    "volumes": [{"name": "templates", "configMap": {"name": "templates"}}],
    "initContainers": [{"name": "pull", "image": "registry.example.com/pull:1"}],
    "sidecars": [{"name": "logs", "image": "registry.example.com/logs:1"}],
    "schedulerName": "kai-scheduler",
    "serviceAccountName": "engine",
    "imagePullSecrets": ["registry"],
    "workloadMetadata": {"labels": {"queue": "inference"}, "annotations": {"note": "hello"}},
    "service": {"labels": {"queue": "inference"}, "annotations": {"note": "hello"}},
    "podMetadata": {"labels": {"team": "search"}, "annotations": {"note": "hello"}},
    "podSecurityContext": {"runAsUser": 0},
    "securityContext": {"runAsUser": 0},
    "replicas": 2,
    "startup": {"timeoutSeconds": 1800},
    "monitoring": {
        "serviceMonitor": {"enabled": True, "intervalSeconds": 15, "labels": {"release": "prometheus"}},
        "prometheusRule": {
            "enabled": True,
            "labels": {"release": "prometheus"},
            "ttftMilliseconds": 5000,
            "tokenGapMilliseconds": 500,
            "errorPercent": 5,
            "pathMilliseconds": 2000,
        },
        "slo": {"target": "99.5", "windowDays": 30},
    },
    "verification": {
        "mode": "Required",
        "request": {"api": "Chat", "prompt": "Count.", "maxTokens": 64},
        "publicURL": "https://llm.example.com/qwen",
        "headersSecretRef": {"name": "gateway"},
        "tls": {
            "caConfigMapRef": {"name": "ca", "key": "ca.crt"},
            "clientCertSecretRef": {"name": "client"},
        },
        "checks": {"perReplica": True, "auth": False, "cancel": True},
        "thresholds": {"ttftMilliseconds": 5000, "maxGapMilliseconds": 1000},
        "firstRequestTimeoutSeconds": 300,
        "intervalSeconds": 300,
        "failureThreshold": 3,
    },
    "suspend": False,
}
_ROLLOUT: Document = {
    "strategy": "RollingUpdate",
    "maxSurge": 1,
    "maxUnavailable": 1,
    "drainSeconds": 300,
    "preStopSeconds": 15,
}
_TIMEOUTS: Document = {"idleSeconds": 3600, "requestSeconds": 0, "connectSeconds": 10}
_PATHS = ["/v1", "/health"]
_HEADERS = [{"name": "X-Served-By", "value": "qwen"}]
_AUTHENTICATION = {"group": "gateway.example.com", "kind": "Auth", "name": "keys"}

BASES: dict[str, Document] = {
    "ingress": _COMMON
    | {
        "model": {
            "servedName": "qwen",
            "source": {
                "huggingFace": {
                    "repo": "Qwen/Qwen2.5-0.5B-Instruct",
                    "revision": "main",
                    "tokenSecretRef": {"name": "hub", "key": "token"},
                }
            },
        },
        "cache": {"persistentVolumeClaim": {"claimName": "cache", "subPath": "hub"}},
        "rollout": _ROLLOUT | {"podDisruptionBudget": {"minAvailable": 1}},
        "exposure": {
            "host": "qwen.example.com",
            "hosts": ["qwen.example.org"],
            "stripPrefix": "/qwen",
            "canary": {"of": "stable", "weight": 10, "header": "X-Canary"},
            "pathPrefixes": _PATHS,
            "ingress": {"className": "nginx", "annotations": {"note": "hello"}, "tls": {"secretName": "tls"}},
            "timeouts": _TIMEOUTS,
        },
    },
    "gateway": _COMMON
    | {
        "model": {
            "adapters": [
                {
                    "name": "fin",
                    "source": {
                        "persistentVolumeClaim": {"claimName": "adapters", "path": "fin", "readOnly": False}
                    },
                }
            ],
            "source": {
                "persistentVolumeClaim": {"claimName": "models", "path": "qwen/0.5b", "readOnly": True}
            },
        },
        "engine": {"env": [{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]},
        "cache": {"emptyDir": {"sizeLimit": "10Gi"}},
        "rollout": _ROLLOUT | {"podDisruptionBudget": {"maxUnavailable": 1}},
        "exposure": {
            "host": "qwen.example.com",
            "pathPrefixes": _PATHS,
            "httpRoute": {
                "parentRefs": [
                    {"name": "public", "namespace": "gateways", "sectionName": "https", "port": 443}
                ],
                "annotations": {"note": "hello"},
                "filters": [
                    {
                        "requestHeaderModifier": {
                            "set": [{"name": "X-Tenant", "value": "a"}],
                            "add": [{"name": "X-Trace", "value": "on"}],
                            "remove": ["X-Debug"],
                        }
                    },
                ],
            },
            "timeouts": _TIMEOUTS,
        },
    },
    "image": _COMMON
    | {
        "exposure": {
            "host": "qwen.example.com",
            "httpRoute": {
                "parentRefs": [{"name": "public"}],
                "filters": [
                    {"responseHeaderModifier": {"set": _HEADERS, "add": _HEADERS, "remove": ["Server"]}}
                ],
            },
        },
        "model": {
            "adapters": [
                {
                    "name": "fin",
                    "source": {
                        "image": {
                            "reference": "registry.example.com/fin:1",
                            "path": "fin",
                            "pullPolicy": "Never",
                        }
                    },
                }
            ],
            "source": {
                "image": {"reference": "registry.example.com/qwen:1", "path": "qwen", "pullPolicy": "Always"}
            },
        },
        "engine": {"tls": {"secretName": "engine-tls", "caConfigMapName": "engine-ca"}},
        "gpu": {
            "count": 4,
            "devicesPerRank": 2,
            "resourceClaims": [
                {"name": "own", "resourceClaimTemplateName": "gpus"},
            ],
        },
        "cache": {
            "ephemeral": {
                "volumeClaimTemplate": {
                    "spec": {
                        "accessModes": ["ReadWriteOnce"],
                        "resources": {"requests": {"storage": "100Gi"}},
                    }
                }
            }
        },
    },
    "uri": _COMMON
    | {
        "exposure": {
            "host": "qwen.example.com",
            "httpRoute": {
                "parentRefs": [{"name": "public"}],
                "filters": [{"extensionRef": _AUTHENTICATION}],
            },
        },
        "model": {
            "servedNames": ["llama", "llama-3"],
            "source": {"uri": "s3://models/llama"},
            "adapters": [{"name": "sql", "source": {"huggingFace": {"repo": "org/sql-lora"}}}],
        },
        "gpu": {
            "count": 2,
            "ranksPerDevice": 2,
            "resourceClaims": [{"name": "shared", "resourceClaimName": "gpus", "request": "gpu"}],
        },
    },
    "scope": _COMMON
    | {
        "model": {
            "adapters": [{"name": "fin", "source": {"local": {"path": "/models/fin"}}}],
            "source": {"modelScope": {"repo": "Qwen/Qwen2.5-0.5B-Instruct", "revision": "master"}},
        }
    },
    "inside": _COMMON | {"model": {"source": {"local": {"path": "/models/qwen"}}}},
}
"""Specs by name: between them they set every field."""

STATUS: Document = {
    "observedGeneration": 1,
    "conditions": [
        {
            "type": "Ready",
            "status": "True",
            "reason": "Ready",
            "message": "A completion streamed through the users' address",
            "observedGeneration": 1,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }
    ],
    "url": "http://qwen.example.com/v1",
    "internalURL": "http://qwen.default.svc/v1",
    "modelName": "qwen",
    "replicas": 1,
    "readyReplicas": 1,
    "selector": "streamingendpoints.dev/endpoint=qwen",
    "lastVerifiedTTFTMilliseconds": 85,
    "waiting": {"reason": "ImageNotPulled", "since": "2026-01-01T00:00:00Z"},
    "requestedVerification": {
        "request": "2026-01-01T00:00:00Z",
        "verdict": "Streaming",
        "hop": "Exposure",
        "message": "64 tokens in 64 reads",
    },
    "verification": {
        "verdict": "Streaming",
        "hop": "Exposure",
        "message": "64 tokens in 64 reads",
        "podTemplateHash": "5d4f",
        "routeHash": "77aa",
        "failures": 2,
        "lastTime": "2026-01-01T00:00:00Z",
        "hops": [
            {
                "name": "Exposure",
                "address": "10.0.0.1:80",
                "protocol": "HTTP/1.1",
                "verdict": "Streaming",
                "message": "64 tokens in 64 reads",
                "ttftMilliseconds": 85,
                "p95GapMilliseconds": 21,
                "maxGapMilliseconds": 30,
                "events": 64,
                "reads": 64,
                "tokens": 64,
                "pacingPercent": 99,
                "done": True,
                "finishReason": "length",
            }
        ],
    },
}
"""A status with every field set."""


def every_field() -> set[str]:
    """The path of every field below `spec` that is ours, as `model.adapters[].name`."""

    def below(node: dict[str, Any], path: str) -> Iterator[str]:
        node = node.get("items", node)
        for name, inner in {} if crd.of_core_v1(node) else node.get("properties", {}).items():
            here = f"{path}.{name}".removeprefix(".")
            yield here
            yield from below(inner, f"{here}[]" if "items" in inner else here)

    return set(below(crd.root_schema()["properties"]["spec"], ""))


def fields_of(spec: Any, path: str = "") -> Iterator[str]:
    """The paths that a document sets."""
    if isinstance(spec, dict):
        for name, inner in spec.items():
            here = f"{path}.{name}".removeprefix(".")
            yield here
            yield from fields_of(inner, here)
    elif isinstance(spec, list):
        for inner in spec:
            yield from fields_of(inner, f"{path}[]")


def place(body: Document, path: tuple[str, ...]) -> tuple[Step, ...] | None:
    """Where a schema's path leads: to the last item of a list, the first key of a map; None if nowhere."""
    steps: list[Step] = []
    here: Any = body
    for part in path:
        step: Step = part
        if part == ITEM:
            step = len(here) - 1
        elif part == VALUE:
            step = next(iter(here))
        elif part not in here:
            return None
        here = here[step]
        steps.append(step)
    return tuple(steps)


def edited(body: Document, *edits: tuple[tuple[Step, ...], Any]) -> Document:
    """A copy with values set, or removed where the value is `ABSENT`; parts on the way are made."""
    result = deepcopy(body)
    for where, value in edits:
        here: Any = result
        for step in where[:-1]:
            here = here[step] if isinstance(step, int) else here.setdefault(step, {})
        if value is ABSENT:
            here.pop(where[-1], None)
        else:
            here[where[-1]] = value
    return result


def dotted(path: str) -> tuple[Step, ...]:
    """`a.b` as steps."""
    return tuple(path.split("."))


def shown(where: tuple[Step, ...]) -> str:
    """Steps as the API server writes them: `spec.engine.env[0].name`."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in where).removeprefix(".")
