"""
The immutable ConfigMap with the operator's own files inside the engine's container.

Its name carries a hash of its content. The content is the same for every endpoint and frozen for a rendering
version: a change of one letter is a new pod template, and restarts every GPU (a test holds the hash).
"""

import hashlib
import json

from streaming_operator.api import naming
from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.kinds import Kind
from streaming_operator.render import documents
from streaming_operator.values import Manifest

CONFIG_MAPS = Kind("v1", "ConfigMap", "configmaps")
FILES = ("drain.py", "streaming_middleware.py")


def files() -> dict[str, str]:
    """The files by name."""
    return {name: documents.packaged(name) for name in FILES}


def content_hash() -> str:
    """8 hex digits of the files' content."""
    return hashlib.sha256(json.dumps(files(), sort_keys=True).encode()).hexdigest()[:8]


def config_map_name(endpoint: StreamingEndpoint) -> str:
    """`<name>-engine-<hash>`."""
    return naming.child_name(endpoint, f"engine-{content_hash()}")


def config_map(endpoint: StreamingEndpoint) -> Manifest:
    """The ConfigMap, mounted read-only at `engines.base.FILES_PATH`."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": naming.metadata(endpoint, f"engine-{content_hash()}"),
        "immutable": True,
        "data": files(),
    }
