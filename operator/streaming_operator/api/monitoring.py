"""The part of `spec` about metrics: how they are scraped, what pages, what users are promised."""

from typing import Annotated, ClassVar

from pydantic import Field

from streaming_operator.api.cel import Model, keys_match, keys_without
from streaming_operator.api.types import QUALIFIED_KEY, QUALIFIED_KEY_RULE, Labels
from streaming_operator.api.workload import RESERVED_LABELS, RESERVED_LABELS_RULE


class ServiceMonitor(Model):
    """Scrape configuration for the prometheus-operator."""

    enabled: bool = True
    """Make one where the cluster has the kind."""
    interval_seconds: Annotated[int, Field(ge=1, le=3600)] = 15
    """Time between two scrapes."""
    labels: Labels = Field(default_factory=dict)
    """Labels by which a Prometheus selects it, e.g. `release`."""

    cel: ClassVar = (
        keys_match("labels", QUALIFIED_KEY, QUALIFIED_KEY_RULE),
        keys_without("labels", RESERVED_LABELS, RESERVED_LABELS_RULE),
    )


class PrometheusRule(Model):
    """Alerts for the prometheus-operator (docs/alerts.md), and their thresholds."""

    enabled: bool = True
    """Make one where the cluster has the kind."""
    labels: Labels = Field(default_factory=dict)
    """Labels by which a Prometheus selects it; if empty, those of serviceMonitor."""
    ttft_milliseconds: Annotated[int, Field(ge=1, le=600000)] = 5000
    """Longest 95th percentile of the engine's time to the first token."""
    token_gap_milliseconds: Annotated[int, Field(ge=1, le=600000)] = 500
    """Longest 95th percentile of its time between tokens."""
    error_percent: Annotated[int, Field(ge=1, le=99)] = 5
    """Share of requests that may fail."""
    path_milliseconds: Annotated[int, Field(ge=1, le=600000)] = 2000
    """By how much the first token may reach users later than the engine has it, on average."""

    cel: ClassVar = (
        keys_match("labels", QUALIFIED_KEY, QUALIFIED_KEY_RULE),
        keys_without("labels", RESERVED_LABELS, RESERVED_LABELS_RULE),
    )


class Slo(Model):
    """A service level objective; the PrometheusRule then has burn rates and alerts on them (docs/alerts.md)."""

    target: Annotated[str, Field(max_length=6, pattern=r"^9[5-9](\.[0-9]+)?$")]
    """Percentage of requests, and of verified streams, that succeed."""
    window_days: Annotated[int, Field(ge=7, le=31)] = 30
    """Over which it is meant."""


class Monitoring(Model):
    """How the engine's metrics, TTFT among them, reach Prometheus."""

    service_monitor: ServiceMonitor = Field(default_factory=ServiceMonitor)
    """The ServiceMonitor."""
    prometheus_rule: PrometheusRule = Field(default_factory=PrometheusRule)
    """The PrometheusRule."""
    slo: Slo | None = None
    """What users are promised; none by default."""
