"""
What `streamctl probe` does: it turns options into a plan and results into a report; what streaming means is in `probe`.
"""

import sys
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import click

from streaming_operator.api.reasons import Hop
from streaming_operator.cli import options
from streaming_operator.cli.flags import Output
from streaming_operator.cli.output import end_with, tool_version, write_report
from streaming_operator.probe.http.connection import Limits, Target
from streaming_operator.probe.http.guard import Guard
from streaming_operator.probe.http.request import Api, ApiKey
from streaming_operator.probe.judge.finding import Finding
from streaming_operator.probe.judge.remedies import Names, remedy
from streaming_operator.probe.model_list import models
from streaming_operator.probe.verification import Plan, verify
from streaming_operator.report import Report, Subject, of_results, without_stream
from streaming_operator.report.live import Progress

_GUARD = Guard(local=True, own_key=True)
_HOP_NAMES = {Hop.EXPOSURE: "URL", Hop.POD: "Control"}


@dataclass(frozen=True, slots=True)
class _Options:
    """The options of the command line."""

    target: Target
    control: Target | None
    api: Api
    model: str | None
    key: ApiKey | None
    limits: Limits
    cap_tokens: int
    max_ttft: float | None
    max_gap: float | None
    runs: int


def probe_url(
    url: str,
    model: str | None,
    api_key_env: str | None,
    via: str | None,
    api: Api | None,
    http2: bool,
    ca: Path | None,
    compare: str | None,
    max_tokens: int,
    max_ttft: float | None,
    max_gap: float | None,
    runs: int,
    timeout: float,
    output: Output,
    metrics_textfile: Path | None,
) -> None:
    """Parse the options, verify, write the report and exit."""
    requests = options.RequestOptions(api, options.text_of(ca), http2)
    target = options.target(Hop.EXPOSURE, url, via, requests)
    requests = replace(requests, api=options.api_of(url, requests))
    parsed = _Options(
        target,
        options.target(Hop.POD, compare, None, requests) if compare else None,
        requests.api or "chat",
        model,
        options.key(api_key_env),
        Limits(connect=min(5.0, timeout), first_token=timeout, stall=min(75.0, timeout), total=timeout),
        max_tokens,
        max_ttft,
        max_gap,
        runs,
    )
    end_with(_probe(parsed, output, metrics_textfile))


async def _probe(parsed: _Options, output: Output, metrics: Path | None) -> int:
    subject = Subject(
        options.shown(parsed.target),
        tool_version(),
        datetime.now(UTC),
        parsed.model,
        parsed.api,
        names=_HOP_NAMES,
    )
    return write_report(await _report(parsed, subject), output, metrics)


async def _report(parsed: _Options, subject: Subject) -> Report:
    if parsed.model is None:
        available = await models(parsed.target, parsed.key, _GUARD, parsed.limits)
        if isinstance(available, Finding):
            advice = remedy(Hop.EXPOSURE, available.symptom, Names(), available.fingerprint)
            return without_stream(subject, available.verdict, "URL", available.evidence, advice)
        if not available:
            raise click.UsageError(f"{parsed.target} lists no models under /v1/models: name one with --model")
        parsed, subject = replace(parsed, model=available[0]), replace(subject, model=available[0])
    with Progress(subject, sys.stderr) as progress:
        plan = _plan(parsed, progress)
        return of_results(subject, [await verify(plan) for _ in range(parsed.runs)])


def _plan(parsed: _Options, progress: Progress) -> Plan:
    return Plan(
        (parsed.target, parsed.control) if parsed.control else (parsed.target,),
        parsed.model or "",
        api=parsed.api,
        key=parsed.key,
        start_tokens=min(64, parsed.cap_tokens),
        cap_tokens=parsed.cap_tokens,
        limits=parsed.limits,
        max_ttft=parsed.max_ttft,
        max_gap=parsed.max_gap,
        guard=_GUARD,
        on_stream=progress.on_stream,
        on_read=progress.on_read,
        every_hop=True,
    )
