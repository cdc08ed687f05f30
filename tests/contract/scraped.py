"""A Prometheus text read into families: type, label names and buckets, without the values. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families

OURS = ("vllm:", "http_")


@dataclass
class Family:
    """One metric family as a dashboard sees it."""

    kind: str
    labels: set[str] = field(default_factory=set)
    buckets: list[str] = field(default_factory=list)

    def line(self, name: str) -> str:
        labels, buckets = ",".join(sorted(self.labels)), ",".join(self.buckets)
        return f"{name} {self.kind} {labels or '-'} {buckets or '-'}"


def families(text: str) -> dict[str, str]:
    """Name -> `name type labels buckets`, for vLLM's own and the http ones; `_created` are left out."""
    by_name: dict[str, Family] = {}
    for family in text_string_to_metric_families(text):
        if not family.name.startswith(OURS) or family.name.endswith("_created"):
            continue
        entry = by_name.setdefault(family.name, Family(family.type))
        for sample in family.samples:
            entry.labels |= set(sample.labels) - {"le"}
            bucket = sample.labels.get("le")
            if bucket is not None and bucket not in entry.buckets:
                entry.buckets.append(bucket)
    return {name: family.line(name) for name, family in by_name.items()}


def value(text: str, name: str, **labels: str) -> float:
    """The sum of a sample over the label sets that match."""
    samples = (s for family in text_string_to_metric_families(text) for s in family.samples)
    return sum(s.value for s in samples if s.name == name and labels.items() <= s.labels.items())


def missing(names: Iterable[str], text: str) -> set[str]:
    return set(names) - set(families(text).values())
