"""The Service: port 80 inside the cluster, or 443 with TLS, so that its URL needs none, to the engine's named port."""

from streaming_operator import routes
from streaming_operator.api import naming
from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.kinds import Kind
from streaming_operator.render.deployment import PORT_NAME
from streaming_operator.routes.base import service_port
from streaming_operator.values import Capabilities, Manifest

SERVICES = Kind("v1", "Service", "services")


def service(endpoint: StreamingEndpoint, capabilities: Capabilities) -> Manifest:
    """A ClusterIP Service over the endpoint's pods; its address is assigned by the API server."""
    port = service_port(endpoint)
    # For edges and meshes that ask the Service how to speak to the pods.
    protocol = {"appProtocol": "https"} if endpoint.spec.engine.tls else {}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(endpoint, capabilities),
        "spec": {
            "type": "ClusterIP",
            "selector": naming.selector(endpoint),
            "ports": [
                {
                    "name": port.name,
                    "port": port.number,
                    "targetPort": PORT_NAME,
                    "protocol": "TCP",
                    **protocol,
                }
            ],
        },
    }


def _metadata(endpoint: StreamingEndpoint, capabilities: Capabilities) -> Manifest:
    """Our metadata, the user's labels below ours, and the user's annotations above those that the edge reads."""
    given = endpoint.spec.service
    metadata = naming.metadata(endpoint)
    metadata["labels"] = given.labels | metadata["labels"]
    annotations = {**routes.service_annotations(endpoint, capabilities), **given.annotations}
    if annotations:
        metadata["annotations"] = annotations
    return metadata
