"""
The BackendTLSPolicy: how a Gateway is told that the pods speak TLS, and by whom their certificate was signed.

The HTTPRoute has no field for it. The Gateway API has no policy that leaves the certificate unchecked, so that there is
none without a CA.
"""

from streaming_operator.api import naming
from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.kinds import Kind
from streaming_operator.render.service import SERVICES
from streaming_operator.routes import exposure_kind
from streaming_operator.values import Capabilities, Manifest

BACKEND_TLS_POLICIES = Kind(
    "gateway.networking.k8s.io/v1", "BackendTLSPolicy", "backendtlspolicies", optional=True
)
"""Of this version since the Gateway API 1.4; before, implementations each took another one."""


def backend_tls_policy(endpoint: StreamingEndpoint, capabilities: Capabilities) -> Manifest | None:
    """The policy of the endpoint's Service; None without a CA or a Gateway, or where the cluster lacks the kind."""
    tls = endpoint.spec.engine.tls
    if tls is None or tls.ca_config_map_name is None:
        return None
    if exposure_kind(endpoint) != "httpRoute" or not capabilities.backend_tls_policies:
        return None
    return {
        "apiVersion": BACKEND_TLS_POLICIES.api_version,
        "kind": BACKEND_TLS_POLICIES.kind,
        "metadata": naming.metadata(endpoint),
        "spec": {
            "targetRefs": [{"group": "", "kind": SERVICES.kind, "name": naming.child_name(endpoint)}],
            "validation": {
                "caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": tls.ca_config_map_name}],
                "hostname": f"{naming.child_name(endpoint)}.{endpoint.namespace}.svc",
            },
        },
    }
