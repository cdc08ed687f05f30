"""helm for the test cluster: with a home of its own, and past an upgrade that was killed.

helm marks a release `pending-...` while it works on it. Killed before it can take that back, it leaves the mark, and
every later upgrade ends with "another operation is in progress".
"""

from __future__ import annotations

import json
from pathlib import Path

from . import cache, clients, kind, steps


def environment() -> dict[str, str]:
    """Where helm keeps its own files: in the cache, not in the user's home."""
    return {
        f"HELM_{name}_HOME": str(cache.STATE / "helm" / name.lower()) for name in ("CACHE", "CONFIG", "DATA")
    }


def argv(*words: str | Path, namespace: str, kubeconfig: Path = kind.KUBECONFIG) -> list[str]:
    """A helm command line for this cluster."""
    return [
        str(clients.find("helm")),
        *map(str, words),
        "--kubeconfig",
        str(kubeconfig),
        "--namespace",
        namespace,
    ]


def give_up_interrupted(release: str, namespace: str, kubeconfig: Path = kind.KUBECONFIG) -> bool:
    """
    Take back what a killed helm left pending; whether there was anything.

    Back to the last revision that was deployed. An installation has none: it is uninstalled.
    """
    revisions = _history(release, namespace, kubeconfig)
    if not revisions or not str(revisions[-1]["status"]).startswith("pending"):
        return False
    deployed = [str(one["revision"]) for one in revisions if one["status"] == "deployed"]
    words = ("rollback", release, deployed[-1]) if deployed else ("uninstall", release)
    steps.output(argv(*words, namespace=namespace, kubeconfig=kubeconfig), env=environment())
    return True


def _history(release: str, namespace: str, kubeconfig: Path) -> list[dict[str, object]]:
    """The revisions, oldest first; none where nothing of this name was ever installed."""
    try:
        text = steps.output(
            argv("history", release, "--output", "json", namespace=namespace, kubeconfig=kubeconfig),
            env=environment(),
        )
    except steps.Failure as failure:
        if "release: not found" in failure.what:
            return []
        raise
    revisions: list[dict[str, object]] = json.loads(text)
    return sorted(revisions, key=lambda one: int(str(one["revision"])))
