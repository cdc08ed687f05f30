"""The cache: whole or absent, and built again exactly when something that goes in has changed."""

from pathlib import Path

import pytest

from tests.cluster import cache


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(cache, "ROOT", tmp_path / "cache")
    return tmp_path / "cache"


def test_a_folder_is_built_once_and_older_ones_of_its_name_go(root: Path) -> None:
    """The second call finds the first one's work; a new key replaces it and leaves its neighbours alone."""
    builds: list[str] = []

    def build(digest: str, name: str = "tool") -> Path:
        def fill(draft: Path) -> None:
            builds.append(digest)
            (draft / "file").write_text(digest)

        return cache.folder("tools", name, digest, fill)

    other = build("1", "tool-two")
    old = build("1")
    assert build("1") == old
    new = build("2")
    assert builds == ["1", "1", "2"]
    assert set((root / "tools").iterdir()) == {other, new}


def test_a_build_that_fails_leaves_nothing_that_looks_finished(root: Path) -> None:
    """An interrupted build is begun again, never used half."""

    def broken(draft: Path) -> None:
        (draft / "half").write_text("")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.folder("tools", "tool", "1", broken)
    made = cache.folder("tools", "tool", "1", lambda draft: (draft / "whole").touch())
    assert [path.name for path in made.iterdir()] == ["whole"]


def test_the_key_follows_contents_names_and_modes(tmp_path: Path) -> None:
    """A renamed, edited or newly executable file is another key; bytecode is not."""
    folder = tmp_path / "sources"
    (folder / "__pycache__").mkdir(parents=True)
    file = folder / "a"
    keys = [cache.key(folder)]
    file.write_text("1")
    keys.append(cache.key(folder))
    file.chmod(0o755)
    keys.append(cache.key(folder))
    file.rename(folder / "b")
    keys.append(cache.key(folder))
    (folder / "__pycache__" / "b.pyc").write_text("")
    assert len(set(keys)) == len(keys)
    assert cache.key(folder) == keys[-1]
