"""
Which flags the versions of `vllm serve` take, and what is wrong with arguments that hold others. Pure.

The tables in `vllm_flags/` are written by `hack/vllm_flags.py` from vLLM's own parser, a file a minor version: a line a
flag, its names and how many values it takes. A version without a table is not judged.
"""

import difflib
import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from types import MappingProxyType

Minor = tuple[int, int]
"""`(0, 33)` of 0.33.x."""

FOLDER = resources.files("streaming_operator.engines").joinpath("vllm_flags")
_NUMBER = re.compile(r"-\d+(\.\d*)?|-\.\d+")
_OPTIMIZATION = re.compile(r"-O=?\w*")
"""`-O3`, which vLLM's parser takes apart itself."""


@cache
def tables() -> Mapping[Minor, frozenset[str]]:
    """The names of all flags by version, in the order of versions."""
    by_version = {}
    for file in FOLDER.iterdir():
        major, minor, _ = file.name.split(".")
        lines = (line.split()[:-1] for line in file.read_text(encoding="utf-8").splitlines())
        by_version[int(major), int(minor)] = frozenset(name for names in lines for name in names)
    return MappingProxyType(dict(sorted(by_version.items())))


def unknown(args: tuple[str, ...], version: Minor) -> tuple[str, ...]:
    """What the server of this version would not take, one sentence a flag; () for a version without a table."""
    known = tables().get(version)
    if known is None:
        return ()
    problems = (_problem(name, known, version) for name in dict.fromkeys(map(_name, args)) if name)
    return tuple(problem for problem in problems if problem)


def _name(arg: str) -> str:
    """The flag that an argument names, as vLLM's parser compares it; "" for a value."""
    if (
        not arg.startswith("-")
        or arg in ("-", "--")
        or _NUMBER.fullmatch(arg)
        or _OPTIMIZATION.fullmatch(arg)
    ):
        return ""
    # `--compilation-config.mode 3` sets a member of a flag that takes JSON.
    name = arg.partition("=")[0].partition(".")[0]
    return name.replace("_", "-") if name.startswith("--") else name


def _problem(name: str, known: frozenset[str], version: Minor) -> str | None:
    """Why the server would not start with this flag; None if it knows it, abbreviated too."""
    if name in known:
        return None
    begun = sorted(flag for flag in known if name.startswith("--") and flag.startswith(name))
    if len(begun) == 1:
        return None
    if begun:
        return f"{name} may be {' or '.join(begun[:4])}"
    return f"{name} {_history(name, version)}{_near(name, known)}"


def _history(name: str, version: Minor) -> str:
    """Whether other versions know the flag."""
    having = [other for other, flags in tables().items() if name in flags]
    if having and max(having) < version:
        gone = min(other for other in tables() if other > max(having))
        return f"was removed in {_written(gone)}"
    if having:
        return f"is new in {_written(min(having))}"
    return f"is no flag of vLLM {_written(version)}"


def _near(name: str, known: frozenset[str]) -> str:
    """The flag that may be meant: with another ending, or spelled nearly so."""
    words = name.removeprefix("--").split("-")[1:]
    same_end = [flag for flag in sorted(known) if words and flag.endswith("-".join(["", *words]))]
    near = same_end or difflib.get_close_matches(name, sorted(known), 1, 0.75)
    return f" (is {near[0]} meant?)" if near else ""


def _written(version: Minor) -> str:
    return f"{version[0]}.{version[1]}"
