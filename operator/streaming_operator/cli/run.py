"""
`streamctl run`: the operator itself, its settings from the environment.
"""

import asyncio
import os
import threading

import click

from streaming_operator import logs
from streaming_operator.cluster import edges
from streaming_operator.controller.operator import run as run_operator
from streaming_operator.errors import OperatorError
from streaming_operator.settings import Settings, WrongSetting

LAST_SECONDS = 5.0
"""
Time for threads that are still busy once everything has ended, e.g. with the lookup of a name: Python waits for
them for ever. With the stop before it (19 s at most) this fits into the pod's grace period of 30 s.
"""


@click.command()
def run() -> None:
    """
    Run the operator, in the cluster or with a kubeconfig.

    Settings come from STREAMING_OPERATOR_* variables, which the Helm chart writes; wrong ones end with exit code 2.
    SIGTERM and Ctrl-C end it cleanly.
    """
    try:
        settings = Settings.from_environment()
        edges.check(settings)
    except WrongSetting as error:
        raise click.UsageError(str(error)) from error
    logs.configure(settings.log_level, settings.log_format)
    try:
        asyncio.run(_until_stopped(settings))
    except OperatorError as error:
        raise click.ClickException(str(error)) from error


async def _until_stopped(settings: Settings) -> None:
    """Run the operator; afterwards no thread keeps the process from ending."""
    code = 1
    try:
        await run_operator(settings)
        code = 0
    finally:
        end = threading.Timer(LAST_SECONDS, os._exit, (code,))
        end.daemon = True
        end.start()
