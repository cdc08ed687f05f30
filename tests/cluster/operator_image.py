"""The operator's image from the Dockerfile at the top, which is also how it is published.

Only the two images that it starts from are made here, for no registry answers: BASE is Debian's Python and nothing
else, neither shell nor package manager, and BUILD the Debian of the other test images, with pip. The wheels come
from this machine's pip, so that the build needs no network; the engine's image is then taken over layer by layer.
"""

from __future__ import annotations

import json
import shutil
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import IO

from . import archive, cache, docker, image_python, python_images, rootfs, steps
from .versions import HERE, IMAGES, VERSIONS

REPO = HERE.parents[1]
LOCK = REPO / "requirements.lock"
DOCKERFILE = REPO / "Dockerfile"
PROJECT = (
    REPO / "pyproject.toml",
    REPO / "README.md",
    REPO / "LICENSE",
    REPO / "operator" / "streaming_operator",
)
"""What the wheel is made of."""
PACKAGES = ("netbase", "python3")
_VARIANT = "extract"
_TRUST = ("./etc/ssl", "./usr/share/ca-certificates")
"""Made by a package's script, which runs in a whole Debian only."""
_UNUSED = (
    "etc/apt", "etc/cron.daily", "etc/logrotate.d", "bin/*", "sbin/*", "usr/bin/[!p]*", "usr/bin/pdb*",
    "usr/bin/py[!t]*", "usr/sbin", "usr/share/[!cz]*", "var/lib/dpkg",
)  # fmt: skip


def image() -> archive.Image:
    """The image as it stands in this working tree."""
    docker.ensure()
    built = build(
        IMAGES["build"]["operator"],
        builder=_imported("python", python_images.base()),
        base=_imported("operator-base", base()),
    )
    return taken_over(IMAGES["build"]["operator"], built)


def build(reference: str, *, builder: str, base: str, machine: str = python_images.MACHINE) -> str:
    """Build the Dockerfile on these two images without a network; the image's id."""
    cache.STATE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache.STATE) as folder:
        context, identifier = Path(folder, "context.tar"), Path(folder, "id")
        _pack(context, machine)
        arguments = [f"--build-arg={name}={text}" for name, text in
                     {"BUILD": builder, "BASE": base, "PIP_NO_INDEX": "1"}.items()]  # fmt: skip
        with steps.step(f"build {reference} from the Dockerfile"), context.open("rb") as content:
            steps.run(
                [docker.engine(), "build", "--network=none", "--force-rm", f"--iidfile={identifier}",
                 f"--tag={reference}", *arguments, "-"],
                cache.log("build-operator"), stdin=content,
            )  # fmt: skip
        return identifier.read_text().strip()


def wheel() -> Path:
    """The project's own wheel."""

    def make(folder: Path) -> None:
        python = REPO / ".venv" / "bin" / "python"
        argv = [python if python.exists() else sys.executable, "-m", "hatchling", "build", "--target=wheel"]
        steps.run([*argv, f"--directory={folder}"], cache.log("wheel"), cwd=REPO, remedy="`make venv` first")

    folder = cache.folder("wheels", "streaming-operator", cache.key(*PROJECT), make)
    return next(folder.glob("*.whl"))


def wheels(machine: str = python_images.MACHINE) -> Path:
    """A folder with the wheels of the lock file, for the Python of the image."""

    def fetch(folder: Path) -> None:
        with steps.step("fetch the operator's dependencies (once per lock file)"):
            words = ["download", f"--dest={folder}", "--require-hashes", f"--requirement={LOCK}"]
            python_images.run_pip(words, "pip-operator", machine)

    return cache.folder("wheels", f"dependencies-{machine}", cache.key(LOCK, VERSIONS.python), fetch)


def _pack(target: Path, machine: str) -> None:
    """The build context: what .dockerignore lets in, under the same names."""
    dependencies = sorted(wheels(machine).glob("*.whl"))
    content = {"Dockerfile": DOCKERFILE, "requirements.lock": LOCK, f"dist/{wheel().name}": wheel()}
    # The engine takes a tar file for a Dockerfile when it begins with a header of the PAX format.
    with tarfile.open(target, "w", format=tarfile.GNU_FORMAT) as context:
        for name, path in {**content, **{f"dist/wheels/{path.name}": path for path in dependencies}}.items():
            context.add(path, name)


def base() -> archive.Layer:
    """Debian's Python with its libraries and the trusted certificates."""

    def fill(root: Path) -> None:
        debian = rootfs.debian("operator-base", PACKAGES, variant=_VARIANT)
        rootfs.unpack(debian, root)
        rootfs.prune(root, (*rootfs.PRUNED, *_UNUSED))
        whole = image_python.debian()
        steps.output(["tar", "-C", root, "-xpf", whole, *_TRUST])

    return rootfs.layer("operator-base", _base_key(), fill, keep_owners=True)


def _base_key() -> str:
    """What decides the base: its own packages, and the Debian whose certificates it has."""
    bases = (rootfs.key(PACKAGES, variant=_VARIANT), rootfs.key(image_python.PACKAGES))
    return cache.key(*bases, *rootfs.PRUNED, *_UNUSED, "1")


def _imported(name: str, layer: archive.Layer) -> str:
    """The container engine's image of this root file system."""
    reference = f"localhost/{name}:{layer.digest.removeprefix('sha256:')[:12]}"
    if not steps.succeeds([docker.engine(), "image", "inspect", reference]):
        steps.output([docker.engine(), "import", layer.path, reference])
    return reference


def engine_id() -> str:
    """What the container engine calls the image that was built last."""
    inspect = [docker.engine(), "image", "inspect", "--format", "{{.Id}}", IMAGES["build"]["operator"]]
    return steps.output(inspect).strip()


def taken_over(name: str, identifier: str) -> archive.Image:
    """An image of the container engine, by its id, as layers in the cache."""

    def save(folder: Path) -> None:
        packed = folder / "image.tar"
        steps.output([docker.engine(), "save", "--output", packed, identifier])
        with tarfile.open(packed) as content:
            manifest = json.load(_member(content, "manifest.json"))[0]
            config = json.load(_member(content, manifest["Config"]))
            for digest, layer in zip(config["rootfs"]["diff_ids"], manifest["Layers"], strict=True):
                with _layer(folder, digest).open("wb") as out:
                    shutil.copyfileobj(_member(content, layer), out, 1 << 20)
        (folder / "config.json").write_text(json.dumps(config))
        packed.unlink()

    folder = cache.folder("layers", "operator-image", cache.key(identifier), save)
    config = json.loads((folder / "config.json").read_text())
    settings = config["config"]
    return archive.Image(
        name,
        tuple(
            archive.Layer(_layer(folder, digest), digest, _layer(folder, digest).stat().st_size)
            for digest in config["rootfs"]["diff_ids"]
        ),
        entrypoint=tuple(settings["Entrypoint"]),
        command=tuple(settings["Cmd"]),
        env=dict(text.split("=", 1) for text in settings["Env"]),
        labels=settings["Labels"],
        user=settings["User"],
        workdir=settings["WorkingDir"],
    )


def _layer(folder: Path, digest: str) -> Path:
    return folder / f"{digest.removeprefix('sha256:')}.tar"


def _member(content: tarfile.TarFile, name: str) -> IO[bytes]:
    member = content.extractfile(name)
    assert member is not None, f"`docker save` wrote no {name}"
    return member
