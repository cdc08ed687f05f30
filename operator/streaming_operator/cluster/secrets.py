"""Single values of Secrets and ConfigMaps: read when a probe needs them, kept nowhere, quoted nowhere."""

import base64
import binascii
from collections.abc import Collection

from streaming_operator.cluster import resources
from streaming_operator.errors import NotFound, Rejected
from streaming_operator.kube.client import Transport


async def secret_key(transport: Transport, namespace: str, name: str, key: str) -> str:
    """One value of a Secret; raises `NotFound` without it, `Rejected` where it is not text."""
    entries = await _data(transport, namespace, name)
    if key not in entries:
        raise NotFound(f"Secret {namespace}/{name} has no key {key!r}")
    return _text(entries[key], namespace, name, key)


async def secret_entries(
    transport: Transport, namespace: str, name: str, keys: Collection[str] = ()
) -> dict[str, str]:
    """
    The values of a Secret by their keys, of one version: every one, or those of *keys* that it has, whose neighbours
    may be binary. Raises `NotFound` without the Secret, `Rejected` where one is not text.
    """
    entries = await _data(transport, namespace, name)
    return {
        key: _text(value, namespace, name, key) for key, value in entries.items() if not keys or key in keys
    }


async def _data(transport: Transport, namespace: str, name: str) -> dict[str, str]:
    body = await transport.read(resources.SECRETS.path(namespace, name), f"read Secret {namespace}/{name}")
    return dict(body.get("data") or {})


def _text(value: str, namespace: str, name: str, key: str) -> str:
    try:
        return base64.b64decode(value, validate=True).decode().strip()
    except (binascii.Error, UnicodeDecodeError):  # the cause would quote the secret
        raise Rejected(f"Secret {namespace}/{name}: the value of {key!r} is not text") from None


async def config_map_key(transport: Transport, namespace: str, name: str, key: str) -> str:
    """One value of a ConfigMap, e.g. a CA bundle."""
    body = await transport.read(
        resources.CONFIG_MAPS.path(namespace, name), f"read ConfigMap {namespace}/{name}"
    )
    try:
        return str((body.get("data") or {})[key])
    except KeyError:
        raise NotFound(f"ConfigMap {namespace}/{name} has no key {key!r}") from None
