"""Paths inside a root file system that is not the one of this machine."""

from pathlib import Path

import pytest

from tests.cluster import rootfs


@pytest.mark.parametrize("target", ["/lib/loader-2", "../lib/loader-2"])
def test_a_link_leads_to_a_file_of_the_same_root(tmp_path: Path, target: str) -> None:
    """Debian 12's loader is an absolute link: followed on Debian 13, it was Debian 13's, and every program crashed."""
    for folder in ("lib", "lib64"):
        (tmp_path / folder).mkdir()
    (tmp_path / "lib/loader-2").write_text("this root's")
    (tmp_path / "lib64/loader").symlink_to(target)
    assert rootfs.inside(tmp_path, "/lib64/loader").resolve() == tmp_path / "lib/loader-2"


def test_a_later_date_takes_debians_updates_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """The packages stay the same and the root file system is another one: nothing old is taken from the cache."""
    made: list[str] = []

    def folder(group: str, name: str, digest: str, build: object) -> Path:
        made.append(digest)
        return Path()

    monkeypatch.setattr(rootfs.cache, "folder", folder)
    for updates in ("", "2026-11-01", "2026-12-01", "2026-12-01"):
        rootfs.debian("base", ("libc6",), updates=updates)
    assert len(set(made)) == 3
    assert made[2] == made[3]
