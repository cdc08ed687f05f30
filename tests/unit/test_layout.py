"""The layout's few hard rules, which an editor's "new package" would break without a sound."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
SOURCES = ROOT / "operator"
LINES_AT_MOST = 400
BROUGHT_ALONG = {"pydantic_core"}
"""Needed in one version only, which pydantic names; its documentation has one import types and errors from there."""


@pytest.mark.parametrize("name", ["__init__.py", "operator.py"])
def test_operator_stays_a_source_root(name: str) -> None:
    """`operator/` is never a package: `operator` is in the standard library, and hiding it breaks Python."""
    assert not (SOURCES / name).exists()


def test_python_starts_in_the_repository_root() -> None:
    """With the repository root first on the path, `import operator` still finds the standard library's."""
    code = "import operator, collections; print(operator.__file__)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert str(ROOT) not in done.stdout


def test_modules_are_small_and_say_what_they_own() -> None:
    """Every module of the package begins with a docstring and stays within 400 lines (but for one table)."""
    too_long, silent = [], []
    for path in sorted(SOURCES.rglob("*.py")):
        text = path.read_text()
        name = str(path.relative_to(SOURCES))
        if text.count("\n") > LINES_AT_MOST and name != "streaming_operator/api/endpoint.py":
            too_long.append(name)
        if text.strip() and not text.lstrip().startswith('"""'):
            silent.append(name)
    assert (too_long, silent) == ([], [])


def test_lock_files_name_no_index() -> None:
    """Lock files hold names, versions and hashes, and every package has a hash; no index is pinned."""
    for name in ("requirements.lock", "requirements-dev.lock"):
        text = (ROOT / name).read_text()
        assert "://" not in text, name
        for entry in re.split(r"\n(?=[a-z])", text.strip()):
            assert "--hash=sha256:" in entry, f"{name}: {entry.splitlines()[0]}"


def test_what_the_package_imports_is_declared() -> None:
    """A library that only comes with another one may leave with it."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    declared = {re.split(r"[^\w-]", line)[0] for line in project["dependencies"]}
    trees = (ast.parse(path.read_text()) for path in SOURCES.rglob("*.py") if "templates" not in path.parts)
    statements = [node for tree in trees for node in ast.walk(tree)]
    names = {alias.name for node in statements if isinstance(node, ast.Import) for alias in node.names} | {
        node.module
        for node in statements
        if isinstance(node, ast.ImportFrom) and node.module and not node.level
    }
    modules = {name.split(".")[0] for name in names} - {"streaming_operator", *sys.stdlib_module_names}
    distributions = packages_distributions()
    known = {name: {_normal(one) for one in distributions.get(name, ())} for name in modules - BROUGHT_ALONG}
    assert {name for name, of in known.items() if not of & declared} == set()


def _normal(distribution: str) -> str:
    """The name as pyproject.toml writes it."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def test_ci_runs_check_and_test() -> None:
    """`.ci/run` is executable, strict, and calls `make check` and `make test`."""
    path = ROOT / ".ci" / "run"
    text = path.read_text()
    assert path.stat().st_mode & 0o111
    for part in ("set -euo pipefail", "make check", "make test"):
        assert part in text


@pytest.mark.parametrize("page", ["architecture.md", "adding-a-route.md", "adding-an-engine.md"])
def test_pages_on_the_code_name_files_that_exist(page: str) -> None:
    """Every `folder/module.py` in the pages for developers is there, from the repository's root or the package's."""
    text = (ROOT / "docs" / page).read_text()
    named = set(re.findall(r"`((?:\w+/)+\w*(?:\.\w+)?)`", text))
    roots = (ROOT, SOURCES / "streaming_operator")
    assert named, page
    assert {name for name in named if not any((root / name).exists() for root in roots)} == set()
