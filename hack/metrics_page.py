"""docs/metrics.md: every metric of the operator with its type, labels and meaning, from the registry."""

from streaming_operator import metrics

HEAD = """# Metrics of the operator

<!-- {note} -->

`/metrics` on port 8080 of the operator's pod. The chart's values `metrics` and `serviceMonitor` say who may read it and
how Prometheus finds it. Labels `namespace` and `name` are those of an endpoint, so a scrape needs `honorLabels: true`.
Durations of probes are summaries; with `settings.detailedMetrics` they are histograms. The engine's own metrics are
scraped from its pods.

| metric | type | labels | meaning |
|---|---|---|---|
"""


def page(note: str) -> str:
    """The whole page."""
    rows = [
        f"| `{name}` | {kind} | {', '.join(f'`{label}`' for label in labels) or 'none'} | {meaning} |"
        for name, kind, labels, meaning in sorted(metrics.described())
    ]
    return HEAD.format(note=note) + "\n".join(rows) + "\n"
