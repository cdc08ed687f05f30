"""One rule of an endpoint's PrometheusRule: recorded or alerting, with the endpoint as its labels."""

from math import ceil

from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.values import Manifest

RUNBOOK = "docs/alerts.md"
"""Where each alert has a section of its own name."""
SCRAPES = 4
"""Scrapes that a window has at least, whatever their interval: a rate needs two, and one may fail."""
PROBE_MARGIN_SECONDS = 120
"""A failed verification is repeated within this time; the interval itself has a jitter of a tenth (`controller`)."""


def one_verification(endpoint: StreamingEndpoint) -> int:
    """Seconds within which at least one ends."""
    return ceil(1.1 * endpoint.spec.verification.interval_seconds) + PROBE_MARGIN_SECONDS


def own(endpoint: StreamingEndpoint) -> str:
    """The matchers of series that carry the endpoint: the operator's, and recorded ones."""
    return f'namespace="{endpoint.namespace}",name="{endpoint.name}"'


def of_engine(endpoint: StreamingEndpoint) -> str:
    """Those of the engine's series: the job of a scrape is the endpoint's name (`render.monitoring`)."""
    return f'namespace="{endpoint.namespace}",job="{endpoint.name}"'


def record(endpoint: StreamingEndpoint, name: str, expression: str, **labels: str) -> Manifest:
    """A series that Prometheus records."""
    return {
        "record": f"streamingendpoint:{name}",
        "expr": expression,
        "labels": {**_labels(endpoint), **labels},
    }


def recorded(endpoint: StreamingEndpoint, name: str, **labels: str) -> str:
    """Such a series in an expression."""
    more = "".join(f',{label}="{value}"' for label, value in labels.items())
    return f"streamingendpoint:{name}{{{own(endpoint)}{more}}}"


def alert(
    endpoint: StreamingEndpoint, name: str, expression: str, lasting: str, severity: str, summary: str
) -> Manifest:
    """An alert that fires when *expression* has had a value for *lasting*; none: at once."""
    name = f"StreamingEndpoint{name}"
    return {
        "alert": name,
        "expr": expression,
        **({"for": lasting} if lasting else {}),
        "labels": {**_labels(endpoint), "severity": severity},
        "annotations": {
            "summary": f"{endpoint.name} in {endpoint.namespace}: {summary}",
            "runbook": f"{RUNBOOK}#{name.lower()}",
        },
    }


def _labels(endpoint: StreamingEndpoint) -> Manifest:
    return {"namespace": endpoint.namespace, "name": endpoint.name}
