"""
`streamctl render`: the children of an endpoint as YAML, for review and GitOps; needs no cluster.

The output is what the operator applies, without the owner reference: a file has no uid. What the administrator must
allow first is printed to stderr.
"""

import click

from streaming_operator import render as renderer
from streaming_operator import routes
from streaming_operator.cli import files
from streaming_operator.cluster import exposure_policy, pod_policy
from streaming_operator.foreign_text import readable
from streaming_operator.render import documents
from streaming_operator.settings import PodPolicy
from streaming_operator.values import Edge, Manifest


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
    version or the edge does not know, or the chart's own podPolicy or list of annotations does not allow, is printed
    all the same and named on stderr.
    Exit codes: 0 printed, 1 the input is invalid (each problem on stderr), 2 wrong usage.
    """
    assumed = files.AssumedCluster(
        edge=Edge(profile=edge_profile, annotations_prefix=annotations_prefix),
        service_monitors=not no_service_monitor,
        http_routes=not no_gateway_api,
        request_timeouts=request_timeout_feature,
        policies=edge_policy,
    )
    manifests: list[Manifest] = []
    notes: list[str] = []
    for endpoint in (document.endpoint for document in files.read_file(file, namespace)):
        capabilities = assumed.capabilities(endpoint)
        children = renderer.children(endpoint, capabilities)
        manifests += children
        notes += (
            f"{endpoint.name}: the chart's defaults do not allow {refused}: the administrator must"
            for refused in pod_policy.refused(endpoint, children, PodPolicy())
        )
        if (problem := exposure_policy.refused_by_edge(endpoint, capabilities)) is not None:
            notes.append(f"{endpoint.name}: {problem.reason}: {problem.message}")
        said = (routes.remark(endpoint, capabilities), renderer.engine_note(endpoint))
        notes += (f"{endpoint.name}: {note}" for note in said if note)
    click.echo(documents.as_yaml(manifests), nl=False)
    for note in notes:
        click.echo(readable(note), err=True)
