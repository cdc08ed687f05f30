"""
What the operator must know of a model server to start it, watch it and let it go.

An engine only knows its configuration; the objects that hold it are made in `render`. One file an engine
(docs/adding-an-engine.md), pure: nothing here talks to anything.
"""

from typing import Protocol

from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.values import Manifest

HOME = "/home/vllm"
"""Home of uid 2000 in vLLM's image; caches must lie below it."""
CACHE_PATH = f"{HOME}/.cache"
"""Where the cache volume is mounted."""
MODEL_PATH = "/models"
"""Where the volume of `model.source.persistentVolumeClaim` is mounted."""
FILES_PATH = "/etc/streaming-operator"
"""Where the operator's own files (drain script, middleware) are mounted, read-only."""
DRAIN_OVER_FILE = "/dev/shm/streaming-operator-drain-over"
"""Touched by the drain script for the middleware; there the container may write even with a read-only root."""


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

    def args(self, endpoint: StreamingEndpoint) -> list[str]:
        """Arguments of the image's entrypoint, in a stable order: a reordered list restarts a GPU."""
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

    def note(self, endpoint: StreamingEndpoint) -> str | None:
        """One sentence on what could not be switched on for this image, and what to set; else None."""
        ...


def model_path(endpoint: StreamingEndpoint) -> str | None:
    """Folder of the weights inside the container; None when they come from a hub."""
    source = endpoint.spec.model.source
    if source.persistent_volume_claim is not None:
        below = (source.persistent_volume_claim.path or "").strip("/")
        return f"{MODEL_PATH}/{below}" if below else MODEL_PATH
    if source.local is not None:
        return source.local.path
    return None


def world_size(endpoint: StreamingEndpoint) -> int:
    """Processes of one replica that share a model: tensor parallel x pipeline parallel."""
    return endpoint.tensor_parallel_size * endpoint.spec.engine.pipeline_parallel_size


def grace_seconds(endpoint: StreamingEndpoint) -> int:
    """
    The pod's termination grace: the edges let go, the streams finish, and 15 s for the rest.

    Of these the drain script takes 8 s at most, to wait for the last streams to end; the real server took
    about 3 s from SIGTERM to the end of its process.
    """
    rollout = endpoint.spec.rollout
    return rollout.pre_stop_seconds + rollout.drain_seconds + 15
