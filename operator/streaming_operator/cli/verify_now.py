"""
`streamctl verify NAME`: ask the operator for a verification now, and wait for its verdict.

The last step of a pipeline. It sends no request itself: the operator does, from inside the cluster, and answers in
`status.requestedVerification`.
"""

import asyncio
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import click

from streaming_operator.api.endpoint import verification_request
from streaming_operator.api.reasons import ConditionType, Reason
from streaming_operator.cli.output import InputError, cluster_errors, end_with
from streaming_operator.cluster import ClusterReader, open_reader
from streaming_operator.errors import Unreachable
from streaming_operator.foreign_text import readable, readable_lines
from streaming_operator.report.exit_codes import INCONCLUSIVE, NOT_STREAMING, exit_code
from streaming_operator.status import recall_answer

POLL_SECONDS = 1.0

STALLED_SECONDS = 30.0
"""How long an endpoint must stay `Stalled` for another reason than its stream until the wait ends early."""

_HELP = """
Ask the operator to verify the StreamingEndpoint NAME now, and wait for the verdict.

Sets the annotation streamingendpoints.dev/verify-requested-at and waits until the operator has answered it: once the
newest pods are up, and after as many tries as its failureThreshold asks for. Ends early when the endpoint is stalled,
so that it cannot be verified at all. Needs the rights to get and patch streamingendpoints, nothing else.

\b
Examples:
  streamctl verify chat -n models
  streamctl verify chat --timeout 1800 --output json

\b
Exit codes:
  0 streaming   1 not streaming, or stalled   2 wrong usage   3 no verdict, or inconclusive   4 could not connect
"""


@dataclass(frozen=True, slots=True)
class Ended:
    """How the wait ended."""

    subject: str
    request: str
    verdict: str
    """A verdict, or the reason why there is none."""
    code: int
    hop: str
    message: str
    url: str

    def text(self) -> str:
        """For people."""
        at = f" at {self.hop}" if self.hop else ""
        return f"{self.subject}: {self.verdict}{at}\n  {self.message}"

    def json(self) -> str:
        """For programs."""
        shown = {
            "subject": self.subject,
            "url": self.url,
            "request": self.request,
            "verdict": self.verdict,
            "exitCode": self.code,
            "hop": self.hop,
            "message": self.message,
        }
        return json.dumps(shown)


@click.command(help=_HELP)
@click.argument("name")
@click.option("-n", "--namespace", help="Namespace of NAME; by default the context's.")
@click.option("--kubeconfig", metavar="FILE", help="Kubeconfig; by default KUBECONFIG or ~/.kube/config.")
@click.option("--context", help="Context of the kubeconfig.")
@click.option(
    "--timeout",
    type=click.FloatRange(1, 86400),
    default=600.0,
    show_default=True,
    help="Longest wait in seconds, the start of new pods included.",
)
@click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def verify(
    name: str,
    namespace: str | None,
    kubeconfig: str | None,
    context: str | None,
    timeout: float,
    output: Literal["text", "json"],
) -> None:
    """Parse the options, ask, wait, print and exit."""
    end_with(_verify(name, namespace, kubeconfig, context, timeout, output))


async def _verify(
    name: str,
    namespace: str | None,
    kubeconfig: str | None,
    context: str | None,
    seconds: float,
    output: Literal["text", "json"],
) -> int:
    with cluster_errors():
        async with open_reader(kubeconfig, context) as reader:
            ended = await _asked(reader, namespace or reader.namespace, name, seconds)
    click.echo(ended.json() if output == "json" else readable_lines(ended.text()))
    return ended.code


async def _asked(reader: ClusterReader, namespace: str, name: str, seconds: float) -> Ended:
    """Ask and wait."""
    body = await _read(reader, namespace, name)
    if why := _never(body):
        raise InputError(f"{namespace}/{name} is not verified: {why}")
    request = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}-{secrets.token_hex(4)}"
    await reader.request_verification(namespace, name, request)
    loop = asyncio.get_running_loop()
    end, shown = loop.time() + seconds, ""
    stalled_since: float | None = None
    while True:
        try:
            body = await _read(reader, namespace, name)
        except Unreachable as error:  # an API server that restarts is no reason to fail a pipeline
            if loop.time() >= end:
                raise
            click.echo(readable(f"waiting: {error}"), err=True)
        else:
            if (ended := _answered(f"{namespace}/{name}", request, body)) is not None:
                return ended
            if not _is_stalled(body):
                stalled_since = None
            elif stalled_since is None:
                stalled_since = loop.time()
            elif loop.time() - stalled_since >= STALLED_SECONDS:
                return _without_answer(f"{namespace}/{name}", request, body, ConditionType.STALLED)
            if loop.time() >= end:
                return _without_answer(f"{namespace}/{name}", request, body, _in_the_way(body))
            if (line := _progress(body)) != shown:
                click.echo(readable(f"waiting: {line}"), err=True)
                shown = line
        await asyncio.sleep(min(POLL_SECONDS, max(end - loop.time(), 0.05)))


async def _read(reader: ClusterReader, namespace: str, name: str) -> Mapping[str, Any]:
    body = await reader.read_endpoint(namespace, name)
    if body is None:
        known = ", ".join(await reader.names(namespace)) or "none that you may see"
        raise InputError(f"no StreamingEndpoint {name} in namespace {namespace}; there are: {known}")
    return body


def _never(body: Mapping[str, Any]) -> str:
    """Why no verification is ever made; "" if one may be."""
    spec = body.get("spec") or {}
    if spec.get("suspend"):
        return "spec.suspend is true"
    if (spec.get("verification") or {}).get("mode") == "Disabled":
        return "spec.verification.mode is Disabled"
    if spec.get("replicas") == 0:
        return "spec.replicas is 0"
    return ""


def _answered(subject: str, request: str, body: Mapping[str, Any]) -> Ended | None:
    """The answer, also to a later request than ours, which was asked after it."""
    status = body.get("status") or {}
    answer, asked = recall_answer(status), verification_request(body.get("metadata") or {})
    if asked == "":
        raise InputError(f"somebody took the request for {subject} back: its annotation is gone")
    if answer is None or answer.request not in (request, asked):
        return None
    code = exit_code(answer.verdict)
    url = str(status.get("url") or status.get("internalURL") or "")
    return Ended(subject, answer.request, str(answer.verdict), code, str(answer.hop), answer.message, url)


def _without_answer(subject: str, request: str, body: Mapping[str, Any], which: ConditionType) -> Ended:
    """Why there is none, by one condition."""
    status = body.get("status") or {}
    entry = _condition(body, which)
    reason = str(entry.get("reason") or "NoOperator")
    message = str(
        entry.get("message")
        or "no operator has looked at it; is one running, and does it watch the namespace?"
    )
    code = NOT_STREAMING if which is ConditionType.STALLED else INCONCLUSIVE
    url = str(status.get("url") or status.get("internalURL") or "")
    text = message if code == NOT_STREAMING else f"no verdict in time: {message}"
    return Ended(subject, request, reason, code, "", text, url)


def _in_the_way(body: Mapping[str, Any]) -> ConditionType:
    """The condition that says what a verification waits for."""
    verified = _condition(body, ConditionType.STREAMING_VERIFIED)
    return ConditionType.STREAMING_VERIFIED if verified else ConditionType.READY


def _is_stalled(body: Mapping[str, Any]) -> bool:
    """Whether a person must act before anything can be verified; a failing stream is asked again all the same."""
    stalled = _condition(body, ConditionType.STALLED)
    current = stalled.get("observedGeneration") == (body.get("metadata") or {}).get("generation")
    return current and stalled.get("status") == "True" and stalled["reason"] != Reason.VERIFICATION_FAILING


def _progress(body: Mapping[str, Any]) -> str:
    """What it waits for, without what changes all the time."""
    for which in (ConditionType.WORKLOAD_AVAILABLE, ConditionType.EXPOSED, ConditionType.STREAMING_VERIFIED):
        entry = _condition(body, which)
        if entry.get("status") != "True":
            return f"{which} is {entry.get('status', 'unknown')} ({entry.get('reason', 'no operator yet')})"
    return "the operator verifies the stream"


def _condition(body: Mapping[str, Any], which: ConditionType) -> Mapping[str, Any]:
    entries = (body.get("status") or {}).get("conditions") or ()
    return next((entry for entry in entries if entry.get("type") == which), {})
