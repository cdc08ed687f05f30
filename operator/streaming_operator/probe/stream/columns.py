"""
The arrivals and reads of one response in columns: a tenth of the memory of a value each. Pure.

A verification keeps the timelines of several streams, and sixteen run at once; whoever wants all of that memory only
has to answer with many small events.
"""

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import overload

from streaming_operator.probe.stream.formats import KINDS
from streaming_operator.probe.stream.timeline import Arrival


def _doubles() -> "array[float]":
    return array("d")


def seconds() -> "array[float]":
    """An empty column of durations, 4 bytes each: seven digits."""
    return array("f")


def _integers() -> "array[int]":
    return array("I")


@dataclass(slots=True)
class Arrivals(Sequence[Arrival]):
    """Token-bearing events, 25 bytes each."""

    _at: "array[float]" = field(default_factory=_doubles)
    _read: "array[int]" = field(default_factory=_integers)
    _frame: "array[int]" = field(default_factory=_integers)
    _characters: "array[int]" = field(default_factory=_integers)
    _kind: bytearray = field(default_factory=bytearray)

    def copy(self) -> "Arrivals":
        """Those so far: what is appended later is not in the copy."""
        return Arrivals(self._at[:], self._read[:], self._frame[:], self._characters[:], self._kind[:])

    def append(self, arrival: Arrival) -> None:
        """Add one at the end."""
        self._at.append(arrival.at)
        self._read.append(arrival.read)
        self._frame.append(arrival.frame)
        self._characters.append(arrival.characters)
        self._kind.append(KINDS.index(arrival.kind))

    def __len__(self) -> int:
        return len(self._at)

    @overload
    def __getitem__(self, index: int) -> Arrival: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Arrival, ...]: ...
    def __getitem__(self, index: int | slice) -> Arrival | tuple[Arrival, ...]:
        if isinstance(index, slice):
            return tuple(self[at] for at in range(*index.indices(len(self))))
        kind = KINDS[self._kind[index]]
        return Arrival(self._at[index], self._read[index], self._frame[index], kind, self._characters[index])

    def __iter__(self) -> Iterator[Arrival]:
        columns = zip(self._at, self._read, self._frame, self._kind, self._characters, strict=True)
        return (Arrival(at, read, frame, KINDS[kind], length) for at, read, frame, kind, length in columns)


@dataclass(slots=True)
class Reads(Sequence[tuple[float, int]]):
    """Arrival and size of every read, 12 bytes each."""

    _at: "array[float]" = field(default_factory=_doubles)
    _size: "array[int]" = field(default_factory=_integers)

    def copy(self) -> "Reads":
        """Those so far: what is appended later is not in the copy."""
        return Reads(self._at[:], self._size[:])

    def append(self, at: float, size: int) -> None:
        """Add one at the end."""
        self._at.append(at)
        self._size.append(size)

    def __len__(self) -> int:
        return len(self._at)

    @overload
    def __getitem__(self, index: int) -> tuple[float, int]: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[tuple[float, int], ...]: ...
    def __getitem__(self, index: int | slice) -> tuple[float, int] | tuple[tuple[float, int], ...]:
        if isinstance(index, slice):
            return tuple(self[at] for at in range(*index.indices(len(self))))
        return self._at[index], self._size[index]

    def __iter__(self) -> Iterator[tuple[float, int]]:
        return zip(self._at, self._size, strict=True)
