"""Makes container images without a daemon: layers are plain tar files, an image is a name over layers.

An image travels as an OCI layout on a stream. The receiver lists the blobs that it has, so that a change of our
code moves kilobytes: a push to a registry, without the registry. Nothing here runs a command.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Protocol

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_EPOCH = "1970-01-01T00:00:00Z"
_LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
_CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
_MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"


class Sink(Protocol):
    """What takes bytes: a file or a pipe."""

    def write(self, block: bytes, /) -> object:
        """Take a block."""


@dataclass(frozen=True)
class Layer:
    """An uncompressed tar file and its digest; uncompressed because it crosses a pipe, not a network."""

    path: Path
    digest: str
    size: int  # bytes


@dataclass(frozen=True)
class Image:
    """A name over layers, and what its container runs."""

    name: str
    layers: tuple[Layer, ...]
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    user: str = ""
    workdir: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def config(self) -> bytes:
        """The OCI image configuration."""
        settings: dict[str, Any] = {
            "Env": [f"{name}={text}" for name, text in {"PATH": PATH, **self.env}.items()]
        }
        for word, value in (
            ("Entrypoint", list(self.entrypoint)), ("Cmd", list(self.command)),
            ("User", self.user), ("WorkingDir", self.workdir), ("Labels", dict(self.labels)),
        ):  # fmt: skip
            if value:
                settings[word] = value
        return _json(
            {
                "architecture": "amd64",
                "os": "linux",
                "created": _EPOCH,
                "config": settings,
                "rootfs": {"type": "layers", "diff_ids": [layer.digest for layer in self.layers]},
                "history": [{"created": _EPOCH, "created_by": "tests/cluster"} for _ in self.layers],
            }
        )

    @property
    def manifest(self) -> bytes:
        """The OCI manifest."""
        layers = [_descriptor(_LAYER_TYPE, layer.digest, layer.size) for layer in self.layers]
        config = _descriptor(_CONFIG_TYPE, digest(self.config), len(self.config))
        return _json({"schemaVersion": 2, "mediaType": _MANIFEST_TYPE, "config": config, "layers": layers})

    @property
    def digest(self) -> str:
        """The digest of the manifest: equal digests mean equal images."""
        return digest(self.manifest)


def write_layer(root: Path, target: Path, *, keep_owners: bool = False, prefix: str = "") -> Layer:
    """Pack a folder as a layer at `target`: sorted, no times, owned by root unless the owners are wanted.

    `prefix` is the place of the folder inside the image, such as "opt/site".
    """

    def plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.mtime = 0
        entry.uname = entry.gname = ""
        if not keep_owners:
            entry.uid = entry.gid = 0
        return entry

    with target.open("wb") as file:
        hashed = _Hashed(file)
        with tarfile.open(fileobj=hashed, mode="w|", format=tarfile.PAX_FORMAT, bufsize=1 << 20) as archive:  # type: ignore[call-overload]
            for parent in _parents(prefix):
                archive.addfile(parent)
            for path in sorted(root.iterdir()):
                archive.add(path, arcname=f"{prefix}/{path.name}".lstrip("/"), filter=plain)
        return Layer(target, f"sha256:{hashed.hash.hexdigest()}", hashed.size)


def _parents(prefix: str) -> list[tarfile.TarInfo]:
    entries = []
    words = prefix.split("/") if prefix else []
    for depth in range(1, len(words) + 1):
        entry = tarfile.TarInfo("/".join(words[:depth]))
        entry.type, entry.mode = tarfile.DIRTYPE, 0o755
        entries.append(entry)
    return entries


def write_oci(image: Image, out: Sink, present: Collection[str] = ()) -> None:
    """Write the image as an OCI layout, leaving out the layers that the receiver has."""
    config, manifest = image.config, image.manifest
    top = _descriptor(_MANIFEST_TYPE, digest(manifest), len(manifest))
    # The first annotation is the one containerd reads, the second the standard's.
    top["annotations"] = {
        "io.containerd.image.name": image.name,
        "org.opencontainers.image.ref.name": image.name,
    }
    with tarfile.open(fileobj=out, mode="w|", bufsize=1 << 20) as archive:  # type: ignore[call-overload]
        _add_bytes(archive, "oci-layout", _json({"imageLayoutVersion": "1.0.0"}))
        _add_bytes(archive, "index.json", _json({"schemaVersion": 2, "manifests": [top]}))
        for blob in (config, manifest):
            _add_bytes(archive, _blob(digest(blob)), blob)
        for layer in {layer.digest: layer for layer in image.layers}.values():
            if layer.digest not in present:
                with layer.path.open("rb") as file:
                    entry = tarfile.TarInfo(_blob(layer.digest))
                    entry.size = layer.size
                    archive.addfile(entry, file)


class _Hashed:
    """A file that is only written to, and knows the digest and the size of what went through."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.hash = hashlib.sha256()
        self.size = 0

    def write(self, block: bytes) -> int:
        self.hash.update(block)
        self.size += len(block)
        return self._file.write(block)


def digest(blob: bytes) -> str:
    """The digest of a blob, as OCI writes it."""
    return f"sha256:{hashlib.sha256(blob).hexdigest()}"


def _blob(name: str) -> str:
    return f"blobs/{name.replace(':', '/')}"


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _descriptor(kind: str, name: str, size: int) -> dict[str, Any]:
    return {"mediaType": kind, "digest": name, "size": size}


def _add_bytes(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), 0o644
    archive.addfile(entry, io.BytesIO(content))
