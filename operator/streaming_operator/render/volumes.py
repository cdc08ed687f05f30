"""Volumes of the model server's pod and where they are mounted: own files, caches, weights, shared memory."""

from collections.abc import Iterator
from dataclasses import dataclass

from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.api.model import AdapterSource, ModelSource
from streaming_operator.engines.base import (
    ADAPTERS_PATH,
    CACHE_PATH,
    FILES_PATH,
    MODEL_PATH,
    TLS_PATH,
    read_only_root,
)
from streaming_operator.engines.ranks import ranks
from streaming_operator.render.config import config_map_name
from streaming_operator.values import Manifest

TEMPORARY_PATH = "/tmp"
DEFAULT_SHARED_MEMORY = "2Gi"
"""From vLLM's own Kubernetes guide; it counts against the memory limit."""


@dataclass(frozen=True, slots=True)
class Mounted:
    """A volume of the pod and where the model server has it."""

    name: str
    source: Manifest
    path: str
    read_only: bool = False
    sub_path: str | None = None

    def mount(self) -> Manifest:
        """The container's mount; without what the API server drops, which would look like drift for ever."""
        read_only = {"readOnly": True} if self.read_only else {}
        sub_path = {"subPath": self.sub_path} if self.sub_path else {}
        return {"name": self.name, "mountPath": self.path} | read_only | sub_path


def volumes(endpoint: StreamingEndpoint) -> list[Manifest]:
    """The pod's volumes."""
    own = [{"name": mounted.name, **mounted.source} for mounted in _mounted(endpoint)]
    return own + [dict(volume) for volume in endpoint.spec.volumes]


def mounts(endpoint: StreamingEndpoint) -> list[Manifest]:
    """The container's mounts, in the order of `volumes`."""
    own = [mounted.mount() for mounted in _mounted(endpoint)]
    return own + [dict(mount) for mount in endpoint.spec.engine.volume_mounts]


def _mounted(endpoint: StreamingEndpoint) -> Iterator[Mounted]:
    """Own files, cache, weights, adapters, memory, and /tmp where it needs a volume."""
    model = endpoint.spec.model
    claim = endpoint.spec.cache.persistent_volume_claim
    yield Mounted("files", {"configMap": {"name": config_map_name(endpoint)}}, FILES_PATH, read_only=True)
    yield Mounted("cache", _cache(endpoint), CACHE_PATH, sub_path=claim.sub_path if claim else None)
    if (tls := endpoint.spec.engine.tls) is not None:
        # By name, so that it is no way to another Secret's content.
        items = [{"key": key, "path": key} for key in ("tls.crt", "tls.key")]
        secret = {"secretName": tls.secret_name, "items": items}
        yield Mounted("engine-tls", {"secret": secret}, TLS_PATH, read_only=True)
    yield from _weights("model", model.source, MODEL_PATH)
    for number, adapter in enumerate(model.adapters):
        yield from _weights(f"adapter-{number}", adapter.source, f"{ADAPTERS_PATH}/{number}")
    size = _shared_memory(endpoint)
    if size is not None:
        yield Mounted("shm", {"emptyDir": {"medium": "Memory", "sizeLimit": size}}, "/dev/shm")
    # vLLM's sockets, torch and Prometheus write there.
    theirs = {mount["mountPath"].removesuffix("/") for mount in endpoint.spec.engine.volume_mounts}
    if endpoint.pod_version >= 3 and read_only_root(endpoint) and TEMPORARY_PATH not in theirs:
        yield Mounted("scratch", {"emptyDir": {}}, TEMPORARY_PATH)


def _weights(name: str, source: ModelSource | AdapterSource, path: str) -> Iterator[Mounted]:
    """The volume of a claim or an image; none for weights that come from elsewhere."""
    claim, image = source.persistent_volume_claim, source.image
    if claim is not None:
        read_only = {"readOnly": True} if claim.read_only else {}
        of_claim = {"persistentVolumeClaim": {"claimName": claim.claim_name} | read_only}
        yield Mounted(name, of_claim, path, read_only=claim.read_only)
    if image is not None:
        of_image = {"image": {"reference": image.reference, "pullPolicy": image.pull_policy}}
        yield Mounted(name, of_image, path, read_only=True)


def _cache(endpoint: StreamingEndpoint) -> Manifest:
    """A claim that outlives the pod, a claim of the pod's own, or an emptyDir."""
    cache = endpoint.spec.cache
    if cache.persistent_volume_claim is not None:
        return {"persistentVolumeClaim": {"claimName": cache.persistent_volume_claim.claim_name}}
    if cache.ephemeral is not None:
        return {"ephemeral": {"volumeClaimTemplate": cache.ephemeral.volume_claim_template}}
    if cache.empty_dir is not None and cache.empty_dir.size_limit is not None:
        return {"emptyDir": {"sizeLimit": cache.empty_dir.size_limit}}
    return {"emptyDir": {}}


def _shared_memory(endpoint: StreamingEndpoint) -> str | None:
    """Size of /dev/shm: the runtime's 64 MiB are too small for vLLM, whose processes talk through it on a CPU, too."""
    wanted = endpoint.spec.engine.shared_memory_size
    if wanted is not None:
        return wanted
    if endpoint.pod_version >= 3:
        return DEFAULT_SHARED_MEMORY
    shared = ranks(endpoint)
    return DEFAULT_SHARED_MEMORY if shared.tensor * shared.pipeline > 1 else None
