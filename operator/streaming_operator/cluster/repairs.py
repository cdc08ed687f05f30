"""
How often children were written again because somebody changed them back. Pure: the clock is a parameter.

An edit by hand is repaired at once. One that comes again and again, of another controller or a second operator,
would be answered for ever at the speed of the network: such repairs become rarer, down to one a minute.
"""

from collections.abc import Hashable
from dataclasses import dataclass

PATIENCE = 5.0
"""Repairs of one child in a row that wait for nothing: more than a person does who tries something out."""

FORGIVEN_PER_SECOND = 1 / 60.0
"""Repairs that are forgotten a second; the pause between repairs of an endless row settles at the inverse."""

FIRST_PAUSE = 1.0
"""Seconds; doubled with each repair beyond `PATIENCE`."""


@dataclass(slots=True)
class _Row:
    level: float
    at: float
    author: str | None = None


class Repairs:
    """The repairs of every child that had one lately."""

    def __init__(self) -> None:
        self._rows: dict[Hashable, _Row] = {}

    def count(self, child: Hashable, now: float) -> None:
        """Note a repair."""
        row = self._rows.setdefault(child, _Row(0.0, now))
        row.level = self._level(row, now) + 1.0
        row.at = now

    def note_author(self, child: Hashable, author: str) -> None:
        """Remember who makes the repairs necessary."""
        if child in self._rows:
            self._rows[child].author = author

    def pause(self, child: Hashable, now: float) -> float:
        """Seconds until the child may be repaired again; 0 when it may now."""
        row = self._rows.get(child)
        if row is None or row.level <= PATIENCE:
            return 0.0
        until: float = row.at + FIRST_PAUSE * 2.0 ** (row.level - PATIENCE - 1.0)
        return max(until - now, 0.0)

    def author(self, child: Hashable, now: float) -> str | None:
        """Who overwrites the child; None while that did not happen often enough to be reported, or is over."""
        row = self._rows.get(child)
        if row is None or self._level(row, now) <= PATIENCE:
            return None
        return row.author

    def forget(self, child: Hashable) -> None:
        """Drop what is known of a child."""
        self._rows.pop(child, None)

    def _level(self, row: _Row, now: float) -> float:
        return max(row.level - (now - row.at) * FORGIVEN_PER_SECOND, 0.0)
