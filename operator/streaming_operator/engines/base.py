"""
What the operator must know of a model server to start it, watch it and let it go.

An engine only knows its configuration; the objects that hold it are made in `render`. One file an engine
(docs/adding-an-engine.md), pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.values import Manifest

HOME = "/home/vllm"
"""Home of uid 2000 in vLLM's image; caches must lie below it."""
CACHE_PATH = f"{HOME}/.cache"
"""Where the cache volume is mounted."""
MODEL_PATH = "/models"
"""Where the volume of `model.source.persistentVolumeClaim` or `image` is mounted."""
ADAPTERS_PATH = "/adapters"
"""Below it each volume of an adapter is mounted, by the adapter's number."""
FILES_PATH = "/etc/streaming-operator"
"""Where the operator's own files (drain script, middleware) are mounted, read-only."""
TLS_PATH = "/etc/streaming-tls"
"""Where the Secret of `engine.tls` is mounted."""
DRAIN_OVER_FILE = "/dev/shm/streaming-operator-drain-over"
"""Touched by the drain script for the middleware; there the container may write even with a read-only root."""


@dataclass(frozen=True, slots=True)
class Series:
    """Names of an engine's series in Prometheus, for rules and dashboards."""

    ttft: str
    """Histogram of the time to the first token in seconds, without `_bucket`."""
    gap: str
    """Histogram of the time between tokens in seconds."""
    finished: str
    """Counter of requests that ended."""
    failed: str
    """Label matcher of those of them that ended in an error, or were cut by the engine."""
    running: str
    """Gauge of the requests that it works on."""
    waiting: str
    """Gauge of the requests in its queue."""
    steps: str
    """Counter of what moves while it generates."""


class Engine(Protocol):
    """One kind of model server."""

    name: str
    """Key in the registry."""
    health_path: str
    """Answers 200 once the model is loaded, without a key; asked by all three kubelet probes."""
    metrics_path: str
    """Prometheus text, open without a key."""
    running_gauge: str
    """Metric of the requests that the engine works on now."""
    waiting_gauge: str
    """Metric of the requests in its queue."""
    series: Series
    """What its metrics are called."""

    def command(self, endpoint: StreamingEndpoint) -> list[str] | None:
        """What the arguments are for; None for the image's own entrypoint."""
        ...

    def source(self, endpoint: StreamingEndpoint) -> str:
        """What it is to load, as its list of models names it (`root`): `WrongModel` where it names another."""
        ...

    def adapters(self, endpoint: StreamingEndpoint) -> Mapping[str, str]:
        """What each LoRA adapter is loaded from, by its name, as its list of models has both."""
        ...

    def args(self, endpoint: StreamingEndpoint) -> list[str]:
        """Arguments of the command, in a stable order: a reordered list restarts a GPU."""
        ...

    def env(self, endpoint: StreamingEndpoint) -> list[Manifest]:
        """Environment variables, each name once, the user's among them; secrets by reference only."""
        ...

    def drain_command(self, endpoint: StreamingEndpoint) -> list[str]:
        """Command of the preStop hook: returns when no stream runs any more, or the drain time is over."""
        ...

    def keep_alive_seconds(self, endpoint: StreamingEndpoint) -> int:
        """Silence after which the server sends a comment; 0 where it is off or the image may not know it."""
        ...

    def lacks(self, endpoint: StreamingEndpoint) -> tuple[str, ...]:
        """What pods of the endpoint's version do not do, or do, unlike the newest; verbs after "pods which"."""
        ...

    def note(self, endpoint: StreamingEndpoint) -> str | None:
        """One sentence on what could not be switched on for this image, and what to set; else None."""
        ...


def model_path(endpoint: StreamingEndpoint) -> str | None:
    """Folder of the weights inside the container; None when they come from elsewhere."""
    source = endpoint.spec.model.source
    if source.persistent_volume_claim is not None:
        return _below(source.persistent_volume_claim.path)
    if source.image is not None:
        return _below(source.image.path)
    if source.local is not None:
        return source.local.path
    return None


def adapter_paths(endpoint: StreamingEndpoint) -> dict[str, str]:
    """By the adapters' names: a folder inside the container, or a repository of the hub."""
    paths = {}
    for number, adapter in enumerate(endpoint.spec.model.adapters):
        source = adapter.source
        volume = source.persistent_volume_claim or source.image
        if source.hugging_face is not None:
            paths[adapter.name] = source.hugging_face.repo
        elif source.local is not None:
            paths[adapter.name] = source.local.path
        else:
            paths[adapter.name] = _below(volume.path if volume else None, f"{ADAPTERS_PATH}/{number}")
    return paths


def _below(path: str | None, root: str = MODEL_PATH) -> str:
    """A folder of a volume inside the container."""
    below = (path or "").strip("/")
    return f"{root}/{below}" if below else root


def read_only_root(endpoint: StreamingEndpoint) -> bool:
    """Whether the container can write to its volumes alone."""
    return bool((endpoint.spec.security_context or {}).get("readOnlyRootFilesystem"))


def home_on_cache(endpoint: StreamingEndpoint) -> bool:
    """
    Whether the image's home may not be writable: with a read-only root, or for a user whom the cluster chooses.

    OpenShift assigns a uid, and some images a root-owned home; the cache's volume can be written by all of them.
    """
    pod = endpoint.spec.pod_security_context
    chosen_by_cluster = pod is not None and "runAsUser" not in pod
    return endpoint.pod_version >= 3 and (read_only_root(endpoint) or chosen_by_cluster)


def grace_seconds(endpoint: StreamingEndpoint) -> int:
    """
    The pod's termination grace: the edges let go, the streams finish, and 15 s for the rest.

    Of these the drain script takes 8 s at most, to wait for the last streams to end; the real server took
    about 3 s from SIGTERM to the end of its process.
    """
    rollout = endpoint.spec.rollout
    return rollout.pre_stop_seconds + rollout.drain_seconds + 15
