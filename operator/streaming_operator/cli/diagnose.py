"""
`streamctl diagnose NAME`: what is wrong with a StreamingEndpoint, from a laptop with a kubeconfig.

It turns options into a wish and a diagnosis into a report; the looking and asking is `diagnose`.
"""

import asyncio
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import click

from streaming_operator import diagnose as diagnosing
from streaming_operator.cli import options
from streaming_operator.cli.output import Output, Wrong, end_with, output_option, tell, tool
from streaming_operator.cluster import open_reader
from streaming_operator.diagnose import THROUGH, Diagnosis, Unknown, Wish
from streaming_operator.errors import ClusterError, Unreachable
from streaming_operator.probe.verification import Plan
from streaming_operator.report import Child, Report, Subject, no_answer, of_results
from streaming_operator.report.exit_codes import NO_CONNECTION
from streaming_operator.report.live import Picture

TAB_PATIENCE = 3.0
"""Seconds that somebody waits who pressed TAB."""

_HELP = """
Say whether the StreamingEndpoint NAME streams, and if not, which hop stops it and what to set.

Looks at its children, then sends the same request to a pod and to the Service (through the API server's
port-forward, which is not judged itself) and to the address that users call. Writes nothing. It needs the
rights to read the namespace and to forward ports; what may not be read is told.

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


def _names(context: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
    """For TAB: the endpoints of the namespace, or nothing where they cannot be had quickly."""
    given = context.params

    async def listed() -> tuple[str, ...]:
        async with (
            asyncio.timeout(TAB_PATIENCE),
            open_reader(given.get("kubeconfig"), given.get("context")) as reader,
        ):
            return await reader.names(given.get("namespace") or reader.namespace)

    try:
        return [name for name in asyncio.run(listed()) if name.startswith(begun)]
    except (ClusterError, TimeoutError):
        return []


@click.command(help=_HELP)
@click.argument("name", shell_complete=_names)
@click.option("-n", "--namespace", help="Namespace of NAME; without it the context's.")
@click.option("--kubeconfig", metavar="FILE", help="Instead of KUBECONFIG and ~/.kube/config.")
@click.option("--context", help="Context of the kubeconfig.")
@click.option("--via", metavar="IP[:PORT]", help="Where the edge listens, if not where the cluster says.")
@click.option("--api-key-env", metavar="VAR", help="Variable that holds the API key; without it the Secret.")
@click.option(
    "--ca",
    type=options.PEM,
    help="PEM file of the CAs to trust; without it the endpoint's.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(1, 3600),
    default=120.0,
    show_default=True,
    help="Seconds for the first token.",
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
    """Options to a wish, a diagnosis to a report and an exit code."""
    wish = Wish(
        namespace or "",
        name,
        options.edge_address(via) if via else None,
        options.key(api_key_env),
        options.text_of(ca),
        timeout,
    )
    end_with(_diagnose(wish, kubeconfig, context, output))


async def _diagnose(wish: Wish, kubeconfig: str | None, context: str | None, output: Output) -> int:
    began = datetime.now(UTC)
    try:
        async with open_reader(kubeconfig, context) as reader:
            wish = replace(wish, namespace=wish.namespace or reader.namespace)
            subject = Subject(f"{wish.namespace}/{wish.name}", tool(), began)
            with Picture(subject, sys.stderr) as picture:

                def ready(plan: Plan, model: str) -> Plan:
                    picture.asks(model)
                    return replace(plan, heard=picture.heard, arrived=picture.arrived)

                found = await diagnosing.diagnose(reader, wish, ready)
    except Unknown as unknown:
        raise Wrong(str(unknown)) from unknown
    except Unreachable as error:
        if "kubeconfig" in str(error):
            raise Wrong(str(error)) from error
        click.echo(f"Error: {error}", err=True)
        return NO_CONNECTION
    except ClusterError as error:
        raise Wrong(str(error)) from error
    return tell(_report(subject, found), output, None)


def _report(subject: Subject, found: Diagnosis) -> Report:
    children = tuple(
        Child(kind=s.kind, name=s.name, state=s.state, healthy=s.healthy, detail=s.detail)
        for s in found.states
    )
    subject = replace(
        subject, model=found.model, notes=dict.fromkeys(found.places, THROUGH), places=found.places
    )
    if found.result is not None:
        return of_results(subject, [found.result], children)
    return no_answer(subject, *found.hindrance, children)
