"""
Rules for what users put into the pods besides the model server: volumes, mounts, init containers, sidecars.

The parts themselves are Kubernetes' own (`core_v1.py`); the rules keep them off what the operator mounts and runs.
"""

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from streaming_operator.api.cel import CEL

ENGINE = "engine"
"""Name of the model server's container."""
OWN_VOLUMES = ("files", "cache", "model", "shm", "scratch", "engine-tls")
OWN_VOLUME_PREFIX = "adapter-"
SHARED_VOLUMES = ("cache",)
"""The operator's volumes that other containers may mount: weights can be put there before the server starts."""
OWN_PATHS = ("/dev/shm", "/home/vllm/.cache", "/etc/streaming-tls")
OWN_FOLDER = "/etc/streaming-operator"
MODEL_FOLDER = "/models"

Part = Mapping[str, Any]


def _names(parts: Iterable[Part]) -> list[str]:
    return [part["name"] for part in parts]


def _own(name: str) -> bool:
    return name in OWN_VOLUMES or name.startswith(OWN_VOLUME_PREFIX)


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")


def _with_images(spec: Any, member: str) -> bool:
    return all(part["name"] != ENGINE and part.get("image") for part in getattr(spec, member))


MOUNT_RULES = (
    CEL(
        "!has(self.volumeMounts) || !self.volumeMounts.exists(m, "
        f"m.mountPath in [{', '.join(repr(f'{path}{end}') for path in OWN_PATHS for end in ('', '/'))}] || "
        f"m.mountPath == '{OWN_FOLDER}' || m.mountPath.startsWith('{OWN_FOLDER}/'))",
        lambda engine: (
            not any(
                mount["mountPath"].removesuffix("/") in OWN_PATHS or _within(mount["mountPath"], OWN_FOLDER)
                for mount in engine.volume_mounts
            )
        ),
        f"{', '.join(OWN_PATHS)} and {OWN_FOLDER} are mounted already: use cache and engine.sharedMemorySize",
        ".volumeMounts",
    ),
)
"""Of `engine`."""

RULES = (
    CEL(
        f"!has(self.volumes) || !self.volumes.exists(v, v.name in [{', '.join(map(repr, OWN_VOLUMES))}] || "
        f"v.name.startsWith('{OWN_VOLUME_PREFIX}'))",
        lambda spec: not any(map(_own, _names(spec.volumes))),
        f"{', '.join(OWN_VOLUMES)} and {OWN_VOLUME_PREFIX}* are the operator's",
        ".volumes",
        "FieldValueForbidden",
    ),
    CEL(
        f"!has(self.engine.volumeMounts) || self.engine.volumeMounts.all(m, "
        f"m.name in [{', '.join(map(repr, SHARED_VOLUMES))}] || "
        "has(self.volumes) && self.volumes.exists(v, v.name == m.name))",
        lambda spec: {*_names(spec.engine.volume_mounts)} <= {*SHARED_VOLUMES, *_names(spec.volumes)},
        "each names one of spec.volumes, or cache",
        ".engine.volumeMounts",
    ),
    CEL(
        "!(has(self.model.source.persistentVolumeClaim) || has(self.model.source.image)) || "
        "!has(self.engine.volumeMounts) || !self.engine.volumeMounts.exists(m, "
        f"m.mountPath == '{MODEL_FOLDER}' || m.mountPath.startsWith('{MODEL_FOLDER}/'))",
        lambda spec: (
            (spec.model.source.persistent_volume_claim or spec.model.source.image) is None
            or not any(_within(mount["mountPath"], MODEL_FOLDER) for mount in spec.engine.volume_mounts)
        ),
        f"{MODEL_FOLDER} holds the volume of model.source",
        ".engine.volumeMounts",
    ),
    *(
        CEL(
            f"!has(self.{field}) || self.{field}.all(c, c.name != '{ENGINE}' && has(c.image) && c.image != '')",
            partial(_with_images, member=member),
            f"each has an image, and none is called {ENGINE}",
            f".{field}",
        )
        for field, member in (("initContainers", "init_containers"), ("sidecars", "sidecars"))
    ),
    CEL(
        "!has(self.initContainers) || !has(self.sidecars) || "
        "!self.initContainers.exists(c, self.sidecars.exists(s, s.name == c.name))",
        lambda spec: not {*_names(spec.init_containers)} & {*_names(spec.sidecars)},
        "names differ from those of initContainers",
        ".sidecars",
    ),
)
"""Of `spec`."""
