"""The examples for GitHub Actions and GitLab CI: their scripts run as they stand, in a repository with a change."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.programs import listed

PIPELINES = Path(__file__).resolve().parents[3] / "manifests" / "gitops" / "pipelines"
ENDPOINT = """
apiVersion: streamingendpoints.dev/v1alpha1
kind: StreamingEndpoint
metadata: {name: qwen, namespace: models}
spec:
  replicas: 2
  model: {source: {huggingFace: {repo: org/model}}}
  exposure: {host: qwen.example.com, ingress: {className: nginx}}
"""
NEW_FLAG = ENDPOINT.replace("replicas: 2", "replicas: 2\n  engine: {args: [--seed=1]}")
NEW_HOST = ENDPOINT.replace("qwen.example.com", "new.example.com")


def github() -> str:
    """The step that compares."""
    job = yaml.safe_load((PIPELINES / "github" / "endpoints.yaml").read_text())["jobs"]["diff"]
    return str(next(step["run"] for step in job["steps"] if step.get("name") == "What it changes"))


def gitlab() -> str:
    """The script that compares, with what is done before it."""
    job = yaml.safe_load((PIPELINES / "gitlab-ci.yaml").read_text())["diff"]
    fetch = [line for line in job["before_script"] if line.startswith("git")]
    return "\n".join([*fetch, *job["script"]])


def a_repository(folder: Path, change: str | None) -> Path:
    """A clone whose branch changes endpoints/qwen.yaml, None: adds it; its origin has what there was before."""
    origin, clone = folder / "origin", folder / "clone"
    who = ("-c", "user.name=test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false")

    def git(at: Path, *words: str) -> None:
        subprocess.run(listed(["git", "-C", str(at), *who, *words]), check=True, capture_output=True)

    (origin / "endpoints").mkdir(parents=True)
    git(origin, "init", "--quiet", "--initial-branch=main")
    file = "endpoints/qwen.yaml"
    if change is None:
        (origin / "README.md").write_text("endpoints\n")
    else:
        (origin / file).write_text(ENDPOINT)
    git(origin, "add", "--all")
    git(origin, "commit", "--quiet", "--message=before")
    git(folder, "clone", "--quiet", str(origin), str(clone))
    (clone / "endpoints").mkdir(exist_ok=True)
    (clone / file).write_text(ENDPOINT if change is None else change)
    return clone


@pytest.mark.parametrize(
    ("change", "variables", "codes"),
    [
        (ENDPOINT, {}, (0, 0)),
        (None, {}, (0, 10)),
        (NEW_HOST, {}, (0, 10)),
        (NEW_FLAG, {}, (11, 11)),
        (NEW_FLAG, {"MAY_RESTART": "true"}, (0, 10)),
        (ENDPOINT.replace("replicas: 2", "replicas: two"), {}, (1, 1)),
    ],
    ids=["nothing", "new", "route", "pods", "pods, allowed", "invalid"],
)
def test_a_change_ends_the_job_as_its_page_says(
    tmp_path: Path, change: str | None, variables: dict[str, str], codes: tuple[int, int]
) -> None:
    """The shell's own options are those of the runners."""
    clone = a_repository(tmp_path, change)
    environment: dict[str, Any] = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "BASE": "origin/main",
        "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main",
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
        **variables,
    }
    ended = [
        subprocess.run(
            listed(["bash", *options, "-c", script]),
            cwd=clone,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        for options, script in ((["-e"], github()), (["-eo", "pipefail"], gitlab()))
    ]
    assert tuple(one.returncode for one in ended) == codes, [one.stdout + one.stderr for one in ended]
    if 1 not in codes:
        assert "models/qwen: " in (tmp_path / "summary.md").read_text()
