"""
`streamctl probe URL`: the operator's probe for people and pipelines, without a cluster.

It turns options into a plan and results into a report; what streaming means is defined in `probe`.
"""

import sys
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import click

from streaming_operator.api.reasons import Hop
from streaming_operator.cli import options
from streaming_operator.cli.output import Output, end_with, output_option, tool_version, write_report
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

_HELP = """
Say whether a completion streams from URL, and if not, why.

URL is the address of any OpenAI-compatible server: its base, its /v1, or the whole path. The same request is
sent with and without gzip, several times where the answer is in doubt. On a terminal the arrivals are drawn
while they happen.

\b
Examples:
  streamctl probe http://localhost:8000
  streamctl probe https://llm.example.com --model tiny --api-key-env LLM_KEY
  streamctl probe https://llm.example.com/v1/responses --http2
  streamctl probe https://llm.example.com --via 10.0.0.7:443 --ca ca.pem
  streamctl probe https://llm.example.com --compare http://10.1.2.3:8000 --output html > report.html
  streamctl probe https://llm.example.com --runs 5 --max-ttft 2 --output junit > streaming.xml

\b
Exit codes:
  0 streaming   1 not streaming   2 wrong usage   3 inconclusive   4 could not connect
"""


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


@click.command(help=_HELP)
@click.argument("url")
@click.option("--model", help="Model to ask; without it the first of /v1/models.")
@click.option("--api-key-env", metavar="VAR", help="Environment variable that holds the API key.")
@click.option(
    "--via", metavar="IP[:PORT]", help="Connect here, with URL's host as Host header and server name."
)
@click.option(
    "--api",
    type=click.Choice(get_args(Api)),
    help="Which API to ask; without it the one that URL's path names, else chat.",
)
@click.option("--http2", is_flag=True, help="Ask over HTTP/2: by ALPN, or at once where there is no TLS.")
@click.option("--ca", type=options.PEM, help="PEM file of the CAs to trust instead of the system's.")
@click.option(
    "--compare",
    metavar="URL",
    help="The same service nearer to the model server, or the server itself: asked too, as the control.",
)
@click.option(
    "--max-tokens",
    type=click.IntRange(16, 8192),
    default=1024,
    show_default=True,
    help="Most tokens to ask for.",
)
@click.option(
    "--max-ttft",
    metavar="SECONDS",
    type=click.FloatRange(0, 3600, min_open=True),
    help="A first token that comes later is TTFTExceeded.",
)
@click.option(
    "--max-gap",
    metavar="SECONDS",
    type=click.FloatRange(0, 3600, min_open=True),
    help="A longer pause between two tokens is ChunkGapExceeded.",
)
@click.option(
    "--runs",
    type=click.IntRange(1, 1000),
    default=1,
    show_default=True,
    help="Verifications; the worst decides.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(1, 3600),
    default=120.0,
    show_default=True,
    help="Seconds for one stream.",
)
@output_option
@click.option(
    "--metrics-textfile",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write metrics for Prometheus' textfile collector.",
)
def probe(
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
