"""The numbers of one stream, as findings quote them. Pure."""

from streaming_operator.probe.stream.timeline import Timeline


def pace(t: Timeline) -> float:
    """Milliseconds a token, by the server's timing where there is one, else by the arrivals."""
    if t.metrics and t.metrics.mean_gap is not None:
        return t.metrics.mean_gap
    span = t.metrics.generation if t.metrics else t.spread * 1000
    return span / max((t.tokens or t.events) - 1, 1)


def describe(t: Timeline) -> str:
    """The numbers of one stream in one clause."""
    ttft = f"first token after {(t.ttft or 0) * 1000:.0f} ms"
    tokens = f"{t.tokens} tokens" if t.tokens else f"{t.events} events"
    longest, p95 = (t.gap_max or 0.0) * 1000, (t.gap_p95 or 0.0) * 1000
    gap = f"longest gap {longest:.0f} ms, p95 {p95:.0f} ms"
    pacing = (
        f", pacing {t.pacing:.2f} of {t.metrics.generation:.0f} ms"
        if t.metrics and t.pacing is not None
        else ""
    )
    return f"{ttft}, {tokens} in {t.token_reads} reads, {gap}{pacing}"
