"""
`streamctl probe --watch`: each URL again and again, one line a probe; Ctrl-C ends it with a summary, as it ends ping.
"""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from streaming_operator.cli.output import discard_output, write_metrics
from streaming_operator.cli.verify import UrlOptions, probe_url
from streaming_operator.report import Report, lines
from streaming_operator.report.exit_codes import INTERRUPTED, worst
from streaming_operator.report.model import as_json


async def watch(parsed: Sequence[UrlOptions], interval: float, output: str, metrics: Path | None) -> int:
    """
    Probe until Ctrl-C, or until nobody reads any more; the exit code of the worst probe, 130 if none ended.

    *interval* is the pause between two rounds in seconds.
    """
    asked, tally = list(parsed), lines.Tally()
    try:
        while True:
            latest: list[Report] = []
            for number, one in enumerate(asked):
                report, asked[number] = await probe_url(one)
                latest.append(report)
                tally.add(report)
                _print(
                    as_json(report) if output == "json" else lines.line(report, with_subject=len(asked) > 1)
                )
            write_metrics(latest, metrics)
            await asyncio.sleep(interval)
    except asyncio.CancelledError:
        if not tally.codes:
            return INTERRUPTED
        for text in tally.summary() if output == "text" else ():
            _print(text)
    except BrokenPipeError:
        discard_output()
    return worst(tally.codes)


def _print(text: str) -> None:
    click.echo(text)
    sys.stdout.flush()
