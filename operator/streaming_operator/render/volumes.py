"""Volumes of the model server's pod and where they are mounted: own files, caches, weights, shared memory."""

from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.engines.base import CACHE_PATH, FILES_PATH, MODEL_PATH, read_only_root
from streaming_operator.engines.ranks import ranks
from streaming_operator.render.config import config_map_name
from streaming_operator.values import Manifest

TEMPORARY_PATH = "/tmp"
DEFAULT_SHARED_MEMORY = "2Gi"
"""From vLLM's own Kubernetes guide; it counts against the memory limit."""


def volumes(endpoint: StreamingEndpoint) -> list[Manifest]:
    """The pod's volumes."""
    entries: list[Manifest] = [
        {"name": "files", "configMap": {"name": config_map_name(endpoint)}},
        {"name": "cache", **_cache(endpoint)},
    ]
    claim = endpoint.spec.model.source.persistent_volume_claim
    if claim is not None:
        source = {"claimName": claim.claim_name}
        entries.append({"name": "model", "persistentVolumeClaim": source | _read_only(claim.read_only)})
    image = endpoint.spec.model.source.image
    if image is not None:
        weights = {"reference": image.reference, "pullPolicy": image.pull_policy}
        entries.append({"name": "model", "image": weights})
    size = _shared_memory(endpoint)
    if size is not None:
        entries.append({"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": size}})
    if _scratch(endpoint):
        entries.append({"name": "scratch", "emptyDir": {}})
    return entries


def mounts(endpoint: StreamingEndpoint) -> list[Manifest]:
    """The container's mounts, in the order of `volumes`."""
    entries: list[Manifest] = [
        {"name": "files", "mountPath": FILES_PATH, "readOnly": True},
        {"name": "cache", "mountPath": CACHE_PATH, **_sub_path(endpoint)},
    ]
    claim = endpoint.spec.model.source.persistent_volume_claim
    if claim is not None:
        entries.append({"name": "model", "mountPath": MODEL_PATH, **_read_only(claim.read_only)})
    if endpoint.spec.model.source.image is not None:
        entries.append({"name": "model", "mountPath": MODEL_PATH, **_read_only(True)})
    if _shared_memory(endpoint) is not None:
        entries.append({"name": "shm", "mountPath": "/dev/shm"})
    if _scratch(endpoint):
        entries.append({"name": "scratch", "mountPath": TEMPORARY_PATH})
    return entries


def _read_only(wanted: bool) -> Manifest:
    """Only when true: the API server drops a false, and what it drops would look like drift for ever."""
    return {"readOnly": True} if wanted else {}


def _sub_path(endpoint: StreamingEndpoint) -> Manifest:
    """The folder of the cache's claim."""
    claim = endpoint.spec.cache.persistent_volume_claim
    return {"subPath": claim.sub_path} if claim and claim.sub_path else {}


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


def _scratch(endpoint: StreamingEndpoint) -> bool:
    """Whether /tmp needs a volume: vLLM's sockets, torch and Prometheus write there."""
    return endpoint.pod_version >= 3 and read_only_root(endpoint)
