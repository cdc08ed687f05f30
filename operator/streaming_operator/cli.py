"""
`streamctl`: the operator itself (`run`), and tools for people and pipelines (`probe`, `render`, `crd`).

Exit codes: 0 done, 1 the input or the endpoint is at fault, 2 wrong usage; `probe` has two more (see its help).
"""

import asyncio
import os
import sys

import click

from streaming_operator import logs
from streaming_operator.api import schema
from streaming_operator.cli_diagnose import diagnose_command
from streaming_operator.cli_probe import probe
from streaming_operator.cli_render import render
from streaming_operator.errors import OperatorError
from streaming_operator.run import run as run_operator
from streaming_operator.settings import Settings, WrongSetting


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="streaming-operator", prog_name="streamctl")
def main() -> None:
    """LLM endpoints on Kubernetes that provably stream."""


@main.command()
def run() -> None:
    """
    Run the operator, in the cluster or with a kubeconfig.

    Settings come from STREAMING_OPERATOR_* variables, which the Helm chart writes; wrong ones end with exit code 2.
    SIGTERM and Ctrl-C end it cleanly.
    """
    try:
        settings = Settings.from_environment(os.environ)
    except WrongSetting as error:
        raise click.UsageError(str(error)) from error
    logs.configure(settings.log_level, settings.log_format)
    try:
        asyncio.run(run_operator(settings))
    except OperatorError as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"cannot listen on port {settings.http_port}: {error.strerror}") from error


@main.command()
def crd() -> None:
    """Print the CustomResourceDefinition."""
    sys.stdout.write(schema.crd_yaml())


main.add_command(probe)
main.add_command(diagnose_command)
main.add_command(render)


def plugin() -> None:
    """`kubectl streaming ...`: the same commands, called by the name that people typed."""
    main(prog_name="kubectl streaming")
