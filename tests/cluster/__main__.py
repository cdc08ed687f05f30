"""`python -m tests.cluster`: the command line of the test cluster."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from . import archive, cache, command, images, kind, lifecycle, modes, steps, tools


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    options = _parser().parse_args(argv)
    return command.run(
        lambda: options.run(options),
        failed="error",
        interrupted="interrupted; what was finished is kept, call it again to go on",
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.cluster", description="The kind cluster for tests and demo."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, run: Callable[[argparse.Namespace], None], about: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=about, description=about)
        added.set_defaults(run=run)
        return added

    up = add(
        "up",
        lambda given: lifecycle.up(given.images, demo=given.demo),
        "create the cluster, or bring it up to date",
    )
    up.add_argument(
        "--images", choices=("auto", "registry", "build"),
        help="pull third-party images, build all here, or try a pull and decide (default: $IMAGES or auto)",
    )  # fmt: skip
    up.add_argument("--demo", action="store_true", help="leave out what only tests need")
    add("down", lambda _: lifecycle.down(), "delete the cluster; the container engine and the cache stay")
    clean = add(
        "clean",
        lambda given: lifecycle.clean(with_cache=given.cache),
        "delete all that runs, stop what we started",
    )
    clean.add_argument("--cache", action="store_true", help="remove everything built, too")
    built = add("tools", _tools, "build the programs and print their folder")
    built.add_argument("--only", choices=tuple(tools.BUILDS), help="one group of programs instead of all")
    add("images", _images, "build all images")
    saving = add("save", _save, "write one image as an OCI archive, to push it elsewhere")
    saving.add_argument("name", choices=tuple(images.RECIPES), metavar="NAME", help=", ".join(images.RECIPES))
    saving.add_argument("file", type=Path, metavar="FILE", help="the archive, e.g. operator.tar")
    add("status", lambda _: print("\n".join(lifecycle.status())), "what runs and what is built")
    loading = add("load", _load, "load images into the running cluster's node")
    loading.add_argument(
        "name", nargs="+", choices=tuple(images.RECIPES), metavar="NAME", help=", ".join(images.RECIPES)
    )
    add("env", _env, 'shell lines for the running cluster: eval "$(python -m tests.cluster env)"')
    return parser


def _tools(given: argparse.Namespace) -> None:
    # The clients of registry mode are part of other builds.
    for name in [given.only] if given.only else [name for name in tools.BUILDS if name != "clients"]:
        tools.build(name)
    print(cache.ROOT / "bin")


def _images(_: argparse.Namespace) -> None:
    for name in images.RECIPES:
        image = images.make(name)
        print(f"{image.name}  {sum(layer.size for layer in image.layers) >> 20} MiB  {image.digest}")


def _save(given: argparse.Namespace) -> None:
    image = images.make(given.name)
    try:
        with given.file.open("wb") as out:
            archive.write_oci(image, out)
    except OSError as error:
        raise steps.Failure(f"cannot write {given.file}: {error.strerror}") from error
    print(f"{image.name}  {image.digest}")


def _load(given: argparse.Namespace) -> None:
    if not kind.running():
        raise steps.Failure("the cluster is not running", remedy="python -m tests.cluster up")
    for name in given.name:
        sent = images.load(name, modes.current())
        steps.say(f"{name}: {'loaded' if sent else 'is there already'}")


def _env(_: argparse.Namespace) -> None:
    print(f"export KUBECONFIG={shlex.quote(str(kind.KUBECONFIG))}")
    print(f"export PATH={shlex.quote(str(cache.ROOT / 'bin'))}:$PATH")


if __name__ == "__main__":
    sys.exit(main())
