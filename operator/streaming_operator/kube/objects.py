"""
An object of the API as it was last read. Pure.
"""

import json
import zlib
from collections.abc import Mapping
from typing import Any

import orjson
from pydantic_core import from_json

from streaming_operator.kinds import Key

Body = dict[str, Any]


class StoredObject:
    """
    What is kept of one object; never changed in place.

    Metadata is read all the time and kept as it is. The rest may be packed: a Deployment takes a fifth of the memory
    and 50 µs to be read. Thousands of objects are kept, and few of them are read at a time.
    """

    __slots__ = ("_rest", "metadata")

    def __init__(self, body: Body, *, packed: bool = False) -> None:
        """*body* has at least `metadata`; it is not copied."""
        self.metadata: dict[str, Any] = body["metadata"]
        rest = {name: part for name, part in body.items() if name != "metadata"}
        self._rest: dict[str, Any] | bytes = zlib.compress(as_json(rest), 1) if packed else rest

    @property
    def body(self) -> Body:
        """The object, perhaps trimmed."""
        rest = self._rest
        plain: dict[str, Any] = from_json(zlib.decompress(rest)) if isinstance(rest, bytes) else rest
        return {**plain, "metadata": self.metadata}

    @property
    def key(self) -> Key:
        """`(namespace, name)` of the object itself."""
        return (self.metadata.get("namespace", ""), self.metadata["name"])

    @property
    def uid(self) -> str:
        """Identity of the object."""
        return str(self.metadata["uid"])

    @property
    def resource_version(self) -> str:
        """Version of the object."""
        return str(self.metadata["resourceVersion"])

    @property
    def deleting(self) -> bool:
        """Whether its deletion has begun."""
        return "deletionTimestamp" in self.metadata

    @property
    def controller(self) -> Mapping[str, Any] | None:
        """The owner reference of its controller."""
        return next((o for o in self.metadata.get("ownerReferences") or () if o.get("controller")), None)

    def is_controlled_by(self, uid: str) -> bool:
        """Whether the object of that uid is its controller."""
        controller = self.controller
        return controller is not None and controller["uid"] == uid


def as_json(body: Body) -> bytes:
    """As JSON; a number of more than 64 bits is slow to write."""
    try:
        return orjson.dumps(body)
    except TypeError:
        return json.dumps(body).encode()


def unchanged(old: StoredObject, new: StoredObject) -> bool:
    """Whether nothing that is kept differs, whatever the resource version says."""
    if old.resource_version == new.resource_version:
        return True
    return {**old.body, "metadata": _stable(old)} == {**new.body, "metadata": _stable(new)}


def _stable(stored: StoredObject) -> Body:
    """Metadata without the version."""
    return {key: value for key, value in stored.metadata.items() if key != "resourceVersion"}
