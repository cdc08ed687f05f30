"""
What is wrong with a body, in the words of those who write it: pydantic's errors without regular expressions or values.

A value may be somebody's secret, so that of an input only its type is looked at.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

ALLOWED: Mapping[str, str] = MappingProxyType(
    {
        r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$": (
            "a DNS name of lower case letters, digits, '-' and '.', without scheme, port or path"
        ),
        r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$": "lower case letters, digits and '-'",
        r"^[-._a-zA-Z0-9]+$": "letters, digits, '-', '_' and '.'",
        r"^/[-._a-zA-Z0-9/]+$": "an absolute path of letters, digits, '-', '_', '.' and '/'",
        r"^([a-zA-Z0-9]([-._a-zA-Z0-9]*[a-zA-Z0-9])?)?$": "a label's value: letters, digits, '-', '_' and '.'",
        r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$": "a quantity, such as 4, 500m, '0.5' or 16Gi",
        r"^[a-zA-Z0-9][-._a-zA-Z0-9]*/[a-zA-Z0-9][-._a-zA-Z0-9]*$": (
            "a repository of the hub, organisation/name; an object store is model.source.uri"
        ),
        r"^[a-zA-Z0-9][-._a-zA-Z0-9]*$": "letters, digits, '-', '_' and '.', beginning with a letter or digit",
        r"^[._a-zA-Z0-9][-._a-zA-Z0-9/]*$": "a relative path of letters, digits, '-', '_', '.' and '/'",
        r"^[a-zA-Z0-9][-._:/a-zA-Z0-9]*$": (
            "letters, digits, '-', '_', '.', ':' and '/', beginning with a letter or digit"
        ),
        r"^[-._a-zA-Z][-._a-zA-Z0-9]*$": "a variable's name: letters, digits, '-', '_' and '.', no digit first",
        r"^[a-zA-Z0-9][-._:/@a-zA-Z0-9]*$": "an image reference, [registry/]name[:tag][@digest]",
        r"^9[5-9](\.[0-9]+)?$": "a percentage from 95 to below 100 in quotes, such as '99.5'",
        r"^[0-9]+\.[0-9]+\.[0-9]+$": "three numbers, such as 0.33.0",
        r"^[a-z0-9][-.a-z0-9]*/[a-zA-Z0-9][-._a-zA-Z0-9]*$": "an extended resource, such as nvidia.com/gpu",
        r"^(s3|gs|az)://[a-zA-Z0-9][-._~/a-zA-Z0-9]*$": "s3://bucket/path, gs://bucket/path or az://container/path",
        r"^[^\x00-\x1f\x7f]*$": "one line without control characters",
        r"^[^$%\x00-\x1f\x7f]*$": "one line without '$' and '%', by which proxies insert variables of their own",
        r"^https?://[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*(:[1-9][0-9]{0,4})?"
        r"(/[-_~a-zA-Z0-9][-._~a-zA-Z0-9]*)*$": "a URL: http:// or https://, a host name, and no query",
        r"^(/[-_~a-zA-Z0-9][-._~a-zA-Z0-9]*)+$": "a path below '/' without '..' or '//'",
        r"^[Xx]-[-a-zA-Z0-9]+$": "a header's name that begins with X-",
        r"^[-!#$%&'*+.^_`|~0-9A-Za-z]+$": "a header's name",
        r"^/$|^(/[-_~a-zA-Z0-9][-._~a-zA-Z0-9]*)+$": "a path that begins with '/' and has no '..' or '//'",
    }
)
"""What each pattern of the resource allows; a test holds it complete."""

_WORDS = {
    "missing": "required",
    "extra_forbidden": "unknown field",
    "int_type": "must be a whole number, without quotes",
    "bool_type": "must be true or false, without quotes",
    "dict_type": "must be a map of names and values",
    "model_type": "must be an object",
    "tuple_type": "must be a list",
}
"""Messages for some of pydantic's error types; those of the API server where it says the same."""


ELSEWHERE: Mapping[str, str] = MappingProxyType(
    {
        "spec.engine.volumes": "spec.volumes",
        "spec.engine.initContainers": "spec.initContainers",
        "spec.engine.sidecars": "spec.sidecars",
        "spec.engine.resources": "spec.resources",
        "spec.volumeMounts": "spec.engine.volumeMounts",
        "spec.extraArgs": "spec.engine.args",
        "spec.env": "spec.engine.env",
        "spec.image": "spec.engine.image",
        "spec.model.source.volume": "spec.volumes, spec.engine.volumeMounts and spec.model.source.local.path",
        "spec.model.source.hostPath": "spec.volumes, spec.engine.volumeMounts and spec.model.source.local.path",
        "spec.model.source.s3": "spec.model.source.uri",
        "spec.model.source.oci": "spec.model.source.image",
    }
)
"""Fields that people look for at other places, and where they are."""


def problems(error: ValidationError) -> tuple[str, ...]:
    """pydantic's errors as `spec.path[0].field: what is allowed`, without values."""
    named = []
    for problem in error.errors(include_url=False):
        parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in problem["loc"])
        path = f"spec{''.join(parts)}"
        elsewhere = f"; use {ELSEWHERE[path]}" if path in ELSEWHERE else ""
        named.append(f"{path}: {_allowed(problem)}{elsewhere}")
    return tuple(named)


def _allowed(problem: ErrorDetails) -> str:
    """What would be right."""
    kind = problem["type"]
    if kind == "string_pattern_mismatch":
        pattern = problem["ctx"]["pattern"]
        return f"must be {ALLOWED[pattern]}" if pattern in ALLOWED else problem["msg"]
    _, should, what = problem["msg"].partition(" should ")
    if kind == "string_type":
        return _text(problem["input"])
    return _WORDS.get(kind, f"must {what}" if should else problem["msg"])


def _text(value: Any) -> str:
    """For what is no text: numbers and booleans of YAML, and names that core/v1 wraps into objects."""
    if isinstance(value, Mapping) and set(value) == {"name"}:
        return "the name itself, not {name: ...}"
    if isinstance(value, bool | int | float):
        return "must be text: put it in quotes"
    return "must be text"
