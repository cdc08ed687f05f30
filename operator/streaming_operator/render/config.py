"""
The immutable ConfigMap with the operator's own files inside the engine's container.

Its name carries a hash of its content. The content is the same for every endpoint of one version and frozen: a change
of one letter is a new pod template, and would restart every GPU (a test holds the hashes). So what is new comes with a
new version, which endpoints get when they are made or when their spec changes their pods anyway.
"""

import hashlib
import itertools
import json
from collections.abc import Iterable, Mapping
from functools import cache
from types import MappingProxyType

from streaming_operator.api import naming
from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.kinds import Kind
from streaming_operator.render import documents
from streaming_operator.values import Manifest

CONFIG_MAPS = Kind("v1", "ConfigMap", "configmaps")
FILES: Mapping[int, tuple[str, ...]] = MappingProxyType(
    {
        1: ("drain.py", "streaming_middleware.py"),
        2: ("drain.py", "exposed_paths.py", "streaming_middleware.py"),
        3: ("drain.py", "exposed_paths.py", "streaming_middleware.py"),
        4: ("drain.py", "exposed_paths.py", "streaming_middleware.py"),
    }
)
"""The files of each version; see `api.endpoint.POD_VERSION`."""
TLS_FILES = ("drain_tls.py",)
"""Further files where the server speaks TLS."""
WEB_SOCKET_FILES = ("event_source.py", "websocket_bridge.py")
"""Further files with `engine.webSocket`."""


def files(version: int, tls: bool = False, web_socket: bool = False) -> dict[str, str]:
    """The files of a version by name."""
    further = (*(TLS_FILES if tls else ()), *(WEB_SOCKET_FILES if web_socket else ()))
    return {name: documents.packaged(name) for name in (*FILES[version], *further)}


@cache
def content_hash(version: int, tls: bool = False, web_socket: bool = False) -> str:
    """8 hex digits of a version's files, and from 3 on of its number: versions may have the same files."""
    content = files(version, tls, web_socket) | ({"version": str(version)} if version >= 3 else {})
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:8]


def pod_version(config_maps: Iterable[str]) -> int | None:
    """The version of the files in one of these ConfigMaps, by its name; None if there are none of ours."""
    switches = itertools.product((False, True), repeat=2)
    by_hash = {content_hash(version, *on): version for on in switches for version in FILES}
    return next((by_hash[end] for name in config_maps if (end := name[-8:]) in by_hash), None)


def config_map_name(endpoint: StreamingEndpoint) -> str:
    """`<name>-engine-<hash>`."""
    return naming.child_name(endpoint, _suffix(endpoint))


def _suffix(endpoint: StreamingEndpoint) -> str:
    return f"engine-{content_hash(endpoint.pod_version, *_switches(endpoint))}"


def _switches(endpoint: StreamingEndpoint) -> tuple[bool, bool]:
    """TLS, WebSocket."""
    return endpoint.spec.engine.tls is not None, endpoint.spec.engine.web_socket


def config_map(endpoint: StreamingEndpoint) -> Manifest:
    """The ConfigMap, mounted read-only at `engines.base.FILES_PATH`."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": naming.metadata(endpoint, _suffix(endpoint)),
        "immutable": True,
        "data": files(endpoint.pod_version, *_switches(endpoint)),
    }
