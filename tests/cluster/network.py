"""Closes the cluster's network: the node and its pods reach each other and this machine, and nothing else.

It must run before the node exists: until kube-proxy works, traffic to a Service follows the default route.
Build mode always closes it. Registry mode leaves it as the engine makes it, unless NETWORK=closed asks for it,
which needs root.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass

from . import cache, docker, steps
from .versions import Mode

NAME = "kind"  # the network that kind uses; an existing one is taken as it is
BRIDGE = "kind0"
SUBNET = "172.18.0.0/16"
BRIDGES = (BRIDGE, "docker0")


@dataclass(frozen=True)
class Evidence:
    """What stands in the packet filter: the rules that reject, and how many packets each has rejected."""

    rejected: dict[str, int]  # bridge -> packets

    @property
    def closed(self) -> bool:
        """Whether every bridge has its rule."""
        return set(self.rejected) >= set(BRIDGES)


def should_be_closed(mode: Mode) -> bool:
    """Whether the network is to be closed."""
    asked = os.environ.get("NETWORK", "")
    if asked not in ("", "open", "closed"):
        raise steps.Failure(f"NETWORK={asked} means nothing", remedy="open or closed")
    if mode == "build":
        if asked == "open":
            raise steps.Failure(
                "build mode's network is always closed: its images are found nowhere else",
                remedy="leave NETWORK out, or IMAGES=registry",
            )
        return True
    if asked == "closed" and (os.geteuid() != 0 or not shutil.which("iptables")):
        raise steps.Failure(
            "NETWORK=closed needs root and iptables", remedy="leave NETWORK out, or run this as root on Linux"
        )
    return asked == "closed"


def close() -> None:
    """Make the network without address translation, and reject what wants to leave its bridges."""
    with cache.lock("network"):
        _close()


def _close() -> None:
    if not steps.succeeds(["docker", "network", "inspect", NAME]):
        steps.output([
            "docker", "network", "create", "--driver", "bridge", "--subnet", SUBNET,
            "--opt", f"com.docker.network.bridge.name={BRIDGE}",
            "--opt", "com.docker.network.bridge.enable_ip_masquerade=false", NAME,
        ])  # fmt: skip
    if _bridge() != BRIDGE:
        raise steps.Failure(
            f"a docker network {NAME!r} of another making exists",
            remedy=f"docker network rm {NAME}, then again",
        )
    for bridge in BRIDGES:
        if not steps.succeeds(["iptables", "-C", *_rule(bridge)]):
            steps.output(["iptables", "-I", *_rule(bridge)])


def state() -> str:
    """For the person: whether the cluster's network is closed, as far as an ordinary user can see."""
    try:
        closed = _bridge() == BRIDGE
    except steps.Failure:
        closed = False  # not made yet, or an engine that knows no such option
    if not closed:
        return "open: pods reach what this machine reaches (NETWORK=closed, as root on Linux, closes it)"
    return (
        f"closed: nothing leaves the node (`{docker.engine()} network rm {NAME}` without a cluster opens it)"
    )


def evidence() -> Evidence:
    """Read the packet filter: a test makes a pod try to leave and sees the count of rejected packets rise."""
    rejected: dict[str, int] = {}
    for line in steps.output(["iptables", "-v", "-x", "-n", "-L", "DOCKER-USER"]).splitlines():
        fields = line.split()  # packets bytes target protocol options in out source destination ...
        if len(fields) > 6 and fields[2] == "REJECT" and fields[6] == f"!{fields[5]}":
            rejected[fields[5]] = rejected.get(fields[5], 0) + int(fields[0])
    return Evidence(rejected)


def open_again() -> None:
    """Take back our rules and the network."""
    for bridge in BRIDGES:
        while steps.succeeds(["iptables", "-D", *_rule(bridge)]):
            pass
    steps.succeeds(["docker", "network", "rm", NAME])


def _rule(bridge: str) -> list[str]:
    return ["DOCKER-USER", "-i", bridge, "!", "-o", bridge, "-j", "REJECT"]


def _bridge() -> str:
    template = '{{index .Options "com.docker.network.bridge.name"}}'
    return steps.output([docker.engine(), "network", "inspect", NAME, "--format", template]).strip()
