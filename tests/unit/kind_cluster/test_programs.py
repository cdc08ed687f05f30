"""Every program that this repository calls is in the table that says who brings it."""

import ast
import re
import subprocess
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import zip_longest
from pathlib import Path

import pytest

from tests.cluster import packages, programs, steps, tools
from tests.cluster.programs import listed

ROOT = Path(__file__).resolve().parents[3]
STARTS = {
    *(f"subprocess.{name}" for name in ("run", "Popen", "call", "check_call", "check_output", "getoutput")),
    *(f"asyncio.create_subprocess_{kind}" for kind in ("exec", "shell")),
    *(f"os.{name}" for name in ("system", "popen", "posix_spawn", "posix_spawnp")),
    *(f"os.{family}{kind}" for family in ("exec", "spawn") for kind in ("l", "le", "lp", "v", "ve", "vp", "vpe")),
}  # fmt: skip
"""What starts a program, in the standard library."""
STEPS = ROOT / "tests" / "cluster" / "steps.py"
"""The one module that may start what it is given: it asks the table itself."""
NAMED = {"listed", "run", "output", "succeeds", "which", "require", "_tool"}
"""Functions that take a command, or the names of programs."""


def past_the_table(nodes: Iterable[ast.AST]) -> Iterator[ast.Call | ast.ImportFrom]:
    """Calls that start a program, except this Python itself, without asking `programs.listed`."""
    for node in nodes:
        if isinstance(node, ast.Call):
            for function, command in zip_longest([node.func, *node.args], node.args):
                if _dotted(function) in STARTS and not (_is_listed(command) or _is_this_python(command)):
                    yield node
        elif isinstance(node, ast.ImportFrom) and STARTS & {
            f"{node.module}.{name.name}" for name in node.names
        }:
            yield node


def _dotted(node: ast.expr | None) -> str:
    """`module.name`, as STARTS has them; empty for anything else."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return f"{node.value.id}.{node.attr}"
    return ""


def _is_listed(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func) in ("listed", "programs.listed")


def _is_this_python(node: ast.expr | None) -> bool:
    return isinstance(node, ast.List) and bool(node.elts) and ast.unparse(node.elts[0]) == "sys.executable"


def written_out(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """Names of programs that the source writes out where it calls or looks up one."""
    for node in nodes:
        if not isinstance(node, ast.Call):
            continue
        function = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if function in ("which", "require", "_tool"):
            yield from _strings(node.args)
        elif function in NAMED and node.args and isinstance(node.args[0], ast.List | ast.Tuple):
            yield from _strings(node.args[0].elts[:1])


def _strings(nodes: list[ast.expr]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def sources() -> list[Path]:
    """The Python files of this repository."""
    return [path for folder in ("operator", "hack", "tests") for path in (ROOT / folder).rglob("*.py")]


@cache
def calls(path: Path) -> tuple[ast.Call | ast.ImportFrom, ...]:
    """What could start or name a program in a file."""
    tree = ast.parse(path.read_text())
    return tuple(node for node in ast.walk(tree) if isinstance(node, ast.Call | ast.ImportFrom))


def test_nothing_is_started_past_the_table() -> None:
    """Every program is started through `listed`, so that a name in nobody's list fails in a test or at once."""
    unlisted = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in sources()
        if path != STEPS
        for node in past_the_table(calls(path))
    ]
    assert unlisted == []


@pytest.mark.parametrize(
    "source",
    [
        "subprocess.run(['jq', '.'])",
        "subprocess.Popen(words)",
        "asyncio.to_thread(subprocess.run, words)",
        "await asyncio.create_subprocess_exec('jq')",
        "from subprocess import run",
        "os.execv('/usr/bin/jq', words)",
    ],
)
def test_a_start_past_the_table_is_seen(source: str) -> None:
    """The search sees a call, a function passed on, and one imported by its name."""
    assert len(list(past_the_table(ast.walk(ast.parse(source))))) == 1


def test_every_program_that_is_called_has_somebody_who_brings_it() -> None:
    """A program in nobody's list fails here, not on the machine of whoever follows the README."""
    called = {name: path for path in sources() for name in written_out(calls(path))}
    assert {"go", "docker", "mmdebstrap", "uv"} <= set(called)  # the search does find calls
    unlisted = {
        name: str(path.relative_to(ROOT))
        for name, path in called.items()
        if "/" not in name and name not in programs.PROGRAMS
    }
    assert unlisted == {}


def test_every_program_in_the_table_is_called() -> None:
    """A row that nothing calls any more does not ask a reader for it."""
    text = "".join(
        path.read_text() for path in sources() if path.name not in ("programs.py", Path(__file__).name)
    )
    makefile = (ROOT / "Makefile").read_text()
    unused = {
        name
        for name in programs.PROGRAMS
        if not re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text + makefile)
    }
    assert unused == set()


def test_no_program_is_called_past_the_table() -> None:
    """A name that nobody brings is refused before it is looked for."""
    command = ["true"]
    with pytest.raises(programs.Unlisted, match="'true'"):
        steps.succeeds(command)


def test_a_missing_program_is_reported_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """The failure names the package to install."""
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(steps.Failure, match="install binutils"):
        steps.output(["readelf", "--version"])


def test_a_missing_library_is_reported_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing can be installed the failure names the package; a library that loads needs none."""
    monkeypatch.setattr(programs, "LIBRARIES", {"libc.so.6": "libc6", "libnowhere.so.7": "libnowhere7"})
    monkeypatch.setattr(packages.os, "geteuid", lambda: 1000)
    packages.require_libraries("libc.so.6", about="a test")
    with pytest.raises(steps.Failure, match="install libnowhere7"):
        packages.require_libraries("libc.so.6", "libnowhere.so.7", about="a test")


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
        listed(["make", "-C", ROOT, "--dry-run", "--no-print-directory", "lock", "check", "PYTHON=python3"]),
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    first = {line.strip().lstrip("@").split()[0] for line in done.stdout.splitlines() if line.strip()}
    ours = {word for word in first if word.startswith((".venv/bin/", "--", "pyproject.toml")) or "=" in word}
    assert {word for word in first - ours if word not in programs.PROGRAMS} <= {"test", "echo", "rm"}
