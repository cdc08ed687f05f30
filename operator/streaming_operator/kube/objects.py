"""
An object of the API as it was last seen. Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from streaming_operator.values import Key

Body = dict[str, Any]


@dataclass(slots=True)
class StoredObject:
    """What is kept of one object."""

    body: Body
    """Perhaps trimmed; never changed in place."""

    @property
    def metadata(self) -> dict[str, Any]:
        """`metadata` of the object."""
        metadata: dict[str, Any] = self.body["metadata"]
        return metadata

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


def unchanged(old: StoredObject, new: StoredObject) -> bool:
    """Whether nothing that is kept differs, whatever the resource version says."""
    if old.resource_version == new.resource_version:
        return True
    return {**old.body, "metadata": _stable(old)} == {**new.body, "metadata": _stable(new)}


def _stable(stored: StoredObject) -> Body:
    """Metadata without the version."""
    return {key: value for key, value in stored.metadata.items() if key != "resourceVersion"}
