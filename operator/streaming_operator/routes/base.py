"""
The interface of a route: how one kind of edge is configured to carry streams.

A route renders the one object of an endpoint that the edge reads. One file an edge (docs/adding-a-route.md); pure, it
decides from `Capabilities` alone.
"""

from typing import Literal, Protocol

from streaming_operator.api.endpoint import Exposure, StreamingEndpoint
from streaming_operator.kinds import Kind
from streaming_operator.values import Capabilities, Edge, Manifest

SERVICE_PORT = 80
"""Port of the endpoint's Service, so that its URL inside the cluster needs none."""

ExposureKind = Literal["ingress", "httpRoute"]


class Route(Protocol):
    """One kind of edge."""

    name: str
    """Key in the registry."""
    exposure: ExposureKind
    """The member of `spec.exposure` it serves."""
    profile: str
    """The profile of the edges it serves; `generic` serves every edge without a route of its own."""
    child: Kind
    """The kind of the one object it renders."""

    def allows(self, annotation: str, edge: Edge | None) -> bool:
        """
        Whether a user may set this annotation: one that changes nothing but the user's own requests.

        Not one that may take the requests of others (canary, aliases, rewrites, priorities), name an object of another
        namespace, make the edge connect elsewhere, or ask another controller for something (certificates, DNS names).
        """
        ...

    def render(self, endpoint: StreamingEndpoint, capabilities: Capabilities) -> Manifest:
        """
        Render the route object, only fields that the operator owns.

        A class that the cluster lacks is no error: the portable fields are rendered, and the status reports it.
        """
        ...


def exposure_of(endpoint: StreamingEndpoint) -> Exposure:
    """`spec.exposure` of an endpoint that has one; a route is never called otherwise."""
    exposure = endpoint.spec.exposure
    if exposure is None:
        raise ValueError(f"{endpoint.namespace}/{endpoint.name} is not exposed")
    return exposure
