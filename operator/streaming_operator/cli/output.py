"""
How a command ends: its report in the wanted form, its exit code, no traceback on Ctrl-C or a full disk.
"""

import asyncio
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Coroutine
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal, NoReturn, get_args

import click

from streaming_operator.report import Report, html, junit, terminal, textfile
from streaming_operator.report.exit_codes import INTERRUPTED, USAGE
from streaming_operator.report.model import as_json

Output = Literal["text", "json", "junit", "html"]
output_option = click.option(
    "--output", type=click.Choice(get_args(Output)), default="text", show_default=True
)


def tool() -> str:
    """Name and version of this program; in the operator's image lies the code alone, and nobody knows its version."""
    try:
        return f"streamctl {version('streaming-operator')}"
    except PackageNotFoundError:
        return "streamctl"


class Wrong(click.ClickException):
    """What was given leads nowhere: the exit code of wrong usage, without a lesson on options."""

    exit_code = USAGE


def end_with(work: Coroutine[None, None, int]) -> NoReturn:
    """Do it and leave with the exit code that it gives."""
    try:
        code = asyncio.run(_until_interrupted(work))
    except (KeyboardInterrupt, asyncio.CancelledError):
        click.echo("stopped", err=True)
        code = INTERRUPTED
    sys.exit(code)


async def _until_interrupted(work: Coroutine[None, None, int]) -> int:
    """
    Let Ctrl-C cancel it, however the moment falls.

    The handler of `asyncio.run` wakes nobody: a signal that comes just before the loop goes to sleep is seen
    only when something else happens (seen on a busy machine). The loop's own handlers have a file to wake it.
    """
    task = asyncio.current_task()
    if task is not None and threading.current_thread() is threading.main_thread():
        with contextlib.suppress(NotImplementedError):  # Windows has none
            asyncio.get_running_loop().add_signal_handler(signal.SIGINT, task.cancel)
    return await work


def tell(report: Report, output: Output, metrics: Path | None) -> int:
    """Print the report, write the metrics; the exit code."""
    try:
        if metrics is not None:
            textfile.write(report, metrics)
    except OSError as error:
        click.echo(f"Error: cannot write {metrics}: {error.strerror}", err=True)
        return USAGE
    try:
        _print(report, output)
        sys.stdout.flush()
    except BrokenPipeError:
        _silence()  # `| head` has seen enough: the verdict is still the verdict
    except OSError as error:
        _silence()
        click.echo(f"Error: cannot write the report: {error.strerror}", err=True)
        return USAGE
    return report.exit_code


def _print(report: Report, output: Output) -> None:
    if output == "text":
        terminal.write(report, sys.stdout)
        return
    make = {"json": as_json, "junit": junit.document, "html": html.document}[output]
    click.echo(make(report))


def _silence() -> None:
    """Nothing more can be written there, also not by the interpreter when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
