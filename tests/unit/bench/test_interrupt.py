"""A measurement that is ended by a signal leaves no program behind."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.kind_cluster.test_interrupt import (
    ROOT,
    SECONDS,
    alive,
    eventually,
    folder,  # noqa: F401 - a fixture
    pids,
    place,
    waits_for_a_program,
)

STUBBORN = """#!/bin/sh
trap 'echo >> "$STARTED.asked"' TERM
echo $$ >> "$STARTED"
while :; do sleep 0.05; done
"""
"""A program that does not end when it is asked to, and writes down how often it was."""
BENCH = """
import runpy, signal
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whoever runs these tests may have called them with `nohup`
runpy.run_module("tests.bench", run_name="__main__", alter_sys=True)
"""
WAITS = '#!/bin/sh\necho $$ >> "$STARTED"\nexec sleep 600\n'


@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name
)
def test_a_signal_ends_the_control_plane_of_a_measurement(folder: Path, number: signal.Signals) -> None:  # noqa: F811
    """Exit code 130 and one sentence; etcd and kube-apiserver are gone."""
    for name in ("etcd", "kube-apiserver", "kubectl"):
        place(folder, name, WAITS, build="apiserver")
    bench = started(folder)
    eventually(lambda: waits_for_a_program(folder, bench, 2) or bench.poll() is not None)
    bench.send_signal(number)
    _, text = bench.communicate(timeout=SECONDS)
    assert (bench.returncode, text) == (130, "bench: interrupted, what it started has ended\n")
    eventually(lambda: not any(alive(pid) for pid in pids(folder)))  # one that was killed takes a moment


def test_a_second_signal_kills_what_does_not_end(folder: Path) -> None:  # noqa: F811
    """Who has no patience loses it too: nothing is left running."""
    for name in ("etcd", "kube-apiserver", "kubectl"):
        place(folder, name, STUBBORN, build="apiserver")
    bench = started(folder)
    eventually(lambda: waits_for_a_program(folder, bench, 2) or bench.poll() is not None)
    for asked in (1, 2):  # kube-apiserver first, then etcd
        bench.send_signal(signal.SIGTERM)
        eventually(lambda asked=asked: len(requests_to_end(folder)) == asked)
    bench.send_signal(signal.SIGTERM)
    bench.communicate(timeout=SECONDS)
    eventually(lambda: not any(alive(pid) for pid in pids(folder)))  # one that was killed takes a moment


def requests_to_end(folder: Path) -> list[str]:  # noqa: F811
    """One for each SIGTERM that a program got."""
    path = folder / "started.asked"
    return path.read_text().splitlines() if path.exists() else []


def started(folder: Path) -> "subprocess.Popen[str]":  # noqa: F811
    """`python -m tests.bench memory` with the programs of this folder."""
    environment = os.environ | {"STREAMING_CACHE": str(folder / "cache"), "STARTED": str(folder / "started")}
    return subprocess.Popen(
        [sys.executable, "-c", BENCH, "memory", "--sizes", "1"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
