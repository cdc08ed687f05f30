"""The ServiceMonitor: where a prometheus-operator scrapes the engine's metrics, TTFT among them."""

from streaming_operator.api import naming
from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.engines.base import Engine
from streaming_operator.kinds import Kind
from streaming_operator.routes.base import service_port
from streaming_operator.values import Capabilities, Manifest

SERVICE_MONITORS = Kind("monitoring.coreos.com/v1", "ServiceMonitor", "servicemonitors", optional=True)


def service_monitor(
    endpoint: StreamingEndpoint, engine: Engine, capabilities: Capabilities
) -> Manifest | None:
    """Scrape every pod behind the Service; None if it is turned off or the cluster lacks the kind."""
    wanted = endpoint.spec.monitoring.service_monitor
    if not wanted.enabled or not capabilities.service_monitors:
        return None
    metadata = naming.metadata(endpoint)
    metadata["labels"] = wanted.labels | metadata["labels"]
    # Prometheus asks pods by their addresses, which no certificate names.
    tls = endpoint.spec.engine.tls is not None
    scheme: Manifest = (
        {"scheme": "https", "tlsConfig": {"insecureSkipVerify": True}} if tls else {"scheme": "http"}
    )
    return {
        "apiVersion": SERVICE_MONITORS.api_version,
        "kind": SERVICE_MONITORS.kind,
        "metadata": metadata,
        "spec": {
            # The Service carries all labels of a child; its pods' Service is the only one with this pair.
            "selector": {"matchLabels": naming.selector(endpoint)},
            # `job` becomes the endpoint's name.
            "jobLabel": naming.INSTANCE_LABEL,
            "endpoints": [
                {
                    "port": service_port(endpoint).name,
                    "path": engine.metrics_path,
                    **scheme,
                    "interval": f"{wanted.interval_seconds}s",
                }
            ],
        },
    }
