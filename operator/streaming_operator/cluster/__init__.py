"""Everything that talks to the Kubernetes API; the only importers of a client."""

from streaming_operator.cluster.apply import Applied
from streaming_operator.cluster.edge_addresses import EdgeAddresses
from streaming_operator.cluster.edits import Edit
from streaming_operator.cluster.facade import Cluster
from streaming_operator.cluster.metrics_access import Access
from streaming_operator.cluster.reader import ClusterReader, EndpointView, open_reader

__all__ = [
    "Access",
    "Applied",
    "Cluster",
    "ClusterReader",
    "EdgeAddresses",
    "Edit",
    "EndpointView",
    "open_reader",
]
