"""Closes the cluster's network: the node and its pods reach each other and this machine, and nothing else.

It must run before the node exists: until kube-proxy works, traffic to a Service follows the default route.
"""

from __future__ import annotations

from dataclasses import dataclass

from . import steps

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


def close() -> None:
    """Make the network without address translation, and reject what wants to leave its bridges."""
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
    return steps.output([
        "docker", "network", "inspect", NAME,
        "--format", '{{index .Options "com.docker.network.bridge.name"}}',
    ]).strip()  # fmt: skip
