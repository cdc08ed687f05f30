"""
How a command ends: its report in the chosen form, its exit code, no traceback on Ctrl-C or a full disk.
"""

import asyncio
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Coroutine, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NoReturn

import click

from streaming_operator.cli.flags import Output
from streaming_operator.errors import ClusterError, Unreachable, UnreadableCredentials
from streaming_operator.foreign_text import readable
from streaming_operator.report import Report, terminal
from streaming_operator.report.exit_codes import INTERRUPTED, NO_CONNECTION, USAGE, worst
from streaming_operator.report.model import as_json


def tool_version() -> str:
    """Name and version of this program; without a version in the operator's image, which holds no package metadata."""
    try:
        return f"streamctl {version('streaming-operator')}"
    except PackageNotFoundError:
        return "streamctl"


class InputError(click.ClickException):
    """What was given names nothing that exists: the exit code of wrong usage, without the usage line."""

    exit_code = USAGE

    def __init__(self, message: str) -> None:
        super().__init__(readable(message))


class NoConnectionError(click.ClickException):
    """The API server gives no answer."""

    exit_code = NO_CONNECTION

    def __init__(self, message: str) -> None:
        super().__init__(readable(message))


@contextlib.contextmanager
def cluster_errors(advice: str = "") -> Iterator[None]:
    """Make an error of the cluster the end of the command; *advice* follows what the cluster refused."""
    try:
        yield
    except UnreadableCredentials as error:
        raise InputError(str(error)) from error
    except Unreachable as error:
        raise NoConnectionError(str(error)) from error
    except ClusterError as error:
        raise InputError(f"{error}{advice}") from error


def end_with(work: Coroutine[None, None, int]) -> NoReturn:
    """Run the command and exit with the code that it returns."""
    try:
        code = asyncio.run(_until_interrupted(work))
    except (KeyboardInterrupt, asyncio.CancelledError):
        click.echo("stopped", err=True)
        code = INTERRUPTED
    sys.exit(code)


async def _until_interrupted(work: Coroutine[None, None, int]) -> int:
    """
    Let Ctrl-C cancel it at any moment.

    The handler of `asyncio.run` does not wake the loop: a signal that arrives just before the loop waits is handled
    only when something else happens (observed on a busy machine). The loop's own handlers wake it.
    """
    task = asyncio.current_task()
    if task is not None and threading.current_thread() is threading.main_thread():
        with contextlib.suppress(NotImplementedError):  # Windows has none
            asyncio.get_running_loop().add_signal_handler(signal.SIGINT, task.cancel)
    return await work


def write_reports(reports: Sequence[Report], output: Output, metrics: Path | None) -> int:
    """Print the reports and write the metrics; returns the exit code, that of the worst."""
    if not write_metrics(reports, metrics):
        return USAGE
    try:
        _print(reports, output)
        sys.stdout.flush()
    except BrokenPipeError:
        discard_output()  # `| head` reads no more: the exit code is still the verdict's
    except OSError as error:
        discard_output()
        click.echo(f"Error: cannot write the report: {error.strerror}", err=True)
        return USAGE
    return worst(report.exit_code for report in reports)


def write_metrics(reports: Sequence[Report], file: Path | None) -> bool:
    """Replace the file of metrics, if one is named; False where it cannot be written, which is reported."""
    try:
        if file is not None:
            from streaming_operator.report import textfile

            textfile.write(reports, file)
    except OSError as error:
        click.echo(f"Error: cannot write {file}: {error.strerror}", err=True)
        return False
    return True


def _print(reports: Sequence[Report], output: Output) -> None:
    """Only the module that prints this form is imported: a pipeline starts the command often."""
    match output:
        case "text":
            terminal.write(reports, sys.stdout)
        case "json":
            click.echo("\n".join(map(as_json, reports)))
        case "junit":
            from streaming_operator.report import junit

            click.echo(junit.document(reports))
        case "html":
            from streaming_operator.report import html

            click.echo(html.document(reports[0]))


def discard_output() -> None:
    """Write nothing more to standard output, also not when the interpreter flushes it at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
