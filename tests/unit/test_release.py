"""What a release says of itself agrees, and its Dockerfile and workflows keep what they promise."""

import re
from pathlib import Path

import pytest
import yaml

from hack import release
from tests.cluster import steps

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yaml"))
CHANGES = "# Changelog\n\n## Unreleased\n\n- new\n\n## 1.2.3 - 2026-01-02\n\n- first\n- second\n\n## 1.2.0\n\n- old\n"


def dockerfile() -> str:
    return (ROOT / "Dockerfile").read_text().replace("\\\n", " ")


def test_notes_are_the_section_of_one_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the next section nor the title; a version without one is refused with what to do."""
    (tmp_path / "CHANGELOG.md").write_text(CHANGES)
    monkeypatch.setattr(release, "ROOT", tmp_path)
    assert release.notes("1.2.3") == "- first\n- second\n"
    with pytest.raises(steps.Failure, match=r"no section about 1\.2\.4"):
        release.notes("1.2.4")


def test_a_tag_of_another_version_is_no_release(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tag, project and chart are held against each other before anything is published."""
    with pytest.raises(
        steps.Failure, match=rf"pyproject\.toml says {re.escape(release.version())}, tag says 99\.0\.0"
    ):
        release.verify("v99.0.0")
    monkeypatch.setattr(release, "notes", lambda version: version)
    release.verify(f"v{release.version()}")  # so the chart agrees


def test_an_image_of_a_source_archive_has_no_revision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has no history that git could be asked for, and `make image` works all the same."""
    monkeypatch.setattr(release, "ROOT", tmp_path)
    assert release.revision() == ""


def test_a_published_chart_names_the_registry_of_its_image() -> None:
    """Only there: the chart in the tree names none. Names of images have no capitals."""
    values = (ROOT / "charts" / "streaming-operator" / "values.yaml").read_text()
    published = yaml.safe_load(release.published(values, "ghcr.io/Somebody"))
    assert published["image"]["repository"] == "ghcr.io/somebody/streaming-operator"
    assert release.published(values, "") == values
    assert published | {"image": yaml.safe_load(values)["image"]} == yaml.safe_load(values)


def test_the_image_is_made_of_locked_wheels_without_root_or_tools() -> None:
    """Hashes are checked, nothing is compiled from source, and the last stage runs no command of a build."""
    text = dockerfile()
    last = text[text.rindex("\nFROM ") :]
    assert re.findall(r"^(RUN|ADD|USER|ENTRYPOINT) .*$", last, re.M) == ["USER", "ENTRYPOINT"]
    assert re.findall(r"^USER (.*)$", last, re.M) == ["65532:65532"]
    for install in re.findall(r"pip install[^&]*", text):
        assert "--require-hashes" in install or "--no-index --no-deps" in install


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_has_no_right_that_it_does_not_name(path: Path) -> None:
    """The token reads by default; a job that needs more says so, and every job ends by itself."""
    workflow = yaml.safe_load(path.read_text())
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 120


def test_workflows_only_call_make_targets_that_exist() -> None:
    """A workflow is thin: what it builds can be built on any machine."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    called = {
        name
        for path in WORKFLOWS
        for name in re.findall(r"run: make (?:--silent )?([a-z-]+)", path.read_text())
    }
    assert {"check", "package", "sbom", "image"} <= called
    assert called - targets == set()
