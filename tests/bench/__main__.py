"""`python -m tests.bench [accuracy|reconcile|takeover|memory|stored|tools]`: one part, or the first three without."""

import argparse
import sys
from pathlib import Path

from tests.bench import accuracy, memory, reconcile, side_by_side, stored, takeover
from tests.cluster import command

PARTS = ("accuracy", "reconcile", "takeover", "memory", "stored", "tools")
AT_ONCE = 25
"""Streams at a time where the field's clients are compared."""


def main() -> int:
    """Parse the flags and run; the exit code. What was started ends with it, by a signal too."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("part", nargs="?", choices=PARTS)
    parser.add_argument("--endpoints", type=int, default=1000, help="reconcile: created at once")
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=memory.SIZES, help="memory: endpoints, growing"
    )
    parser.add_argument(
        "--rounds", type=int, default=3, help="reconcile: turns of both; takeover: of each kind"
    )
    parser.add_argument("--log", type=Path, help="reconcile, takeover: keep the operator's log in this file")
    parser.add_argument("--at-once", type=int, help="accuracy, tools: only this many at once")
    parser.add_argument("--streams", type=int, default=6, help="accuracy: streams of each with --at-once")
    parser.add_argument("--keep", type=Path, help="accuracy: keep the captures in this directory")
    parser.add_argument(
        "--links", type=int, default=1000, help="stored: responses, each over a link of its own"
    )
    parser.add_argument("--seed", type=int, default=1, help="stored: of the links")
    chosen = parser.parse_args()
    return command.run(
        lambda: measure(chosen), failed="bench", interrupted="bench: interrupted, what it started has ended"
    )


def measure(chosen: argparse.Namespace) -> None:
    """The parts that were asked for."""
    if chosen.part in (None, "accuracy"):
        levels = {chosen.at_once: chosen.streams} if chosen.at_once else accuracy.LEVELS
        accuracy.run(levels, chosen.keep)
    if chosen.part in (None, "reconcile"):
        reconcile.run(chosen.endpoints, chosen.rounds, chosen.log)
    if chosen.part in (None, "takeover"):
        takeover.run(chosen.rounds, chosen.log)
    if chosen.part == "memory":
        memory.run(tuple(chosen.sizes), chosen.log)
    if chosen.part == "stored":
        stored.run(chosen.links, chosen.seed)
    if chosen.part == "tools":
        side_by_side.run(chosen.at_once or AT_ONCE)


if __name__ == "__main__":
    sys.exit(main())
