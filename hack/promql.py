"""Queries that several dashboards have."""

from hack.grafana import Query

PROBED = "30m"
"""Over which verifications are looked at: one comes every few minutes."""
RATE = "$__rate_interval"


def rate(metric: str, by: str, selector: str = "", window: str = RATE) -> str:
    """Of a counter, a second, summed up by labels."""
    return f"sum by ({by}) (rate({metric}{selector}[{window}]))"


def quantiles(histogram: str, selector: str, of: str = "") -> list[Query]:
    """The median, the slow and the slowest."""
    return [
        Query(
            f"histogram_quantile({share}, sum by (le) (rate({histogram}_bucket{selector}[{RATE}])))",
            f"{of}p{share * 100:g}",
        )
        for share in (0.5, 0.95, 0.99)
    ]


def mean(metric: str, selector: str, by: str) -> str:
    """Of a summary or a histogram, by labels."""
    total, count = (f"sum by ({by}) (rate({metric}_{part}{selector}[{PROBED}]))" for part in ("sum", "count"))
    return f"{total} / {count}"
