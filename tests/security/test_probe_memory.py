"""
What a pod answers takes little of the operator: memory of all probes together, and nothing of its event loop.

The probes run in a process of their own, whose memory the kernel counts; the hostile servers run in this one.
"""

import contextlib
import json
import subprocess
import sys
from typing import Any

import pytest

from tests.security.hostile import ANSWERS, COSTLIEST, HTTP2, serving
from tests.security.probe_alone import AT_ONCE

MEMORY_MIB = 64
"""All probes together, at any time."""
LOOP_SHARE = 0.25
"""Of the processor time: the loop starts and ends verifications, and other threads do the parsing."""


def _probed(answers: list[bytes | tuple[bytes, ...]], *options: str) -> dict[str, Any]:
    with contextlib.ExitStack() as stack:
        ports = [str(stack.enter_context(serving(answer))) for answer in answers]
        arguments = [*options, *ports]
        out = subprocess.run(
            [sys.executable, "-m", "tests.security.probe_alone", *arguments],
            check=True,
            capture_output=True,
            text=True,
            timeout=300,
        )
    result: dict[str, Any] = json.loads(out.stdout)
    return result


@pytest.mark.parametrize(("answers", "options"), [(ANSWERS, ()), (HTTP2, ("--http2",))], ids=["1.1", "2"])
def test_sixteen_probes_of_hostile_pods_take_little(answers: Any, options: tuple[str, ...]) -> None:
    """Every hop of sixteen endpoints answers in another hostile way: under 64 MiB, and none of it in the event loop."""
    took = _probed([make() for make in answers.values()], *options)
    print(f"{AT_ONCE} probes, {len(answers)} answers: {took}")
    assert took["memory"] < MEMORY_MIB
    assert took["loop"] < LOOP_SHARE * took["process"]
    assert "Streaming" not in took["verdicts"]


def test_sixteen_probes_of_the_costliest_answer_take_little() -> None:
    """All of them keep as much as is kept of a stream, of every hop and repetition, and of one without an end."""
    took = _probed([COSTLIEST, COSTLIEST, ANSWERS["token events without end"]()])
    print(f"{AT_ONCE} probes of the costliest: {took}")
    assert took["memory"] < MEMORY_MIB
