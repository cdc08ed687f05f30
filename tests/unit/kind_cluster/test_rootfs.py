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
