"""Golden files: endpoints, what the cluster has, and the children that must come of it, word for word."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from streaming_operator import render
from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.kinds import Kind
from streaming_operator.values import Capabilities, Edge, Manifest
from tests.apiserver.control_plane import WITHOUT_A_PACKAGE

CASES = Path(__file__).parent / "cases"
WRITING = os.environ.get("GOLDEN") == "write"
"""`make golden` writes what it finds instead of comparing; the diff is for a person to read."""

DEFAULT_CAPABILITIES = Capabilities(
    service_monitors=True, http_routes=True, ingress_classes={"nginx": Edge(profile="ingress-nginx")}
)


@dataclass(frozen=True, slots=True)
class Case:
    """One folder of `cases`."""

    name: str

    @property
    def children_file(self) -> Path:
        """What is expected."""
        return CASES / self.name / "children.yaml"

    def body(self) -> dict[str, Any]:
        """The endpoint as the API server holds it."""
        body: dict[str, Any] = yaml.safe_load((CASES / self.name / "endpoint.yaml").read_text())
        return body

    def endpoint(self) -> StreamingEndpoint:
        """The endpoint, parsed."""
        return StreamingEndpoint.from_body(self.body())

    def capabilities(self) -> Capabilities:
        """The default ones, but for what `capabilities.yaml` says, by the names of the fields."""
        file = CASES / self.name / "capabilities.yaml"
        given: dict[str, Any] = yaml.safe_load(file.read_text()) if file.exists() else {}
        for key in ("ingress_classes", "gateway_classes"):
            if key in given:
                given[key] = {name: Edge(**edge) for name, edge in given[key].items()}
        if "request_timeout_classes" in given:
            given["request_timeout_classes"] = frozenset(given["request_timeout_classes"])
        if "policies" in given:
            kinds = {kind.kind: kind for kind in render.policy_kinds()}
            given["policies"] = frozenset(kinds[name] for name in given["policies"])
        return replace(DEFAULT_CAPABILITIES, **given)

    def children(self) -> tuple[Manifest, ...]:
        """What the renderer makes of it now."""
        return render.children(self.endpoint(), self.capabilities())


def crd_name(kind: Kind) -> str:
    """The name of a kind's CRD."""
    return f"{kind.plural}.{kind.api_version.partition('/')[0]}"


def untried() -> frozenset[tuple[str, str]]:
    """`apiVersion` and `kind` of the children that no API server here can try: no package has their CRDs."""
    kinds = (kind for kind in render.policy_kinds() if crd_name(kind) in WITHOUT_A_PACKAGE)
    return frozenset((kind.api_version, kind.kind) for kind in kinds)


def cases() -> list[Case]:
    """All cases, by name."""
    return [Case(folder.name) for folder in sorted(CASES.iterdir()) if (folder / "endpoint.yaml").exists()]
