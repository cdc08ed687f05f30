"""Images by the user's container engine, without root: pulled by name, or built on a published base.

None of ours is published, so in registry mode they are built here: the operator from the Dockerfile at the top, what
tests need from the layers of build mode, both on the official Python image; the demo's vLLM is upstream's CPU image
with a tiny model made inside it. Building asks no network for anything but the base.
"""

from __future__ import annotations

import io
import json
import tarfile
import tempfile
from pathlib import Path
from typing import IO

from . import archive, cache, docker, mirror, operator_image, python_images, steps
from .versions import BASES, HERE, IMAGES

_VLLM = HERE.parent / "engines" / "vllm"
_VLLM_DOCKERFILE = HERE / "files" / "vllm.Dockerfile"


def ensure(name: str) -> str:
    """Leave with the image of this short name in the engine; its reference."""
    if name not in BASES:
        return pull(mirror.image(name, "registry"))
    base = pull(mirror.base(name))
    reference = IMAGES["registry"][name]
    if name == "operator":
        operator_image.build(reference, builder=base, base=base, machine=docker.machine())
        return reference
    with tempfile.TemporaryFile(dir=_scratch()) as context:
        _pack(name, context)
        context.seek(0)
        with steps.step(f"build {reference} on {base}"):
            steps.run(
                [docker.engine(), "build", "--build-arg", f"BASE={base}", "--tag", reference, "-"],
                cache.log(f"build-{name}"),
                stdin=context,
            )
    return reference


def pull(reference: str) -> str:
    """Leave with a published image in the engine; one that is there already is not asked for again."""
    engine = docker.engine()
    if not steps.succeeds([engine, "image", "inspect", reference]):
        with steps.step(f"pull {reference}"):
            steps.run(
                [engine, "pull", reference],
                cache.log("pull"),
                remedy=f"the registry must be reachable and know you ({engine} login HOST);"
                f" {mirror.VARIABLE}=host:port/prefix names a mirror",
            )
    return reference


def digest(reference: str) -> str:
    """What the engine calls this image's content: another digest is another image."""
    return steps.output([docker.engine(), "image", "inspect", "--format", "{{.Id}}", reference]).strip()


def _scratch() -> Path:
    cache.STATE.mkdir(parents=True, exist_ok=True)
    return cache.STATE


def _pack(name: str, out: IO[bytes]) -> None:
    """The build context: a Dockerfile and what it copies."""
    # docker tells an archive from a Dockerfile by its first bytes, and does not know those of the PAX format.
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as context:
        if name == "vllm":
            context.add(_VLLM_DOCKERFILE, "Dockerfile")
            for path in sorted(_VLLM.glob("*.py")):
                context.add(path, f"vllm/{path.name}")
            return
        image = python_images.ON_PYTHON[name](docker.machine())
        _add(context, "Dockerfile", dockerfile(image).encode())
        for number, layer in enumerate(image.layers):
            context.add(layer.path, f"layer-{number}.tar")


def _add(context: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    context.addfile(entry, io.BytesIO(content))


def dockerfile(image: archive.Image) -> str:
    """The image's layers and settings on the base that the build argument BASE names."""
    lines = ["ARG BASE", "FROM ${BASE}"]
    lines += [f"ADD layer-{number}.tar /" for number in range(len(image.layers))]
    lines += [f"ENV {name}={json.dumps(text)}" for name, text in image.env.items()]
    if image.user:
        lines.append(f"USER {image.user}")
    if image.workdir:
        lines.append(f"WORKDIR {image.workdir}")
    if image.entrypoint:
        lines.append(f"ENTRYPOINT {json.dumps(list(image.entrypoint))}")
    if image.command:
        lines.append(f"CMD {json.dumps(list(image.command))}")
    return "\n".join(lines) + "\n"
