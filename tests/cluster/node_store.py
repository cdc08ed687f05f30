"""The node's image store: which blobs it has, and how a large one gets there without a pipe.

The node's /var is a volume of this machine. A layer that is copied into the store's folder of blobs needs no hashing
and no crossing of two daemons; containerd then only has to be told, for it takes a blob that is there already (its
content sharing).
"""

from __future__ import annotations

import shutil
from pathlib import Path

from . import archive, docker, kind, steps

CTR = ("ctr", "--namespace", "k8s.io")
_LARGE = 32 << 20  # bytes; a pipe is as quick below
_BLOBS = "lib/containerd/io.containerd.content.v1.content/blobs"


def present() -> frozenset[str]:
    """The digests of the blobs that the node has."""
    return frozenset(kind.node(*CTR, "content", "ls", "--quiet").split())


def put(image: archive.Image) -> None:
    """Copy the image's large layers into the store; what cannot be copied is left to the pipe."""
    blobs = _blobs()
    if blobs is None:
        return
    stored = present()
    for layer in image.layers:
        if layer.size >= _LARGE and layer.digest not in stored:
            try:
                _copy(layer.path, blobs / layer.digest.replace(":", "/"))
                kind.node(*CTR, "content", "ingest", "--expected-digest", layer.digest,
                          "--expected-size", str(layer.size), layer.digest, stdin=b"")  # fmt: skip
            except (OSError, steps.Failure):
                return  # another layout of the store: the import finds the blob missing, and sends it


def _copy(source: Path, target: Path) -> None:
    if not target.exists():
        draft = target.with_name(f"{target.name}.draft")
        shutil.copyfile(source, draft)
        draft.replace(target)


def _blobs() -> Path | None:
    """Where the node's store keeps its blobs on this machine."""
    template = '{{range .Mounts}}{{if eq .Destination "/var"}}{{.Source}}{{end}}{{end}}'
    volume = steps.output([docker.engine(), "inspect", "--format", template, kind.NODE]).strip()
    blobs = Path(volume) / _BLOBS
    return blobs if volume and blobs.is_dir() else None
