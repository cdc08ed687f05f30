"""What the bench reads: CPU and memory of a process, and the API server's own count of writes."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from tests.apiserver.control_plane import ControlPlane

WRITES = ("POST", "PUT", "PATCH", "APPLY", "DELETE")
RESOURCES = frozenset(
    {
        "streamingendpoints", "configmaps", "services", "deployments", "poddisruptionbudgets", "ingresses",
        "httproutes", "servicemonitors", "prometheusrules", "events",
    }
)  # fmt: skip
_COUNTER = re.compile(r"^apiserver_request_total\{(?P<labels>[^}]*)\} (?P<value>\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process has used so far."""

    cpu_seconds: float
    resident_mib: float
    peak_mib: float


def usage(pid: int) -> Usage:
    """CPU time of all threads, resident memory and its highest so far, of a process."""
    stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks = int(stat[11]) + int(stat[12])
    kib = {
        field: int(value.split()[0])
        for field, _, value in (
            line.partition(":") for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        )
        if field in ("VmRSS", "VmHWM")
    }
    return Usage(ticks / os.sysconf("SC_CLK_TCK"), kib["VmRSS"] / 1024, kib["VmHWM"] / 1024)


def server_cpu_seconds() -> float:
    """CPU time so far of the control plane: etcd and kube-apiserver are children of this process."""
    seconds = 0.0
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                name, _, rest = (entry / "stat").read_text().partition("(")[2].rpartition(")")
            except OSError:  # ended while we looked
                continue
            if name in ("etcd", "kube-apiserver") and int(rest.split()[1]) == os.getpid():
                seconds += usage(int(entry.name)).cpu_seconds
    return seconds


def writes(plane: ControlPlane) -> dict[str, int]:
    """Requests so far that write, by `resource` or `resource/subresource`, whatever their answer."""
    counts: dict[str, int] = {}
    for match in _COUNTER.finditer(plane.text("/metrics")):
        labels = dict(_LABEL.findall(match["labels"]))
        if labels.get("verb") in WRITES and labels.get("resource") in RESOURCES and not labels.get("dry_run"):
            name = "/".join(filter(None, (labels["resource"], labels.get("subresource"))))
            counts[name] = counts.get(name, 0) + int(float(match["value"]))
    return counts


def since(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    """What came between two looks."""
    return {
        name: count - before.get(name, 0) for name, count in after.items() if count != before.get(name, 0)
    }
