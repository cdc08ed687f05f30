"""All images by name, and their way into the node: only what the node lacks is sent."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

from . import (
    archive,
    docker,
    edge_images,
    engine_images,
    ingress,
    kind,
    mirror,
    node_store,
    operator_image,
    prometheus,
    python_images,
    steps,
    vllm_image,
)
from .programs import listed
from .versions import Mode

RECIPES: dict[str, Callable[[], archive.Image]] = {
    "ingress-nginx": ingress.image,
    "operator": operator_image.image,
    **python_images.RECIPES,
    "vllm": vllm_image.image,
    **prometheus.RECIPES,
    **edge_images.RECIPES,
}
# Loaded by `up`; the others when a test asks for them.
DEMO = ("ingress-nginx", "operator")
DEFAULT = (*DEMO, "double", "client")
_LABEL = "streaming-engine-digest"  # of an image in the node's store: what the engine calls the same image


def make(name: str) -> archive.Image:
    """One image from the cache or made now."""
    if name not in RECIPES:
        raise steps.Failure(f"no image is called {name!r}", remedy=f"one of: {', '.join(sorted(RECIPES))}")
    return RECIPES[name]()


def load(name: str, mode: Mode = "build") -> bool:
    """Leave with today's image in the node; whether anything had to be sent."""
    if mode == "registry":
        return _load_from_engine(engine_images.ensure(name))
    image = make(name)
    if loaded().get(image.name) == image.digest:
        return False
    with steps.step(f"load {image.name} into the node"):
        node_store.put(image)
        _import(lambda pipe: archive.write_oci(image, pipe, node_store.present()))
    return True


def digest(name: str, mode: Mode) -> str:
    """The digest of today's image: as a pod annotation it makes new pods when our code changed."""
    if mode == "registry":
        return engine_images.digest(mirror.image(name, mode))
    return make(name).digest


def loaded() -> dict[str, str]:
    """The images of the node by name, with the digests of their manifests."""
    return {fields[0]: fields[2] for fields in _rows()}


def _rows() -> list[list[str]]:
    lines = kind.node(*node_store.CTR, "images", "ls").splitlines()[1:]
    return [fields for line in lines if len(fields := line.split()) > 2]


def _load_from_engine(name: str) -> bool:
    """Through this machine's engine, which has the user's credentials and reaches a mirror on loopback too."""
    label = f"{_LABEL}={engine_images.digest(name).removeprefix('sha256:')[:32]}"
    if any(fields[0] == name and label in fields[-1].split(",") for fields in _rows()):
        return False
    with steps.step(f"load {name} into the node"):
        with subprocess.Popen(listed([docker.engine(), "save", name]), stdout=subprocess.PIPE) as saved:
            assert saved.stdout is not None
            source = saved.stdout

            def copy(pipe: archive.Sink) -> None:
                while block := source.read(1 << 20):
                    pipe.write(block)

            _import(copy)
        kind.node(*node_store.CTR, "images", "label", name, label)
    return True


def _import(write: Callable[[archive.Sink], object]) -> None:
    argv = [docker.engine(), "exec", "-i", kind.NODE, *node_store.CTR, "images", "import", "-"]
    process = subprocess.Popen(
        listed(argv), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        write(process.stdin)
        process.stdin.close()
    except BrokenPipeError:
        pass  # its output says why
    text = process.stdout.read().decode(errors="replace")
    if process.wait() != 0:
        raise steps.Failure(f"the node did not take the image: {text.strip()[-500:]}")
