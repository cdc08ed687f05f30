"""
JSON from others, with a bound on what it becomes: a few brackets nested a thousand deep are half a gigabyte of lists.

The bound is on the number of objects and arrays, and so on their depth too. It is checked before anything is built, in
time linear in the text.
"""

import json
import re
from typing import Any

LONGEST = 64 * 1024
"""Characters of one document."""
CONTAINERS = 256
"""Objects and arrays in one document: an event has about six, the last one of the responses API some twenty."""
_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
"""A string, or the rest of the text where none ends: so no quote is searched from twice."""


def loads(text: str, longest: int = LONGEST, containers: int = CONTAINERS) -> Any:
    """The value of a document; ValueError if it is invalid or exceeds the bounds."""
    if len(text) > longest:
        raise ValueError(f"more than {longest} characters")
    if _opened(text) > containers and _opened(_STRING.sub("", text)) > containers:
        raise ValueError(f"more than {containers} objects and arrays")
    try:
        return json.loads(text)
    except RecursionError as error:  # only where so many containers are allowed
        raise ValueError("nested too deep") from error


def _opened(text: str) -> int:
    return text.count("{") + text.count("[")
