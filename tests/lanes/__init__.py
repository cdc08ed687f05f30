"""
How a run of all tests is spread over processes: which tests share one, in which order they begin, what they need.

`make test` gives pytest-xdist several workers. A group stays in one worker; groups begin in the order of `LANES`,
so that tests that must have the cluster's operator to themselves run first, beside everything that needs no cluster.
"""

from dataclasses import dataclass
from typing import Protocol


class Marked(Protocol):
    """What decides on a test's lane: its file and its markers."""

    def get_closest_marker(self, name: str) -> object | None:
        """The marker of this name, None if the test does not have it."""


@dataclass(frozen=True)
class Lane:
    """Tests that are alike in what they need and cost."""

    name: str
    about: str
    """What its tests have in common: what they need, and why they are apart."""
    path: str = ""
    """Where its tests are, from the repository's root."""
    marker: str = ""
    """Only tests with this marker."""
    one_process: bool = False
    """All of them share one worker; otherwise the tests of one file do."""

    def holds(self, path: str, item: Marked) -> bool:
        """Whether a test of this file is in the lane."""
        marked = not self.marker or item.get_closest_marker(self.marker) is not None
        return marked and path.startswith(self.path)


LANES = (
    Lane(
        "cluster, alone",
        "They change what the others on the cluster rely on (the operator, its chart, the CRDs, the node's GPUs), so "
        "they run one after the other while none of the others does.",
        "tests/e2e/",
        marker="disruptive",
        one_process=True,
    ),
    Lane(
        "bare Debian",
        "What needs no cluster is installed in a Debian 12 and 13 with the reader's programs only. A minute a release "
        "when what `make venv` runs has changed, else nothing; vLLM and the built programs, which take ten, count when "
        "they have passed here, and are skipped with the command to run when their scripts have changed since.",
        "tests/rehearsal/",
        one_process=True,
    ),
    Lane(
        "real vLLM on the host",
        "The real server on the CPU, and what of our double is held to it. A start takes over a minute of both cores.",
        "tests/contract/",
        marker="real_vllm",
        one_process=True,
    ),
    Lane(
        "real vLLM behind proxies",
        "The probe at real proxies with the real server behind them.",
        "tests/probe/",
        marker="real_vllm",
        one_process=True,
    ),
    Lane(
        "registry mode",
        "The whole demo as an ordinary user without Go, from a registry on loopback, on a cluster of its own. It runs "
        "when what it installs has changed since it last passed here, and with `FULL=1`.",
        "tests/registry_mode/",
        one_process=True,
    ),
    Lane(
        "fault zoo",
        "Real proxies with real faults, in front of the double.",
        "tests/probe/zoo/test_zoo.py",
    ),
    Lane(
        "API server",
        "A private etcd and kube-apiserver, without kubelet and controllers.",
        "tests/",
        marker="apiserver",
        one_process=True,
    ),
    Lane(
        "healthy streams",
        "Real proxies without a fault. `FULL=1` is the whole draw; it has the machine for itself.",
        "tests/probe/zoo/test_healthy.py",
    ),
    Lane(
        "real vLLM on the cluster",
        "The real server as a pod of the kind cluster.",
        "tests/e2e/",
        marker="real_vllm",
    ),
    Lane(
        "roles",
        "Judges what the operator asked of the API server in the whole run, and every status that it wrote, so it "
        "waits for all others on the cluster.",
        "tests/e2e/test_rbac.py",
    ),
    Lane("roles", "", "tests/e2e/test_kstatus.py"),
    Lane(
        "cluster",
        "The kind cluster with ingress-nginx and the operator from its chart; a namespace for each test.",
        "tests/e2e/",
    ),
    Lane("GitOps", "What GitOps tools conclude from an endpoint, by their own code.", "tests/gitops/"),
    Lane("monitoring", "What Prometheus makes of an endpoint's rules, by its own code.", "tests/monitoring/"),
    Lane("probe and servers", "The double and small proxies as processes of this machine.", "tests/probe/"),
    Lane("probe and servers", "", "tests/contract/"),
    Lane("probe and servers", "", "tests/security/test_exposed_paths"),
    Lane(
        "unit", "No process, no socket of others; what waits, waits in virtual time where it can.", "tests/"
    ),
)
"""The first that holds a test is its lane, and they begin in this order, save `LAST`."""
LAST = "roles"


def lane_of(path: str, item: Marked) -> Lane:
    """The lane of a test, by its file from the repository's root."""
    return next(lane for lane in LANES if lane.holds(path, item))


def position(lane: Lane) -> int:
    """Where the lane is in the order of beginning."""
    return len(LANES) if lane.name == LAST else LANES.index(lane)


def group(path: str, lane: Lane) -> str:
    """The name of the tests that stay together."""
    return (
        lane.name.replace(" ", "-") if lane.one_process else path.removeprefix("tests/").removesuffix(".py")
    )
