"""docs/values.md: every value of the chart with its default and the comment that stands above it in values.yaml."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

FILE = Path(__file__).resolve().parent.parent / "charts" / "streaming-operator" / "values.yaml"
HEAD = """# Values of the chart

<!-- {note} -->

What [values.yaml](../charts/streaming-operator/values.yaml) says, as a table. The chart's
[schema](../charts/streaming-operator/values.schema.json) refuses everything else, before anything is installed. The
default is empty where a value has parts of its own.

| value | default | meaning |
|---|---|---|
"""


@dataclass(frozen=True)
class Value:
    """One value; *parts* is whether others are below it."""

    path: str
    default: str
    about: str
    example: str
    """Lines of the comment that are indented: how it is written."""
    parts: bool


def page(note: str) -> str:
    """The whole page."""
    values = list(described(FILE.read_text()))
    rows = [_row(value) for value in values if value.about or not value.parts]
    examples = [f"\n## {value.path}\n\n```text\n{value.example}\n```\n" for value in values if value.example]
    return HEAD.format(note=note) + "".join(rows) + "".join(examples)


def _row(value: Value) -> str:
    default = "" if value.parts else f"`{value.default}`"
    cells = (f"`{value.path}`", default, value.about.replace("|", "\\|"))
    return f"| {' | '.join(cells)} |\n"


def described(text: str) -> Iterator[Value]:
    """Each value of a values.yaml, in its order."""
    defaults, comment, stack = yaml.safe_load(text), list[str](), list[str]()
    for line in text.splitlines():
        key = re.match(r"^( *)([A-Za-z]\w*):", line)
        if line.lstrip().startswith("#"):
            comment.append(line.lstrip()[1:].removeprefix(" "))
            continue
        if key is not None:
            stack = [*stack[: len(key[1]) // 2], key[2]]
            yield _value(stack, defaults, comment)
        comment = []


def _value(path: list[str], defaults: object, comment: list[str]) -> Value:
    default = defaults
    for step in path:
        assert isinstance(default, dict)
        default = default[step]
    shown = yaml.safe_dump(default, default_flow_style=True, width=10_000).removesuffix("\n")
    example = [line for line in comment if line.startswith("  ")]
    about = " ".join(line for line in comment if line not in example)
    # A map whose keys are names that users choose is a value; those with parts have lines of their own.
    parts = isinstance(default, dict) and bool(default) and not _is_flow(path)
    lines = "\n".join(line.removeprefix("  ") for line in example)
    return Value(".".join(path), shown.removesuffix("\n..."), about, lines, parts)


def _is_flow(path: list[str]) -> bool:
    """Whether the map is written on its own line, as a value."""
    return re.search(rf"^ *{path[-1]}: *\{{", FILE.read_text(), re.MULTILINE) is not None
