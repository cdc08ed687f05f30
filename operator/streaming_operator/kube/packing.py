"""
JSON that is kept as its difference from earlier JSON of the same form: thousands of objects differ in names. Pure.

zlib takes a preset dictionary: beside an earlier one a Deployment of 4 KiB takes 105 bytes instead of 1,600.
"""

import zlib
from typing import Any

from pydantic_core import from_json

WINDOW = 1 << 15
"""Bytes that zlib looks back."""

MOST_TEMPLATES = 4
"""Forms of one kind: versions of its scripts, ready and not."""

GOOD_RATIO = 4
"""What does not get smaller by that with any template is of another form, and becomes one while there are few."""


class Packed:
    """One value, packed."""

    __slots__ = ("_template", "_text")

    def __init__(self, text: bytes, template: bytes) -> None:
        self._text, self._template = text, template

    def __len__(self) -> int:
        """Bytes that it takes, without its template."""
        return len(self._text)

    def unpack(self) -> Any:
        """The value."""
        return from_json(zlib.decompressobj(-zlib.MAX_WBITS, self._template).decompress(self._text))


class Packer:
    """Packs values of one kind."""

    def __init__(self) -> None:
        self._templates: list[bytes] = []

    def pack(self, text: bytes) -> Packed:
        """Pack JSON."""
        best: Packed | None = None
        for template in self._templates:
            packed = _packed(text, template)
            if len(packed) * GOOD_RATIO <= len(text):
                return packed
            best = packed if best is None or len(packed) < len(best) else best
        if best is None or len(self._templates) < MOST_TEMPLATES:
            self._templates.append(text[-WINDOW:])
            return _packed(text, self._templates[-1])
        return best


def _packed(text: bytes, template: bytes) -> Packed:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS, zdict=template)
    return Packed(packer.compress(text) + packer.flush(), template)
