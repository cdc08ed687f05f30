"""
The CRD's own CEL rules, checked without an API server: for files that have not been applied yet.

The rules are those of `endpoint.py`, word for word; only the evaluator differs. The operator itself never
needs this: what it reads has passed the API server.
"""

from collections.abc import Callable, Iterator
from typing import Any

from streaming_operator.api.endpoint import CEL, EndpointSpec, Model


def broken_rules(spec: EndpointSpec) -> tuple[str, ...]:
    """Every broken rule as `spec.path: what is allowed`; empty when the API server would accept the spec."""
    return tuple(
        _problem(path, rule)
        for path, part in _parts("spec", spec)
        for rule in part.cel
        if not _holds(rule, part.model_dump(by_alias=True, exclude_none=True, mode="json"))
    )


def _parts(path: str, part: Model) -> Iterator[tuple[str, Model]]:
    """The part and every part below it, with their paths."""
    yield path, part
    for name, field in type(part).model_fields.items():
        value = getattr(part, name)
        below = f"{path}.{field.alias or name}"
        if isinstance(value, Model):
            yield from _parts(below, value)
        elif isinstance(value, tuple):
            for index, item in enumerate(value):
                if isinstance(item, Model):
                    yield from _parts(f"{below}[{index}]", item)


def _holds(rule: CEL, value: dict[str, Any]) -> bool:
    """Evaluate one rule with `self` as the API server would bind it."""
    # Imported late: the package brings its command line along, for which the operator has no use.
    import cel

    functions: dict[str, Callable[..., Any]] = {"split": str.split, "replace": str.replace}
    return bool(cel.evaluate(rule.rule, cel.Context({"self": value}, functions)))


def _problem(path: str, rule: CEL) -> str:
    """The path, and the rule's sentence without the path's end, which many begin with."""
    full = f"{path}{rule.field_path or ''}"
    subject, separator, rest = rule.message.partition(": ")
    told = rest if separator and full.endswith(subject) else rule.message
    return f"{full}: {told}"
