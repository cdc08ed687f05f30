"""
`streamctl crd`: the CustomResourceDefinition, for installations without the chart.
"""

import sys

import click

from streaming_operator.api.crd import crd_yaml


@click.command()
def crd() -> None:
    """Print the CustomResourceDefinition."""
    sys.stdout.write(crd_yaml())
