"""
An object of the API as it was last read. Pure.
"""

import json
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from streaming_operator.kinds import Key
from streaming_operator.kube.packing import Packed, Packer

Body = dict[str, Any]


class Owner(NamedTuple):
    """The owner reference of a controller."""

    api_version: str
    kind: str
    name: str
    uid: str


class StoredObject:
    """
    What is kept of one object; never changed in place.

    Who it is and whose is read all the time and kept as it is. The rest may be packed, and takes 50 µs to be read:
    thousands of objects are kept, and few of them are read at a time.
    """

    __slots__ = ("_content", "controller", "deleting", "key", "resource_version", "uid")

    def __init__(self, body: Body, packer: Packer | None = None) -> None:
        """*body* has at least `metadata`; it is not copied. With a *packer* it is packed."""
        metadata = body["metadata"]
        self.key: Key = _key_of(metadata)
        """`(namespace, name)` of the object itself."""
        self.uid = str(metadata.get("uid", ""))
        """Identity of the object."""
        self.resource_version = str(metadata.get("resourceVersion", ""))
        """Version of the object."""
        self.deleting = "deletionTimestamp" in metadata
        """Whether its deletion has begun."""
        self.controller = _controller_of(metadata)
        """The owner reference of its controller."""
        self._content: Body | Packed = body if packer is None else packer.pack(as_json(body))

    @property
    def body(self) -> Body:
        """The object, perhaps trimmed."""
        if isinstance(self._content, Packed):
            body: Body = self._content.unpack()
            return body
        return self._content

    @property
    def metadata(self) -> Body:
        """Metadata of the object."""
        metadata: Body = self.body["metadata"]
        return metadata

    def is_controlled_by(self, uid: str) -> bool:
        """Whether the object of that uid is its controller."""
        return self.controller is not None and self.controller.uid == uid


def _key_of(metadata: Mapping[str, Any]) -> Key:
    return (sys.intern(metadata.get("namespace", "")), sys.intern(metadata["name"]))


def _controller_of(metadata: Mapping[str, Any]) -> Owner | None:
    """Texts that an endpoint's children have in common are kept once."""
    owner = next((o for o in metadata.get("ownerReferences") or () if o.get("controller")), None)
    names = ("apiVersion", "kind", "name", "uid")
    return None if owner is None else Owner(*(sys.intern(owner[name]) for name in names))


def as_json(body: Body) -> bytes:
    """As JSON; a number of more than 64 bits is slow to write."""
    try:
        return orjson.dumps(body)
    except TypeError:
        return json.dumps(body).encode()


def unchanged(old: StoredObject, new: StoredObject) -> bool:
    """Whether nothing that is kept differs, whatever the resource version says."""
    return old.resource_version == new.resource_version or _stable(old) == _stable(new)


def _stable(stored: StoredObject) -> Body:
    """The object without its version."""
    body = stored.body
    metadata = {key: value for key, value in body["metadata"].items() if key != "resourceVersion"}
    return {**body, "metadata": metadata}
