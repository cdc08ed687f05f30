"""
Endpoints from files, and the cluster that is assumed around them where there is none to ask.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import click
import yaml

from streaming_operator import render as renderer
from streaming_operator import routes
from streaming_operator.api.endpoint import API_VERSION, KIND, InvalidEndpoint, StreamingEndpoint
from streaming_operator.foreign_text import readable
from streaming_operator.values import Capabilities, Edge

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
            prometheus_rules=self.service_monitors,
            backend_tls_policies=self.http_routes,
        )


class InvalidFile(ValueError):
    """A file that holds no valid endpoints; each problem as `place: rule`."""

    def __init__(self, problems: Iterable[str]) -> None:
        super().__init__()
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Document:
    """One endpoint of a file: as it is written there, with a namespace, and read."""

    body: dict[str, Any]
    endpoint: StreamingEndpoint


def read_file(file: str, namespace: str | None) -> tuple[Document, ...]:
    """The endpoints of a file, - for stdin; prints every problem of it, and ends with exit code 1 then."""
    try:
        with click.open_file(file, "rb") as stream:
            return read(stream.read(), "<stdin>" if file == "-" else file, namespace)
    except InvalidFile as error:
        for problem in error.problems:
            click.echo(readable(problem), err=True)
        raise click.exceptions.Exit(1) from None


def read(content: bytes, name: str, namespace: str | None) -> tuple[Document, ...]:
    """The endpoints of a file; `InvalidFile` names every problem of all its documents."""
    try:
        written = [document for document in yaml.safe_load_all(content) if document is not None]
    except yaml.YAMLError as error:
        raise InvalidFile([f"{name}: not YAML: {' '.join(str(error).split())}"]) from error
    if not written:
        raise InvalidFile([f"{name}: no {KIND} in it"])
    documents: list[Document] = []
    problems: list[str] = []
    for number, document in enumerate(written, start=1):
        place = name if len(written) == 1 else f"{name}, document {number}"
        try:
            documents.append(_document(document, namespace))
        except InvalidEndpoint as error:
            problems += [f"{place}: {problem}" for problem in error.problems]
    if problems:
        raise InvalidFile(problems)
    return tuple(documents)


def _document(document: Any, namespace: str | None) -> Document:
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
    return Document(body, StreamingEndpoint.from_body(body))
