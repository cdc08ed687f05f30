"""
The base model of every part of the resource, and rules across fields, written in CEL and in Python.

Every constraint exists twice, in the API server (through `crd.py`) and in pydantic: a file given to `streamctl render`,
or an object stored under an older CRD, has not been validated by today's CRD.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler, ValidationError, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError


@dataclass(frozen=True, slots=True)
class CEL:
    """One rule of the CRD (`x-kubernetes-validations`) and its equivalent in Python."""

    rule: str
    """The expression for the API server; `self` is the object that the rule belongs to, with defaults applied."""
    holds: Callable[[Any], bool]
    """The same rule on the parsed model."""
    message: str
    """What is allowed; the path is reported separately."""
    field_path: str = ""
    """Path of the field to blame below `self`, e.g. `.gpu.count`; "" for the object itself."""
    reason: Literal["FieldValueInvalid", "FieldValueForbidden"] = "FieldValueInvalid"

    def schema(self) -> dict[str, str]:
        """The entry of `x-kubernetes-validations`."""
        blamed = {"fieldPath": self.field_path} if self.field_path else {}
        return {"rule": self.rule, "message": self.message, **blamed, "reason": self.reason}


class Model(BaseModel):
    """Base of every part of the resource: frozen, camelCase outside, unknown fields refused."""

    model_config = ConfigDict(
        frozen=True,
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        use_attribute_docstrings=True,
        hide_input_in_errors=True,  # a value may be somebody's secret
    )
    cel: ClassVar[tuple[CEL, ...]] = ()

    @model_validator(mode="after")
    def _rules_hold(self) -> Self:
        broken = [rule for rule in self.cel if not rule.holds(self)]
        if broken:
            raise ValidationError.from_exception_data(
                type(self).__name__, [_finding(rule) for rule in broken]
            )
        return self

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        schema = handler(core_schema)
        if cls.cel:
            handler.resolve_ref_schema(schema)["x-kubernetes-validations"] = [
                rule.schema() for rule in cls.cel
            ]
        return schema


def _finding(rule: CEL) -> InitErrorDetails:
    """A broken rule as an error of pydantic, at the field it blames."""
    path = tuple(part for part in rule.field_path.split(".") if part)
    return InitErrorDetails(
        type=PydanticCustomError("rule", "{text}", {"text": rule.message}), loc=path, input=None
    )


def exactly_one(*names: str) -> CEL:
    """The union rule of this API: exactly one of the named members is set (names as users write them)."""
    return _members(names, "== 1", lambda count: count == 1, f"set exactly one of {', '.join(names)}")


def at_most_one(*names: str) -> CEL:
    """Like `exactly_one`, but none is allowed too."""
    return _members(names, "<= 1", lambda count: count <= 1, f"set at most one of {', '.join(names)}")


def _members(names: tuple[str, ...], condition: str, fits: Callable[[int], bool], message: str) -> CEL:
    terms = ", ".join(f"has(self.{name})" for name in names)
    return CEL(
        f"[{terms}].filter(x, x).size() {condition}",
        lambda model: fits(sum(_member(model, name) is not None for name in names)),
        message,
    )


def keys_match(field: str, pattern: str, message: str) -> CEL:
    """Every key of an optional map matches the whole *pattern*: OpenAPI v3 constrains a map's values only."""
    compiled = re.compile(pattern)
    return CEL(
        f"!has(self.{field}) || self.{field}.all(key, key.matches('^({_quoted(pattern)})$'))",
        lambda model: all(compiled.fullmatch(key) for key in _keys(model, field)),
        message,
        f".{field}",
    )


def keys_without(field: str, pattern: str, message: str) -> CEL:
    """No key of an optional map has a part that matches *pattern*."""
    compiled = re.compile(pattern)
    return CEL(
        f"!has(self.{field}) || !self.{field}.exists(key, key.matches('{_quoted(pattern)}'))",
        lambda model: not any(compiled.search(key) for key in _keys(model, field)),
        message,
        f".{field}",
        "FieldValueForbidden",
    )


def no_parent(field: str, optional: bool) -> CEL:
    """A path without `..` parts."""
    unset = f"!has(self.{field}) || " if optional else ""
    return CEL(
        f"{unset}!self.{field}.split('/').exists(part, part == '..')",
        lambda model: ".." not in (_member(model, field) or "").split("/"),
        "must not contain '..' as a part",
        f".{field}",
    )


def _quoted(pattern: str) -> str:
    """A pattern within a CEL string literal."""
    return pattern.replace("\\", "\\\\").replace("'", "\\'")


def _member(model: Model, name: str) -> Any:
    """The value of the field that users call *name*."""
    fields = {field.alias: inner for inner, field in type(model).model_fields.items()}
    return getattr(model, fields[name])


def _keys(model: Model, field: str) -> Mapping[str, Any]:
    keys: Mapping[str, Any] = _member(model, field)
    return keys
