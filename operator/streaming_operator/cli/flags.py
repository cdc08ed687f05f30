"""Options that several commands take. Nothing of the probe is imported here: --help and TAB need none of it."""

from pathlib import Path
from typing import Literal, get_args

import click

PEM = click.Path(exists=True, dir_okay=False, path_type=Path)
"""What --ca takes; `options.text_of` reads it."""
Output = Literal["text", "json", "junit", "html"]
output_option = click.option(
    "--output", type=click.Choice(get_args(Output)), default="text", show_default=True
)
