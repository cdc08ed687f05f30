"""
`streamctl diagnose NAME`: what is wrong with a StreamingEndpoint, from a laptop with a kubeconfig.

It parses the options and turns a diagnosis into a report; the diagnosis itself is the module `diagnose`.
"""

import asyncio
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import click

from streaming_operator.cli import options
from streaming_operator.cli.flags import PEM, Output, output_option
from streaming_operator.cli.output import InputError, cluster_errors, end_with, tool_version, write_reports
from streaming_operator.cluster import open_reader
from streaming_operator.diagnose import PORT_FORWARD_NOTE, Diagnosis, EndpointNotFound, Options
from streaming_operator.diagnose import diagnose as diagnose_endpoint
from streaming_operator.errors import ClusterError
from streaming_operator.probe.verification import Plan
from streaming_operator.report import Child, Report, Subject, of_results, without_stream
from streaming_operator.report.live import Progress

COMPLETION_SECONDS = 3.0
"""Limit for listing endpoints when TAB is pressed."""

_HELP = """
Say whether the StreamingEndpoint NAME streams, and if not, which hop is at fault and what to set.

Reads its children, then sends the same request to a pod and to the Service (through the API server's
port-forward, which is not judged itself) and to the address that users call. Writes nothing. Needs the
rights to read the namespace and to forward ports; lists what it may not read.

\b
Examples:
  streamctl diagnose chat
  streamctl diagnose chat -n models --output html > report.html
  streamctl diagnose chat --context production --via 203.0.113.7
  kubectl streaming diagnose chat -n models

\b
Exit codes:
  0 streaming   1 not streaming   2 wrong usage   3 inconclusive   4 could not connect
"""


def _names(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """For TAB: the endpoints of the namespace; none where they cannot be listed in time."""
    given = context.params

    async def listed() -> tuple[str, ...]:
        async with (
            asyncio.timeout(COMPLETION_SECONDS),
            open_reader(given.get("kubeconfig"), given.get("context")) as reader,
        ):
            return await reader.names(given.get("namespace") or reader.namespace)

    try:
        return [name for name in asyncio.run(listed()) if name.startswith(incomplete)]
    except (ClusterError, TimeoutError):
        return []


@click.command(help=_HELP)
@click.argument("name", shell_complete=_names)
@click.option("-n", "--namespace", help="Namespace of NAME; by default the context's.")
@click.option("--kubeconfig", metavar="FILE", help="Kubeconfig; by default KUBECONFIG or ~/.kube/config.")
@click.option("--context", help="Context of the kubeconfig.")
@click.option("--via", metavar="IP[:PORT]", help="Address of the edge; by default the one in the cluster.")
@click.option(
    "--api-key-env", metavar="VAR", help="Environment variable that holds the API key; by default the Secret."
)
@click.option(
    "--ca",
    type=PEM,
    help="PEM file of the CAs to trust; by default the endpoint's.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(1, 3600),
    default=120.0,
    show_default=True,
    help="Limit for the first token, in seconds.",
)
@output_option
def diagnose(
    name: str,
    namespace: str | None,
    kubeconfig: str | None,
    context: str | None,
    via: str | None,
    api_key_env: str | None,
    ca: Path | None,
    timeout: float,
    output: Output,
) -> None:
    """Parse the options, diagnose, write the report and exit."""
    parsed = Options(
        namespace or "",
        name,
        options.edge_address(via) if via else None,
        options.key(api_key_env),
        options.text_of(ca),
        timeout,
    )
    end_with(_diagnose(parsed, kubeconfig, context, output))


async def _diagnose(parsed: Options, kubeconfig: str | None, context: str | None, output: Output) -> int:
    began = datetime.now(UTC)
    with cluster_errors():
        async with open_reader(kubeconfig, context) as reader:
            parsed = replace(parsed, namespace=parsed.namespace or reader.namespace)
            subject = Subject(f"{parsed.namespace}/{parsed.name}", tool_version(), began)
            with Progress(subject, sys.stderr) as progress:

                def prepare(plan: Plan, model: str) -> Plan:
                    progress.set_model(model)
                    return replace(plan, on_stream=progress.on_stream, on_read=progress.on_read)

                try:
                    result = await diagnose_endpoint(reader, parsed, prepare)
                except EndpointNotFound as error:
                    raise InputError(str(error)) from error
    return write_reports([_report(subject, result)], output, None)


def _report(subject: Subject, diagnosis: Diagnosis) -> Report:
    children = tuple(
        Child(kind=s.kind, name=s.name, state=s.state, healthy=s.healthy, detail=s.detail)
        for s in diagnosis.states
    )
    subject = replace(
        subject,
        model=diagnosis.model,
        notes=dict.fromkeys(diagnosis.forwarded, PORT_FORWARD_NOTE),
        places=diagnosis.forwarded,
    )
    if diagnosis.result is not None:
        return of_results(subject, [diagnosis.result], children)
    if (cause := diagnosis.not_verified) is None:
        raise ValueError("a diagnosis has a result or the reason why there is none")
    return without_stream(subject, cause.cause, cause.hop, cause.evidence, cause.remedy, children)
