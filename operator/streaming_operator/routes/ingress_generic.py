"""
An Ingress of portable fields only, for edges without a profile: only the probe can tell whether it streams.

Routes of edges that are configured by annotations build on `portable_ingress`.
"""

from streaming_operator.api import naming
from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.kinds import Kind
from streaming_operator.routes.base import SERVICE_PORT, ExposureKind, Route, exposure_of
from streaming_operator.values import Capabilities, Manifest

INGRESSES = Kind("networking.k8s.io/v1", "Ingress", "ingresses")


def portable_ingress(endpoint: StreamingEndpoint, annotations: dict[str, str]) -> Manifest:
    """Class, host, paths and TLS; `annotations` take precedence over the user's."""
    exposure = exposure_of(endpoint)
    ingress = exposure.ingress
    if ingress is None:
        raise ValueError(f"{endpoint.namespace}/{endpoint.name} is not exposed by an Ingress")
    backend = {"service": {"name": naming.child_name(endpoint), "port": {"number": SERVICE_PORT}}}
    paths = [{"path": prefix, "pathType": "Prefix", "backend": backend} for prefix in exposure.path_prefixes]
    metadata = naming.metadata(endpoint)
    merged = ingress.annotations | annotations
    if merged:
        metadata["annotations"] = merged
    spec: Manifest = {
        "ingressClassName": ingress.class_name,
        "rules": [{"host": exposure.host, "http": {"paths": paths}}],
    }
    if ingress.tls is not None:
        spec["tls"] = [{"hosts": [exposure.host], "secretName": ingress.tls.secret_name}]
    return {"apiVersion": INGRESSES.api_version, "kind": INGRESSES.kind, "metadata": metadata, "spec": spec}


class GenericIngress:
    """Any Ingress controller, without specific annotations."""

    name = "ingress-generic"
    exposure: ExposureKind = "ingress"
    profile = "generic"
    child = INGRESSES

    def render(self, endpoint: StreamingEndpoint, capabilities: Capabilities) -> Manifest:
        """Portable fields and the user's annotations."""
        return portable_ingress(endpoint, {})


ROUTE: Route = GenericIngress()
