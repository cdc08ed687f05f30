"""The layout's few hard rules, which an editor's "new package" would break without a sound."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
SOURCES = ROOT / "operator"
LINES_AT_MOST = 400


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
