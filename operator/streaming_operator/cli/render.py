"""
`streamctl render`: the children of an endpoint as YAML, for review and GitOps; needs no cluster.

The output is what the operator applies, without the owner reference: a file has no uid. What the administrator must
allow first is told beside it.
"""

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import click
import yaml

from streaming_operator import render as renderer
from streaming_operator import routes
from streaming_operator.api.endpoint import API_VERSION, KIND, InvalidEndpoint, StreamingEndpoint
from streaming_operator.cluster import pod_policy
from streaming_operator.foreign_text import readable
from streaming_operator.render import documents
from streaming_operator.settings import PodPolicy
from streaming_operator.values import Capabilities, Edge, Manifest

ASSUMED_CLASS = "assumed"


@dataclass(frozen=True, slots=True)
class AssumedCluster:
    """What is assumed about the cluster that the children are rendered for."""

    edge: Edge
    service_monitors: bool = True
    http_routes: bool = True
    request_timeouts: bool = False
    policies: bool = False

    def capabilities(self, endpoint: StreamingEndpoint) -> Capabilities:
        """The capabilities of a cluster with exactly the classes and Gateways that the endpoint names."""
        exposure = endpoint.spec.exposure
        ingress = exposure.ingress if exposure else None
        parents = exposure.http_route.parent_refs if exposure and exposure.http_route else ()
        takes = self.request_timeouts or routes.takes_request_timeout(self.edge)
        return Capabilities(
            service_monitors=self.service_monitors,
            http_routes=self.http_routes,
            ingress_classes={ingress.class_name: self.edge} if ingress else {},
            gateway_classes={ASSUMED_CLASS: self.edge},
            gateways={f"{ref.namespace or endpoint.namespace}/{ref.name}": ASSUMED_CLASS for ref in parents},
            request_timeout_classes=frozenset({ASSUMED_CLASS} if takes else ()),
            policies=frozenset(renderer.policy_kinds() if self.policies else ()),
        )


class InvalidFile(ValueError):
    """A file that holds no valid endpoints; each problem as `place: rule`."""

    def __init__(self, problems: Iterable[str]) -> None:
        super().__init__()
        self.problems = tuple(problems)


@click.command()
@click.option(
    "-f",
    "--file",
    "file",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True),
    required=True,
    help="YAML file; - reads stdin.",
)
@click.option("-n", "--namespace", help="Namespace of documents without one.")
@click.option(
    "--edge-profile",
    type=click.Choice(routes.profiles()),
    default="ingress-nginx",
    show_default=True,
    help="Kind of edge behind the IngressClass or Gateway.",
)
@click.option(
    "--annotations-prefix",
    default="nginx.ingress.kubernetes.io",
    show_default=True,
    help="The --annotations-prefix of the ingress-nginx controller.",
)
@click.option("--no-service-monitor", is_flag=True, help="The cluster has no prometheus-operator.")
@click.option("--no-gateway-api", is_flag=True, help="The cluster has no Gateway API.")
@click.option(
    "--request-timeout-feature/--no-request-timeout-feature",
    default=False,
    show_default=True,
    help="The GatewayClass lists HTTPRouteRequestTimeout.",
)
@click.option(
    "--edge-policy/--no-edge-policy",
    default=False,
    show_default=True,
    help="The chart's edgePolicies names the profile, and its CRDs are installed.",
)
def render(
    file: str,
    namespace: str | None,
    edge_profile: str,
    annotations_prefix: str,
    no_service_monitor: bool,
    no_gateway_api: bool,
    request_timeout_feature: bool,
    edge_policy: bool,
) -> None:
    """
    Print the objects that the operator would apply, as YAML.

    Assumes ingress-nginx behind the class and every optional kind present; options change that. What the engine's
    version does not know, or the chart's own podPolicy does not allow, is printed all the same and named on stderr.
    Exit codes: 0 printed, 1 the input is invalid (each problem on stderr), 2 wrong usage.
    """
    assumed = AssumedCluster(
        edge=Edge(profile=edge_profile, annotations_prefix=annotations_prefix),
        service_monitors=not no_service_monitor,
        http_routes=not no_gateway_api,
        request_timeouts=request_timeout_feature,
        policies=edge_policy,
    )
    try:
        with click.open_file(file, "rb") as stream:
            endpoints = read(stream.read(), "<stdin>" if file == "-" else file, namespace)
    except InvalidFile as error:
        for problem in error.problems:
            click.echo(readable(problem), err=True)
        sys.exit(1)
    manifests: list[Manifest] = []
    notes: list[str] = []
    for endpoint in endpoints:
        children = renderer.children(endpoint, assumed.capabilities(endpoint))
        manifests += children
        notes += (
            f"{endpoint.name}: the chart's defaults do not allow {refused}: the administrator must"
            for refused in pod_policy.refused(endpoint, children, PodPolicy())
        )
        if note := renderer.engine_note(endpoint):
            notes.append(f"{endpoint.name}: {note}")
    click.echo(documents.as_yaml(manifests), nl=False)
    for note in notes:
        click.echo(readable(note), err=True)


def read(content: bytes, name: str, namespace: str | None) -> tuple[StreamingEndpoint, ...]:
    """The endpoints of a file; `InvalidFile` names every problem of all its documents."""
    try:
        documents = [document for document in yaml.safe_load_all(content) if document is not None]
    except yaml.YAMLError as error:
        raise InvalidFile([f"{name}: not YAML: {' '.join(str(error).split())}"]) from error
    if not documents:
        raise InvalidFile([f"{name}: no {KIND} in it"])
    endpoints: list[StreamingEndpoint] = []
    problems: list[str] = []
    for number, document in enumerate(documents, start=1):
        place = name if len(documents) == 1 else f"{name}, document {number}"
        try:
            endpoints.append(_endpoint(document, namespace))
        except InvalidEndpoint as error:
            problems += [f"{place}: {problem}" for problem in error.problems]
    if problems:
        raise InvalidFile(problems)
    return tuple(endpoints)


def _endpoint(document: Any, namespace: str | None) -> StreamingEndpoint:
    """One document as an endpoint; raises `InvalidEndpoint`."""
    if not isinstance(document, dict) or (document.get("apiVersion"), document.get("kind")) != (
        API_VERSION,
        KIND,
    ):
        kind = document.get("kind") if isinstance(document, dict) else type(document).__name__
        raise InvalidEndpoint((f"kind: {kind} is not a {KIND} of {API_VERSION}",))
    metadata = document.get("metadata") or {}
    if not isinstance(metadata, dict):
        raise InvalidEndpoint(("metadata: must be an object",))
    # A file that was read from a cluster keeps its uid there; elsewhere the owner would not exist.
    body = document | {"metadata": {"namespace": namespace, **metadata, "uid": ""}, "status": {}}
    return StreamingEndpoint.from_body(body)
