"""Small Go programs around the libraries with which GitOps tools judge an object; one JSON line in, one line out."""

import json
import subprocess
from collections.abc import Iterable
from typing import Any

from tests.cluster import tools
from tests.cluster.programs import listed


def kstatus(objects: Iterable[dict[str, Any]]) -> list[str]:
    """What kstatus says of each object: Current, InProgress, Failed, Terminating."""
    return _asked("kstatus", "kstatus-judge", objects)


def argocd(do: str, script: str, body: dict[str, Any]) -> Any:
    """What a Lua script gives in Argo CD; *do* is `health`, `discovery` or `action`."""
    (answer,) = _asked("argocd", "argocd-judge", [{"do": do, "script": script, "object": body}])
    return json.loads(answer)


def flux(lines: Iterable[dict[str, Any]]) -> list[str]:
    """What Flux says of objects of its own, and of the health of others by expressions."""
    return _asked("flux", "flux-judge", lines)


def _asked(build: str, program: str, lines: Iterable[Any]) -> list[str]:
    text = "\n".join(map(json.dumps, lines))
    judge = tools.build(build)[program]
    ended = subprocess.run(listed([judge]), input=text, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.splitlines()
