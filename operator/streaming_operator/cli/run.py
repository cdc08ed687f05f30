"""
`streamctl run`: the operator itself, its settings from the environment.
"""

import asyncio

import click

from streaming_operator import logs
from streaming_operator.cluster import edges
from streaming_operator.controller.operator import run as run_operator
from streaming_operator.errors import OperatorError
from streaming_operator.settings import Settings, WrongSetting


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
        asyncio.run(run_operator(settings))
    except OperatorError as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"cannot listen on port {settings.http_port}: {error.strerror}") from error
