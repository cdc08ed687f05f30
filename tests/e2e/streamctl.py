"""`streamctl` as a pipeline runs it."""

import json
import subprocess
import sys
from typing import Any

from tests.cluster import kind
from tests.cluster.programs import listed

LONGEST = 300
"""Seconds for one command; a few are usual."""


def streamctl(*words: str) -> tuple[int, dict[str, Any]]:
    """Exit code and report."""
    command = [sys.executable, "-m", "streaming_operator", *words, "--kubeconfig", str(kind.KUBECONFIG)]
    done = subprocess.run(
        listed([*command, "--output", "json"]), capture_output=True, text=True, timeout=LONGEST, check=False
    )
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)
