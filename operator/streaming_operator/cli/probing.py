"""
What `streamctl probe` does with all its options: each URL once with one report, or again and again (`watch`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click

from streaming_operator.api.reasons import Hop
from streaming_operator.cli import credentials, options
from streaming_operator.cli.flags import Output
from streaming_operator.cli.output import end_with, write_reports
from streaming_operator.cli.verify import UrlOptions, probe_url
from streaming_operator.cli.watch import watch as watch_urls
from streaming_operator.probe.http.connection import Limits
from streaming_operator.probe.http.request import Api, Request
from streaming_operator.probe.stream.timeline import Timeline
from streaming_operator.report.heads import lines


@dataclass(frozen=True, slots=True)
class Sending:
    """How one probe asks, whatever its URL."""

    model: str | None
    api_key_env: str | None
    via: str | None
    compare: str | None
    max_tokens: int
    max_ttft: float | None
    max_gap: float | None
    runs: int
    timeout: float
    verbose: bool


def probe_urls(
    urls: Sequence[str],
    given_headers: Sequence[str],
    api: Api | None,
    http2: bool,
    ca: Path | None,
    cert: Path | None,
    key: Path | None,
    insecure: bool,
    watch: bool,
    interval: float,
    output: Output,
    metrics_textfile: Path | None,
    **sending: object,
) -> None:
    """Parse the options, probe, write the reports and exit."""
    requests = options.RequestOptions(
        api,
        options.text_of(ca),
        http2,
        credentials.headers(given_headers),
        credentials.identity(cert, key),
        insecure,
    )
    given = Sending(**sending)  # type: ignore[arg-type]
    urls = credentials.urls(urls)
    if len(urls) > 1 and (given.via or given.compare):
        raise click.UsageError("--via and --compare are about one URL")
    parsed = [_parsed(url, requests, given) for url in urls]
    if watch:
        if output not in ("text", "json"):
            raise click.UsageError("--watch prints text or json")
        end_with(watch_urls(parsed, interval, output, metrics_textfile))
    if output == "html" and len(parsed) > 1:
        raise click.UsageError("--output html is about one URL")
    end_with(_once(parsed, output, metrics_textfile))


async def _once(parsed: Sequence[UrlOptions], output: Output, metrics: Path | None) -> int:
    reports = [(await probe_url(one))[0] for one in parsed]
    return write_reports(reports, output, metrics)


def _parsed(url: str, requests: options.RequestOptions, given: Sending) -> UrlOptions:
    targets = options.targets(Hop.EXPOSURE, url, given.via, requests)
    requests = replace(requests, api=options.api_of(url, requests))
    limits = Limits(
        connect=min(5.0, given.timeout),
        first_token=given.timeout,
        stall=min(75.0, given.timeout),
        total=given.timeout,
    )
    return UrlOptions(
        targets,
        options.target(Hop.POD, given.compare, None, requests) if given.compare else None,
        requests.api or "chat",
        (given.model,) if given.model else (),
        credentials.key_for(url, given.api_key_env),
        limits,
        given.max_tokens,
        given.max_ttft,
        given.max_gap,
        given.runs,
        _show_heads if given.verbose else None,
    )


def _show_heads(request: Request, timeline: Timeline) -> None:
    for line in lines(request, timeline):
        click.echo(line, err=True)
