"""Plug-ins are found by looking into their package."""

import sys
from pathlib import Path
from types import ModuleType

import pytest

from streaming_operator import registry


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """An importable package with two members and a module that offers none."""
    folder = tmp_path / "some_plugins"
    folder.mkdir()
    (folder / "__init__.py").write_text(
        "class Named:\n    def __init__(self, name):\n        self.name = name\n"
    )
    (folder / "base.py").write_text("")
    (folder / "one.py").write_text("from some_plugins import Named\nMEMBER = Named('one')\n")
    (folder / "two.py").write_text("from some_plugins import Named\nMEMBER = Named('two')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in [name for name in sys.modules if name.partition(".")[0] == "some_plugins"]:
        monkeypatch.delitem(sys.modules, name)
    __import__("some_plugins")
    return sys.modules["some_plugins"]


def test_every_module_with_the_attribute_is_a_member(package: ModuleType) -> None:
    """A new file is all it takes."""
    assert list(registry.members(package, "MEMBER")) == ["one", "two"]


def test_a_name_offered_twice_is_refused(package: ModuleType) -> None:
    """Which of the two would win must never depend on the order of files."""
    three = Path(str(package.__file__)).with_name("three.py")
    three.write_text("from some_plugins import Named\nMEMBER = Named('one')\n")

    with pytest.raises(registry.DuplicateMemberError, match=r"'one' is defined twice, by three\.py too"):
        registry.members(package, "MEMBER")
