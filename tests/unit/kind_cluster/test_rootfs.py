"""Paths inside a root file system that is not the one of this machine."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cluster import ingress, node_image, operator_image, python_images, rootfs


@pytest.mark.parametrize("target", ["/lib/loader-2", "../lib/loader-2"])
def test_a_link_leads_to_a_file_of_the_same_root(tmp_path: Path, target: str) -> None:
    """Debian 12's loader is an absolute link: followed on Debian 13, it was Debian 13's, and every program crashed."""
    for folder in ("lib", "lib64"):
        (tmp_path / folder).mkdir()
    (tmp_path / "lib/loader-2").write_text("this root's")
    (tmp_path / "lib64/loader").symlink_to(target)
    assert rootfs.inside(tmp_path, "/lib64/loader").resolve() == tmp_path / "lib/loader-2"


IMAGES: dict[str, Callable[[], object]] = {
    "root file system": lambda: rootfs.debian("base", ("libc6",)),
    "node": node_image.digest,
    "ingress-nginx": ingress.image,
    "python": python_images.base,
    "operator": operator_image.base,
}
"""What is made from Debian's packages: all other images are layers on one of these, or hold programs alone."""


@pytest.mark.parametrize("name", IMAGES)
def test_a_later_date_takes_debians_updates_into_every_image(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    """The packages stay the same and what is made of them is another: nothing old is taken from the cache."""
    keys: list[str] = []

    def folder(group: str, name: str, digest: str, build: object) -> Path:
        keys.append(digest)
        return tmp_path

    (tmp_path / "layer.json").write_text('{"digest": "sha256:0", "size": 0}')
    monkeypatch.setattr(rootfs.cache, "folder", folder)
    for updates in ("2026-11-01", "2026-12-01", "2026-12-01"):
        monkeypatch.setattr(rootfs, "VERSIONS", replace(rootfs.VERSIONS, debian_updates=updates))
        answer = IMAGES[name]()
        keys.extend([answer] if isinstance(answer, str) else [])
    before, after, again = keys
    assert before != after == again
