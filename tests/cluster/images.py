"""All images by name, and their way into the node: only what the node lacks is sent."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

from . import archive, ingress, kind, node_store, prometheus, python_images, steps, vllm_image
from .programs import listed
from .versions import IMAGES, Mode

RECIPES: dict[str, Callable[[], archive.Image]] = {
    "ingress-nginx": ingress.image,
    **python_images.RECIPES,
    "vllm": vllm_image.image,
    **prometheus.RECIPES,
}
# Loaded by `up`; the others when a test asks for them.
DEFAULT = ("ingress-nginx", "operator", "double", "client")
OURS = ("operator", "double", "client", "vllm")  # never pulled


def make(name: str) -> archive.Image:
    """One image from the cache or made now."""
    if name not in RECIPES:
        raise steps.Failure(f"no image is called {name!r}", remedy=f"one of: {', '.join(sorted(RECIPES))}")
    return RECIPES[name]()


def load(name: str, mode: Mode = "build") -> bool:
    """Leave with today's image in the node; whether anything had to be sent."""
    if mode == "registry" and name not in OURS:
        return _load_pulled(IMAGES[mode][name])
    image = make(name)
    if loaded().get(image.name) == image.digest:
        return False
    with steps.step(f"load {image.name} into the node"):
        node_store.put(image)
        _import(lambda pipe: archive.write_oci(image, pipe, node_store.present()))
    return True


def loaded() -> dict[str, str]:
    """The images of the node by name, with the digests of their manifests."""
    lines = kind.node(*node_store.CTR, "images", "ls").splitlines()[1:]
    return {fields[0]: fields[2] for line in lines if len(fields := line.split()) > 2}


def _load_pulled(name: str) -> bool:
    if name in loaded():
        return False
    with steps.step(f"pull {name} and load it into the node"):
        steps.output(["docker", "pull", "--quiet", name])
        with subprocess.Popen(listed(["docker", "save", name]), stdout=subprocess.PIPE) as saved:
            assert saved.stdout is not None
            source = saved.stdout

            def copy(pipe: archive.Sink) -> None:
                while block := source.read(1 << 20):
                    pipe.write(block)

            _import(copy)
    return True


def _import(write: Callable[[archive.Sink], object]) -> None:
    argv = ["docker", "exec", "-i", kind.NODE, *node_store.CTR, "images", "import", "-"]
    process = subprocess.Popen(
        listed(argv), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        write(process.stdin)
        process.stdin.close()
    except BrokenPipeError:
        pass  # its words say why
    text = process.stdout.read().decode(errors="replace")
    if process.wait() != 0:
        raise steps.Failure(f"the node did not take the image: {text.strip()[-500:]}")
