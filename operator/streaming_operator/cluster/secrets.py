"""Single values of Secrets and ConfigMaps: read when a probe needs them, kept nowhere, quoted nowhere."""

import base64
import binascii

from streaming_operator.cluster import resources
from streaming_operator.errors import NotFound, Rejected
from streaming_operator.kube.client import Transport


async def secret_key(transport: Transport, namespace: str, name: str, key: str) -> str:
    """One value of a Secret; raises `NotFound` without it, `Rejected` where it is not text."""
    body = await transport.get(resources.SECRETS.path(namespace, name), f"read Secret {namespace}/{name}")
    try:
        return base64.b64decode((body.get("data") or {})[key], validate=True).decode().strip()
    except KeyError:
        raise NotFound(f"Secret {namespace}/{name} has no key {key!r}") from None
    except (binascii.Error, UnicodeDecodeError):  # the cause would quote the secret
        raise Rejected(f"Secret {namespace}/{name}: the value of {key!r} is not text") from None


async def config_map_key(transport: Transport, namespace: str, name: str, key: str) -> str:
    """One value of a ConfigMap, e.g. a CA bundle."""
    body = await transport.get(
        resources.CONFIG_MAPS.path(namespace, name), f"read ConfigMap {namespace}/{name}"
    )
    try:
        return str((body.get("data") or {})[key])
    except KeyError:
        raise NotFound(f"ConfigMap {namespace}/{name} has no key {key!r}") from None
