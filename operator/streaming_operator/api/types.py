"""
The scalar types of the resource: names, paths, quantities, lists without duplicates.

Patterns are written for two engines (the API server's RE2 and Rust's): ASCII classes only, no look-around.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, WithJsonSchema
from pydantic_core import CoreSchema, PydanticCustomError, core_schema


@dataclass(frozen=True, slots=True)
class Unique:
    """
    Marks a list without duplicates by `key` (a `map` to the API server) or by value (a `set`).

    Duplicates would be stored without an error and then make the server-side apply of the children fail.
    """

    key: str | None = None

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        schema: dict[str, Any] = handler(core)
        if self.key is None:
            return schema | {"x-kubernetes-list-type": "set"}
        return schema | {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [self.key]}

    def _check(self, items: tuple[Any, ...]) -> tuple[Any, ...]:
        keys = [self._key(item) for item in items] if self.key else items
        if len(set(keys)) < len(items):
            raise PydanticCustomError(
                "duplicate", "entries must differ in {what}", {"what": self.key or "value"}
            )
        return items

    def _key(self, item: Any) -> Any:
        """The key of a part; one without it is refused elsewhere."""
        if isinstance(item, dict):
            return item.get(self.key, id(item))
        return getattr(item, str(self.key))


def _amount(value: object) -> object:
    """Kubernetes accepts `cpu: 4` as well as `cpu: "4"`; a CRD's schema has no type for `cpu: 0.5`."""
    if isinstance(value, float):
        raise PydanticCustomError(
            "quantity", "a quantity is a whole number or text: '0.5' in quotes, or 500m"
        )
    return str(value) if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else value


_QUANTITY = r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$"
_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"

DnsName = Annotated[str, Field(max_length=253, pattern=rf"^{_LABEL}(\.{_LABEL})*$")]
DnsLabel = Annotated[str, Field(max_length=63, pattern=rf"^{_LABEL}$")]
ConfigKey = Annotated[str, Field(max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")]
"""A key of a Secret or a ConfigMap."""
AbsolutePath = Annotated[str, Field(max_length=1024, pattern=r"^/[-._a-zA-Z0-9/]+$")]
RelativePath = Annotated[str, Field(max_length=1024, pattern=r"^[._a-zA-Z0-9][-._a-zA-Z0-9/]*$")]
"""A path below the root of a volume."""
ImageReference = Annotated[str, Field(max_length=512, pattern=r"^[a-zA-Z0-9][-._:/@a-zA-Z0-9]*$")]
PullPolicy = Literal["Always", "IfNotPresent", "Never"]
LabelValue = Annotated[str, Field(max_length=63, pattern=r"^([a-zA-Z0-9]([-._a-zA-Z0-9]*[a-zA-Z0-9])?)?$")]
Labels = Annotated[dict[str, LabelValue], Field(max_length=32)]
Quantity = Annotated[
    str,
    Field(max_length=32, pattern=_QUANTITY),
    BeforeValidator(_amount),
    WithJsonSchema(
        {
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "maxLength": 32,
            "minimum": 0,
            "pattern": _QUANTITY,
            "x-kubernetes-int-or-string": True,
        }
    ),
]
"""A quantity of Kubernetes, e.g. `4`, `500m`, `2Gi`."""

QUALIFIED_KEY = r"([a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?/)?[a-zA-Z0-9]([-._a-zA-Z0-9]{0,61}[a-zA-Z0-9])?"
"""The key of a label, an annotation or a resource: an optional DNS prefix, then a name."""
QUALIFIED_KEY_RULE = "keys are [prefix/]name: a DNS name, then at most 63 letters, digits, '-', '_', '.'"
