"""Reads our workflows and the users' example with actionlint, built from its Go module once (half a minute)."""

import sys
from pathlib import Path

from tests.cluster import steps, tools

ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
    """Print what is wrong with the workflows; 1 when something is."""
    try:
        lint(ROOT / ".github" / "workflows")
        lint(ROOT / "manifests" / "gitops" / "pipelines" / "github")
    except steps.Failure as failure:
        steps.say(f"error: {failure}")
        return 1
    return 0


def lint(folder: Path) -> None:
    """Failure with what actionlint found in the workflows of a folder."""
    actionlint = tools.build("actionlint")["actionlint"]
    # Neither shellcheck nor pyflakes: whether they are installed must not decide what passes.
    steps.output([actionlint, "-no-color", "-shellcheck=", "-pyflakes=", *sorted(folder.glob("*.yaml"))])


if __name__ == "__main__":
    sys.exit(main())
