"""
Progress on a terminal: a strip of arrivals that grows, and one line for each stream that ended.

Nothing is printed where standard error is not a terminal: pipelines get the report alone.
"""

import time
from collections import deque
from contextlib import AbstractContextManager
from dataclasses import replace
from types import TracebackType
from typing import IO, Self

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from streaming_operator.api.reasons import Hop
from streaming_operator.foreign_text import readable
from streaming_operator.probe.http.request import Encoding
from streaming_operator.probe.judge.finding import Finding
from streaming_operator.report.gather import Subject
from streaming_operator.report.terminal import BARS, colour

STRIP = 72
REFRESHES = 12
"""Redraws a second."""
SHOWN = 8
"""Ended streams that stay visible."""


class Progress(AbstractContextManager["Progress"]):
    """`on_read` and `on_stream` go into a `Plan`; the first is called in the reader thread."""

    def __init__(self, subject: Subject, out: IO[str], *, quiet: bool = False) -> None:
        """*quiet* draws nothing: something else is written to *out*."""
        self._subject = subject
        self._console = Console(
            file=out, highlight=False, markup=False, force_terminal=False if quiet else None
        )
        self._reads: deque[tuple[float, int]] = deque(maxlen=100_000)
        self._hop: Hop | None = None
        self._began = 0.0
        self._ended: deque[Text] = deque(maxlen=SHOWN)
        self._live = Live(
            get_renderable=self._draw,
            console=self._console,
            refresh_per_second=REFRESHES,
            transient=True,
            auto_refresh=self._console.is_terminal,
        )

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def set_model(self, model: str) -> None:
        """The model's name, once it is known."""
        self._subject = replace(self._subject, model=model)

    def on_read(self, hop: Hop, at: float, size: int) -> None:
        """One read of the stream that runs."""
        if hop is not self._hop or not self._reads or at < self._reads[-1][0]:
            self._reads.clear()
            self._hop, self._began = hop, time.monotonic() - at
        self._reads.append((at, size))

    def on_stream(self, hop: Hop, encoding: Encoding, tokens: int, finding: Finding) -> None:
        """A stream ended and was judged."""
        mark = Text(f"  {self._subject.name(hop)}, {tokens} tokens, {encoding}: ", style="dim")
        mark.append(str(finding.verdict), style=colour(finding.verdict))
        self._ended.append(mark)
        self._reads.clear()

    def _draw(self) -> Group:
        activity = f"asking {self._subject.model}" if self._subject.model else "looking"
        lines = [Text(readable(f"{activity} at {self._subject.shown}"), style="bold"), *self._ended]
        reads = list(self._reads)
        if reads and self._hop is not None:
            lines += [
                Text(
                    f"  {growing(reads, time.monotonic() - self._began, min(STRIP, self._console.width - 6))}",
                    style="cyan",
                )
            ]
            lines += [Text(f"  {_counted(self._subject.name(self._hop), reads)}", style="dim")]
        else:
            lines.append(Text("  waiting for the first byte", style="dim"))
        return Group(*lines)


def growing(reads: list[tuple[float, int]], now: float, width: int = STRIP) -> str:
    """A strip of bytes by their time of arrival, from the request until now; times in seconds."""
    until = max(now, reads[-1][0], 0.001)
    slots = [0] * width
    for at, size in reads:
        slots[min(max(int(at / until * width), 0), width - 1)] += size
    most = max(max(slots), 1)
    return "▕" + "".join(BARS[-(-size * (len(BARS) - 1) // most)] for size in slots) + "▏"


def _counted(hop: str, reads: list[tuple[float, int]]) -> str:
    size = sum(size for _, size in reads)
    return f"{hop}: {len(reads)} reads, {size / 1024:.1f} KiB in {reads[-1][0]:.1f} s"
