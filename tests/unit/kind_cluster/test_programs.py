"""Every program that this repository calls is in the table that says who brings it."""

import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import programs, steps, tools

ROOT = Path(__file__).resolve().parents[3]
RUNS = {
    "run", "output", "succeeds", "Popen", "check_call", "check_output", "call", "create_subprocess_exec",
}  # fmt: skip
"""Functions that take a command, here and in the standard library; the words are a list or their arguments."""
LOOKS_UP = {"which", "require", "_tool"}
"""Functions that take names of programs."""


def called(tree: ast.AST) -> Iterator[str]:
    """Names of programs in calls that start or look up one, where the source writes them out."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        function = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if function in LOOKS_UP:
            yield from _strings(node.args)
        elif function in RUNS and node.args:
            first = node.args[0]
            if isinstance(first, ast.List | ast.Tuple):
                yield from _strings(first.elts[:1])
            elif function == "create_subprocess_exec":
                yield from _strings([first])


def _strings(nodes: list[ast.expr]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def sources() -> list[Path]:
    """The Python files of this repository."""
    return [path for folder in ("operator", "hack", "tests") for path in (ROOT / folder).rglob("*.py")]


def test_every_program_that_is_called_has_somebody_who_brings_it() -> None:
    """A program in nobody's list fails here, not on the machine of whoever follows the README."""
    found = {name: path for path in sources() for name in called(ast.parse(path.read_text()))}
    assert {"go", "docker", "mmdebstrap", "uv"} <= set(found)  # the search does find calls
    unlisted = {
        name: str(path.relative_to(ROOT))
        for name, path in found.items()
        if "/" not in name and " " not in name and name not in programs.PROGRAMS
    }
    assert unlisted == {}


def test_no_program_is_called_past_the_table() -> None:
    """The door itself refuses a name that nobody brings, before it looks for it."""
    command = ["true"]
    with pytest.raises(programs.Unlisted, match="'true'"):
        steps.succeeds(command)


def test_a_missing_program_is_told_with_what_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The failure names the package to install."""
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(steps.Failure, match="install binutils"):
        steps.output(["readelf", "--version"])


def test_programs_built_here_are_in_the_builds() -> None:
    """A row that names a Go build names one that makes this program."""
    for name, source in programs.PROGRAMS.items():
        if source.bringer == "go":
            assert name in tools.BUILDS[source.package].programs


def test_programs_of_the_lock_file_are_locked() -> None:
    """A row that names a wheel names one in requirements-dev.lock, with its hash."""
    lock = (ROOT / "requirements-dev.lock").read_text()
    locked = {line.partition("==")[0] for line in lock.splitlines() if "==" in line}
    assert {source.package for source in programs.PROGRAMS.values() if source.bringer == "lock"} <= locked


def test_every_command_in_the_makefile_comes_from_the_environment_or_the_reader() -> None:
    """What the Makefile calls is .venv's, this repository's, or a program of the table."""
    done = subprocess.run(
        ["make", "-C", str(ROOT), "--dry-run", "--no-print-directory", "lock", "check", "PYTHON=python3"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    first = {line.strip().lstrip("@").split()[0] for line in done.stdout.splitlines() if line.strip()}
    ours = {word for word in first if word.startswith((".venv/bin/", "--", "pyproject.toml")) or "=" in word}
    assert {word for word in first - ours if word not in programs.PROGRAMS} <= {"test", "echo", "rm"}
