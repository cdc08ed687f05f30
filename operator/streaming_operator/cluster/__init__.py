"""Everything that talks to the Kubernetes API; the only importers of a client."""

from streaming_operator.cluster.applier import Applied
from streaming_operator.cluster.cached import Key
from streaming_operator.cluster.edges import EdgeAddresses
from streaming_operator.cluster.facade import Cluster
from streaming_operator.cluster.look import Look, Sight, look

__all__ = ["Applied", "Cluster", "EdgeAddresses", "Key", "Look", "Sight", "look"]
