"""The Service: port 80 inside the cluster, so that its URL needs no port, to the engine's named port."""

from streaming_operator.api import naming
from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.kinds import Kind
from streaming_operator.render.deployment import PORT_NAME
from streaming_operator.routes.base import SERVICE_PORT
from streaming_operator.values import Manifest

SERVICES = Kind("v1", "Service", "services")


def service(endpoint: StreamingEndpoint) -> Manifest:
    """A ClusterIP Service over the endpoint's pods; its address is assigned by the API server."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": naming.metadata(endpoint),
        "spec": {
            "type": "ClusterIP",
            "selector": naming.selector(endpoint),
            "ports": [{"name": PORT_NAME, "port": SERVICE_PORT, "targetPort": PORT_NAME, "protocol": "TCP"}],
        },
    }
