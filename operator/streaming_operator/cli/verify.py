"""
What `streamctl probe` does with one URL: it turns options into a plan and results into a report; what streaming means
is in `probe`.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import click

from streaming_operator.api.reasons import Hop, Verdict
from streaming_operator.api.symptoms import Symptom
from streaming_operator.cli import options
from streaming_operator.cli.output import tool_version
from streaming_operator.probe.http.connection import Limits, Target
from streaming_operator.probe.http.guard import Guard
from streaming_operator.probe.http.request import Api, ApiKey, Request, Wording, models_path
from streaming_operator.probe.judge.finding import Finding
from streaming_operator.probe.judge.remedies import Names, remedy
from streaming_operator.probe.model_list import models
from streaming_operator.probe.stream.timeline import Timeline
from streaming_operator.probe.verification import Plan, verify
from streaming_operator.report import Report, Subject, of_results, without_stream
from streaming_operator.report.live import Progress
from streaming_operator.values import ProbeResult

_GUARD = Guard(local=True, own_key=True)
_REFUSALS = (400, 404, 422)
MODELS_TRIED = 3
"""Models of a list that are asked for one after the other while the server refuses: the first may not chat."""
_HOP_NAMES = {Hop.EXPOSURE: "URL", Hop.POD: "Control"}
UNCHECKED = (
    "no certificate was checked (--insecure): whoever answered may be another server, and read what was sent"
)


@dataclass(frozen=True, slots=True)
class UrlOptions:
    """The options of the command line, for one URL."""

    targets: tuple[Target, ...]
    """The URL with each path that the API may have there, the likeliest first."""
    control: Target | None
    api: Api
    models: tuple[str, ...]
    """The named model, or those of the server's list; empty before the list was read."""
    key: ApiKey | None
    limits: Limits
    cap_tokens: int
    max_ttft: float | None
    max_gap: float | None
    runs: int
    on_exchange: Callable[[Request, Timeline], None] | None = None
    """Shows the heads of requests and responses; then no progress is drawn."""

    @property
    def shown(self) -> str:
        """The URL as reports have it."""
        return options.shown(self.targets[0])

    @property
    def warnings(self) -> tuple[str, ...]:
        """What makes a report on it less certain."""
        asked = (*self.targets, *([self.control] if self.control else []))
        return (UNCHECKED,) if any(one.insecure and one.scheme == "https" for one in asked) else ()


async def probe_url(parsed: UrlOptions) -> tuple[Report, UrlOptions]:
    """The report, and the options with the model and the path that answered: another probe begins with them."""
    subject = Subject(
        parsed.shown,
        tool_version(),
        datetime.now(UTC),
        parsed.models[0] if parsed.models else None,
        parsed.api,
        names=_HOP_NAMES,
        warnings=parsed.warnings,
    )
    if not parsed.models:
        available = await _available(parsed)
        if isinstance(available, Finding):
            advice = remedy(Hop.EXPOSURE, available.symptom, Names(), available.fingerprint)
            report = without_stream(subject, available.verdict, "URL", available.evidence, advice)
            return report, parsed
        parsed = available
        subject = replace(subject, model=parsed.models[0])
    with Progress(subject, sys.stderr, quiet=parsed.on_exchange is not None) as progress:
        plan, first = await _first_that_answers(parsed, progress)
        results = [first, *[await verify(plan) for _ in range(1, parsed.runs)]]
    answered = next(target for target in plan.targets if target.hop is Hop.EXPOSURE)
    subject = replace(subject, shown=options.shown(answered), model=plan.model)
    return of_results(subject, results), replace(parsed, targets=(answered,), models=(plan.model,))


async def _available(parsed: UrlOptions) -> UrlOptions | Finding:
    """The options with the models that the server lists, and its path first; a Finding where there is no list."""
    first: Finding | None = None
    for target in parsed.targets:
        show = parsed.on_exchange or (lambda request, timeline: None)
        available = await models(target, parsed.key, _GUARD, parsed.limits, show)
        if isinstance(available, Finding):
            first = first or available
            if available.symptom is not Symptom.NO_MODEL_LIST:
                break
        elif available:
            rest = tuple(other for other in parsed.targets if other is not target)
            return replace(parsed, targets=(target, *rest), models=available[:MODELS_TRIED])
        else:
            message = f"{target} lists no models under {models_path(target.path)}: name one with --model"
            raise click.UsageError(message)
    if first is None:
        raise ValueError("a URL has at least one path")
    return first


async def _first_that_answers(parsed: UrlOptions, progress: Progress) -> tuple[Plan, ProbeResult]:
    """
    The result of the first path and model that the server does not refuse, and its plan; of the first one if it
    refuses all.
    """
    first: tuple[Plan, ProbeResult] | None = None
    for target in parsed.targets:
        for model in parsed.models:
            wordings: list[Wording] = []
            plan = replace(_plan(parsed, target, model, progress), on_wording=wordings.append)
            result = await verify(plan)
            plan = replace(plan, wording=(wordings or [plan.wording])[-1])
            first = first or (plan, result)
            if result.verdict is Verdict.ROUTE_NOT_FOUND:
                break
            if not _is_refusal(result):
                return plan, result
    if first is None:
        raise ValueError("nothing to probe")
    return first


def _is_refusal(result: ProbeResult) -> bool:
    """Whether the server refused the request itself, as it does for a model that generates no text."""
    statuses = (hop.timeline.status for hop in result.hops[:1] if isinstance(hop.timeline, Timeline))
    return result.verdict is Verdict.UPSTREAM_ERROR and any(status in _REFUSALS for status in statuses)


def _plan(parsed: UrlOptions, target: Target, model: str, progress: Progress) -> Plan:
    plan = Plan(
        (target, parsed.control) if parsed.control else (target,),
        model,
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
    return replace(plan, on_exchange=parsed.on_exchange) if parsed.on_exchange else plan
