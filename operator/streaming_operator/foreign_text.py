"""
The one function by which text that others wrote becomes safe to show: on a terminal, in a condition, a log or a report.

Servers, containers and resources choose their texts freely. Control characters drive a terminal (ANSI and OSC escapes:
its title, its clipboard, what is on the screen), line separators forge lines of a log, and bidirectional overrides let
a text read as another one.
"""

from typing import Any

REPLACEMENT = "\ufffd"


def readable(text: str, length: int | None = None) -> str:
    """
    *text* as one line, at most *length* characters of it, each printable or U+FFFD.

    What Python calls not printable is replaced: control characters of ASCII and C1, format characters such as
    bidirectional overrides and zero-width ones, surrogates, private use, and code points that nobody has assigned.
    """
    line = " ".join(text.split())[:length]
    return _printable(line)


def readable_lines(text: str) -> str:
    """*text* line by line, with its indentation: for tracebacks."""
    return "\n".join(map(_printable, text.split("\n")))


def readable_all(value: Any) -> Any:
    """Plain data with every text in it readable, keys too."""
    if isinstance(value, str):
        return readable(value)
    if isinstance(value, dict):
        return {readable_all(key): readable_all(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(readable_all(inner) for inner in value)
    return value


def _printable(line: str) -> str:
    return line if line.isprintable() else "".join(c if c.isprintable() else REPLACEMENT for c in line)
