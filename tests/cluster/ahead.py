"""
Makes what a first demo needs later, while Kubernetes is built: root file systems, ingress-nginx, vLLM, helm.

Building Kubernetes keeps one of two processors busy half of the time. A process of its own fills the cache with the
rest: whoever needs a piece finds it there, or waits until it is made. What fails here is tried again by who needs it,
and reported there; here it is in the log.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from . import (
    cache,
    command,
    image_python,
    ingress,
    node_image,
    operator_image,
    rootfs,
    steps,
    tools,
    vllm_image,
)

_LONG = ("apiserver", "node")
"""The builds beside which there is time for everything else."""


def _node() -> None:
    rootfs.debian("node", node_image.PACKAGES, variant="apt")


def _helm() -> None:
    tools.build("helm")


PIECES: tuple[Callable[[], object], ...] = (
    _node,
    ingress.image,
    image_python.debian,
    operator_image.base,
    operator_image.wheels,
    vllm_image.image,
    _helm,
)
"""In the order in which the demo asks for them."""


def main() -> int:
    """Make all pieces; 130 when interrupted."""
    return command.run(lambda: make(PIECES), failed="error", interrupted="interrupted")


def make(pieces: Sequence[Callable[[], object]]) -> None:
    """Make one after the other; one that fails stops no other."""
    for piece in pieces:
        try:
            piece()
        except steps.Failure as failure:
            steps.say(f"left to who needs it: {failure}")


@contextmanager
def beside() -> Iterator[None]:
    """While Kubernetes has still to be built, make the pieces beside what the block does; they end with it."""
    if all(tools.is_built(name) for name in _LONG):
        yield
        return
    log = cache.log("ahead")
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.cluster.ahead"],
            cwd=operator_image.REPO, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
        )  # fmt: skip
    steps.say(f"Beside the first steps the later ones are prepared: {log}")
    try:
        yield
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(2 * steps.GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


if __name__ == "__main__":
    sys.exit(main())
