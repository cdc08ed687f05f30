"""
`streamctl diff -f FILE`: what applying a file will change, and what users' streams will notice of it.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import ndiff
from pathlib import Path
from typing import Any, Literal

import click

from streaming_operator import render as renderer
from streaming_operator import routes
from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.cli import files
from streaming_operator.cli.output import cluster_errors, end_with, tool_version
from streaming_operator.cluster import open_reader
from streaming_operator.errors import Rejected
from streaming_operator.foreign_text import readable
from streaming_operator.render.differences import Change, Effect, Field, Side, changes, worst
from streaming_operator.values import Capabilities, Edge

INVALID = 1
EXIT_CODES = {Effect.NONE: 0, Effect.OBJECTS: 0, Effect.ROUTE: 10, Effect.PODS: 11}
HEADLINES = {
    Effect.NONE: "no object changes",
    Effect.OBJECTS: "objects change; no stream notices",
    Effect.ROUTE: "a route changes: proxies load a new configuration",
    Effect.PODS: "pods end: GPUs are loaded again, and running streams drain",
}
LONGEST_VALUE = 160
"""Characters of a value that are printed as text; JSON has all of it."""

_HELP = """
Say what applying FILE will change, and what users' streams will notice of it.

Asks the API server by a dry run of the same kind of apply that wrote the endpoint before, renders both sides, and
compares them. With --base it compares two files and needs no cluster. Values of environment variables are not printed.

\b
Examples:
  streamctl diff -f endpoint.yaml
  git show main:endpoint.yaml | streamctl diff -f endpoint.yaml --base -
  streamctl diff -f endpoint.yaml --output json > diff.json

\b
Exit codes:
  0   nothing that a stream notices
  1   the file is invalid, or the API server refuses it
  2   wrong usage, or it may not be read
  4   could not connect
  10  a route changes: proxies load a new configuration
  11  pods end or are replaced: GPUs are loaded again, and running streams drain
"""


@dataclass(frozen=True, slots=True)
class Difference:
    """One endpoint."""

    namespace: str
    name: str
    changes: tuple[Change, ...]
    note: str | None = None


@click.command(help=_HELP)
@click.option(
    "-f",
    "--file",
    "file",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True),
    required=True,
    help="YAML file; - reads stdin.",
)
@click.option(
    "--base",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True),
    help="File with what there was before, instead of the cluster; it may be empty.",
)
@click.option("-n", "--namespace", help="Namespace of documents without one; by default the context's.")
@click.option("--kubeconfig", metavar="FILE", help="Kubeconfig; by default KUBECONFIG or ~/.kube/config.")
@click.option("--context", help="Context of the kubeconfig.")
@click.option(
    "--edge-profile",
    type=click.Choice(routes.profiles()),
    default="ingress-nginx",
    show_default=True,
    help="With --base: the kind of edge behind the IngressClass.",
)
@click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def diff(
    file: str,
    base: str | None,
    namespace: str | None,
    kubeconfig: str | None,
    context: str | None,
    edge_profile: str,
    output: Literal["text", "json"],
) -> None:
    """Parse the options, compare, print and exit."""
    if file == "-" == base:
        raise click.UsageError("stdin can be one of --file and --base")
    documents = files.read_file(file, namespace)
    if base is not None:
        before = () if base != "-" and Path(base).stat().st_size == 0 else files.read_file(base, namespace)
        assumed = files.AssumedCluster(Edge(profile=edge_profile))
        end_with(_ended(_of_files(before, documents, assumed), output))
    end_with(_diff(documents, kubeconfig, context, output))


async def _diff(
    documents: Sequence[files.Document], kubeconfig: str | None, context: str | None, output: str
) -> int:
    differences: list[Difference] = []
    with cluster_errors("; --base compares with a file instead and needs no cluster"):
        try:
            async with open_reader(kubeconfig, context) as reader:
                for document in documents:
                    metadata = {"namespace": reader.namespace, **_given(document.body["metadata"])}
                    edit = await reader.edit({**document.body, "metadata": metadata})
                    made = changes(edit.before, edit.after, edit.capabilities)
                    endpoint = edit.after.endpoint
                    differences.append(Difference(endpoint.namespace, endpoint.name, made, edit.note))
        except Rejected as error:
            click.echo(readable(f"Error: {error}"), err=True)
            return INVALID
    return await _ended(differences, output)


def _given(metadata: dict[str, Any]) -> dict[str, Any]:
    """Metadata that a person gives; a file that was read from a cluster has more, which no apply takes."""
    names = ("namespace", "name", "labels", "annotations")
    return {name: metadata[name] for name in names if metadata.get(name) is not None}


def _of_files(
    before: Iterable[files.Document], after: Iterable[files.Document], assumed: files.AssumedCluster
) -> list[Difference]:
    """The endpoints of two files, those of the second first."""
    old, new = ({one.endpoint.key: one.endpoint for one in side} for side in (before, after))
    differences = []
    for key in dict.fromkeys((*new, *old)):
        one, other = old.get(key), new.get(key)
        capabilities = assumed.capabilities(other or old[key])
        made = changes(_side(one, capabilities), _side(other, capabilities), capabilities)
        differences.append(Difference(*key, made))
    return differences


def _side(endpoint: StreamingEndpoint | None, capabilities: Capabilities) -> Side | None:
    return None if endpoint is None else Side(endpoint, renderer.children(endpoint, capabilities))


async def _ended(differences: Sequence[Difference], output: str) -> int:
    """Print and return the exit code."""
    effect = max((worst(difference.changes) for difference in differences), default=Effect.NONE)
    code = EXIT_CODES[effect]
    if output == "json":
        click.echo(_as_json(differences, effect, code))
    else:
        for difference in differences:
            click.echo("\n".join(_lines(difference)))
    return code


def _as_json(differences: Sequence[Difference], effect: Effect, code: int) -> str:
    document = {
        "tool": tool_version(),
        "effect": effect.name.lower(),
        "exitCode": code,
        "endpoints": [
            {
                "namespace": one.namespace,
                "name": one.name,
                "effect": worst(one.changes).name.lower(),
                "note": one.note,
                "changes": [
                    {
                        "kind": change.kind,
                        "name": change.name,
                        "action": change.action,
                        "effect": change.effect.name.lower(),
                        "sentence": change.sentence,
                        "fields": [
                            {"path": field.path, "before": field.before, "after": field.after}
                            for field in change.fields
                        ],
                    }
                    for change in one.changes
                ],
            }
            for one in differences
        ],
    }
    return json.dumps(document, indent=2)


def _lines(difference: Difference) -> Iterable[str]:
    """One endpoint as text."""
    headline = HEADLINES[worst(difference.changes)]
    yield readable(f"{difference.namespace}/{difference.name}: {headline}")
    if difference.note:
        yield f"  note: {readable(difference.note)}"
    for change in difference.changes:
        yield f"  {readable(f'{change.action} {change.kind}/{change.name}: {change.sentence}')}"
        for field in change.fields:
            yield from _field(field)


def _field(field: Field) -> Iterable[str]:
    """One field: lists of plain values by what came and went, anything else whole."""
    if all(isinstance(value, (list, tuple)) for value in (field.before, field.after)):
        yield f"    {readable(field.path)}:"
        old, new = ([_value(item) for item in value] for value in (field.before, field.after))
        yield from (f"      {line}" for line in ndiff(old, new) if line[0] in "+-")
        return
    yield f"    {readable(field.path)}: {_value(field.before)} -> {_value(field.after)}"


def _value(value: Any) -> str:
    if value is None:
        return "(none)"
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return readable(text, LONGEST_VALUE)
