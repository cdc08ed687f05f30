"""The health check and the actions for Argo CD, in Argo's own format of cases, run by Argo's own code."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.gitops.judges import argocd

FOLDER = Path(__file__).resolve().parents[2] / "manifests" / "gitops" / "argocd"
ACTIONS = FOLDER / "actions"

pytestmark = pytest.mark.programs("argocd")


def cases(file: Path, section: str) -> list[Any]:
    """The cases of a file, each with the name of its input."""
    return [
        pytest.param(case, id=" ".join([case.get("action", ""), Path(case["inputPath"]).stem]).strip())
        for case in yaml.safe_load(file.read_text())[section]
    ]


def loaded(folder: Path, path: str) -> dict[str, Any]:
    """An object of the cases."""
    body: dict[str, Any] = yaml.safe_load((folder / path).read_text())
    return body


@pytest.mark.parametrize("case", cases(FOLDER / "health_test.yaml", "tests"))
def test_health(case: dict[str, Any]) -> None:
    """Healthy, Progressing, Degraded or Suspended, with the sentence of the condition."""
    body = loaded(FOLDER, case["inputPath"])
    assert argocd("health", (FOLDER / "health.lua").read_text(), body) == case["healthStatus"]


@pytest.mark.parametrize("case", cases(ACTIONS / "action_test.yaml", "discoveryTests"))
def test_the_actions_that_are_offered(case: dict[str, Any]) -> None:
    """What would change nothing is disabled."""
    body = loaded(ACTIONS, case["inputPath"])
    offered = argocd("discovery", (ACTIONS / "discovery.lua").read_text(), body)
    found = {action["name"]: action.get("disabled", False) for action in offered}
    assert found == {action["name"]: action["disabled"] for action in case["result"]}


@pytest.mark.parametrize("case", cases(ACTIONS / "action_test.yaml", "actionTests"))
def test_what_an_action_changes(case: dict[str, Any]) -> None:
    """One field, and nothing else."""
    script = (ACTIONS / case["action"] / "action.lua").read_text()
    (changed,) = argocd("action", script, loaded(ACTIONS, case["inputPath"]))
    assert changed == loaded(ACTIONS, case["expectedOutputPath"])
