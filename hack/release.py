"""
What a release is made of: `python -m hack.release package|sbom|image|notes|verify`, each a make target.

The workflows call the same targets, so that everything but pushing and signing can be tried on any machine. All of it
is written to dist/.
"""

import argparse
import hashlib
import os
import shutil
import sys
import tempfile
import tomllib
from pathlib import Path

from tests.cluster import cache, command, operator_image, steps, tools

ROOT = Path(__file__).resolve().parents[1]
DIST = ROOT / "dist"
CHART = ROOT / "charts" / "streaming-operator"
SUMS = "SHA256SUMS"
SBOM_LOCK = ROOT / "hack" / "sbom.lock"
HATCHLING = (sys.executable, "-m", "hatchling")


def version() -> str:
    """The version of pyproject.toml."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        text: str = tomllib.load(file)["project"]["version"]
    return text


def package() -> list[Path]:
    """Wheel, source archive, chart (its image comes from the registry that REGISTRY names), and their checksums."""
    DIST.mkdir(exist_ok=True)
    for old in (*DIST.glob("*.whl"), *DIST.glob("*.tar.gz"), *DIST.glob("*.tgz")):
        old.unlink()
    steps.run([*HATCHLING, "build", "--directory", DIST], cache.log("package"), cwd=ROOT)
    with tempfile.TemporaryDirectory() as folder:
        chart = Path(shutil.copytree(CHART, Path(folder) / CHART.name))
        values = chart / "values.yaml"
        values.write_text(published(values.read_text(), os.environ.get("REGISTRY", "")))
        steps.run([_helm(), "package", chart, "--destination", DIST], cache.log("package"))
    return [*sorted(DIST.glob("*.whl")), *DIST.glob("*.tar.gz"), *DIST.glob("*.tgz"), checksums()]


def published(values: str, registry: str) -> str:
    """
    The chart's values with the image that a release pushes to a registry; as they are where none is named.

    Names of images have no capitals, those of owners may.
    """
    if not registry:
        return values
    image = "\n  repository: streaming-operator\n"
    if image not in values:
        raise steps.Failure("the chart's values.yaml does not say image.repository: streaming-operator")
    return values.replace(image, image.replace(": ", f": {registry.lower()}/"), 1)


def checksums() -> Path:
    """SHA256SUMS of the files in dist/, in the form that `sha256sum --check` reads."""
    files = sorted(path for path in DIST.iterdir() if path.is_file() and path.name != SUMS)
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files]
    (DIST / SUMS).write_text("".join(lines))
    return DIST / SUMS


def sbom() -> list[Path]:
    """The locked dependencies with their hashes as CycloneDX JSON; the image's own SBOM is made when it is pushed."""

    def install(folder: Path) -> None:
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        options = ["--require-hashes", "--target", folder, "--requirement", SBOM_LOCK]
        steps.run([*pip, *options], cache.log("sbom"), remedy="the package index must be reachable")

    site = cache.folder("tools", "cyclonedx", cache.key(SBOM_LOCK, sys.version), install)
    DIST.mkdir(exist_ok=True)
    target = DIST / f"streaming-operator-{version()}.cdx.json"
    steps.run(
        [sys.executable, "-m", "cyclonedx_py", "requirements", "requirements.lock", "--pyproject", "pyproject.toml",
         "--mc-type", "application", "--output-reproducible", "--output-format", "JSON", "--output-file", target],
        cache.log("sbom"), cwd=ROOT, env={"PYTHONPATH": str(site)},
    )  # fmt: skip
    return [target, checksums()]


def image(reference: str, *, local_bases: bool) -> str:
    """
    Build the image for this machine; one line with its size.

    `local_bases`: on Debian's packages and without a registry, as the test cluster does.
    """
    if local_bases:
        built = operator_image.image()
        identifier = operator_image.engine_id()
        steps.output(["docker", "tag", identifier, reference])
        size = sum(layer.size for layer in built.layers)
    else:
        _wheel_for_docker()
        steps.run(
            ["docker", "build", "--tag", reference, f"--build-arg=VERSION={version()}",
             f"--build-arg=REVISION={revision()}", *_chosen_bases(), ROOT],
            cache.log("image"), remedy="registries of the base images must be reachable; or make image IMAGES=build",
        )  # fmt: skip
        size = int(steps.output(["docker", "image", "inspect", "--format", "{{.Size}}", reference]))
    return f"{reference}  {size / (1 << 20):.0f} MiB"


def _chosen_bases() -> list[str]:
    """BUILD and BASE of the environment, as build arguments."""
    return [f"--build-arg={name}={os.environ[name]}" for name in ("BUILD", "BASE") if os.environ.get(name)]


def _wheel_for_docker() -> None:
    DIST.mkdir(exist_ok=True)
    for old in DIST.glob("*.whl"):
        old.unlink()
    steps.run([*HATCHLING, "build", "--target", "wheel", "--directory", DIST], cache.log("package"), cwd=ROOT)


def revision() -> str:
    """The commit, with `-dirty` where files differ from it; empty in a source archive, which has no history."""
    if not steps.succeeds(["git", "-C", ROOT, "rev-parse", "--quiet", "--verify", "HEAD"]):
        return ""
    return steps.output(
        ["git", "-C", ROOT, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    ).strip()


def notes(version: str) -> str:
    """The section of CHANGELOG.md about a version; Failure where there is none."""
    sections = (ROOT / "CHANGELOG.md").read_text().split("\n## ")[1:]
    for section in sections:
        title, _, text = section.partition("\n")
        if title.split()[0] == version:
            return text.strip() + "\n"
    raise steps.Failure(
        f"CHANGELOG.md has no section about {version}",
        remedy=f"rename its first section: ## {version} - DATE",
    )


def verify(tag: str) -> None:
    """The tag, pyproject.toml and the chart name one version, and the changelog speaks of it; else Failure."""
    chart = dict(
        line.split(": ", 1) for line in (CHART / "Chart.yaml").read_text().splitlines() if ": " in line
    )
    named = {"tag": tag.removeprefix("v"), "chart": chart["version"], "appVersion": chart["appVersion"]}
    for where, text in named.items():
        if text != version():
            raise steps.Failure(
                f"pyproject.toml says {version()}, {where} says {text}", remedy="make them equal"
            )
    notes(version())


def _helm() -> str | Path:
    return shutil.which("helm") or tools.build("helm")["helm"]


def main() -> int:
    """Run one command; 1 with what to do when it fails."""
    parser = argparse.ArgumentParser(prog="python -m hack.release", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("package", help="wheel, source archive, chart, checksums")
    commands.add_parser("sbom", help="the locked dependencies as CycloneDX")
    building = commands.add_parser("image", help="the operator's image, for this machine")
    building.add_argument("reference", help="name and tag")
    building.add_argument(
        "--local-bases", action="store_true", help="no registry: bases from Debian packages"
    )
    commands.add_parser("notes", help="the changelog's section about this version")
    verifying = commands.add_parser("verify", help="does everything name the version of this tag?")
    verifying.add_argument("tag")
    given = parser.parse_args()
    return command.run(lambda: _run(given), failed="error", interrupted="interrupted; call it again")


def _run(given: argparse.Namespace) -> None:
    match given.command:
        case "package" | "sbom":
            for path in package() if given.command == "package" else sbom():
                print(path.relative_to(ROOT))
        case "image":
            print(image(given.reference, local_bases=given.local_bases))
        case "notes":
            print(notes(version()), end="")
        case "verify":
            verify(given.tag)


if __name__ == "__main__":
    sys.exit(main())
