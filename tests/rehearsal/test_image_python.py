"""Modules are compiled ahead for the images' Python, whichever Python this machine has."""

import importlib.util
import sys
from pathlib import Path

import pytest

from tests.cluster import image_python, steps
from tests.cluster.versions import VERSIONS
from tests.lanes import preparation

FOREIGN = (3, 13, 0)
pytestmark = pytest.mark.skipif(
    sys.version_info[:2] != tuple(map(int, VERSIONS.python.split("."))),
    reason="byte code can be read by the images' own Python only",
)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A folder with one module that is right and one that is not."""
    (tmp_path / "right.py").write_text("ANSWER = 42\n")
    (tmp_path / "wrong.py").write_text("def\n")
    return tmp_path


def byte_code(package: Path) -> bytes:
    """What stands in the one file that is made."""
    (made,) = package.rglob("*.pyc")
    return made.read_bytes()


def test_modules_are_compiled_whatever_stands_beside_them(package: Path) -> None:
    """A module that is wrong on purpose stops no other; the code is taken without a look at the source."""
    image_python.compile_all(package)
    assert byte_code(package)[:8] == importlib.util.MAGIC_NUMBER + b"\1\0\0\0"


def test_another_python_here_makes_the_same_byte_code(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine with Python 3.13 the images' own Python compiles, from its root file system."""
    image_python.compile_all(package)
    ours = byte_code(package)
    try:
        image_python.debian()
    except steps.Failure as reason:
        preparation.unavailable(str(reason))
    for made in package.rglob("*.pyc"):
        made.unlink()
    monkeypatch.setattr(image_python.sys, "version_info", FOREIGN)
    image_python.compile_all(package)
    assert byte_code(package) == ours
