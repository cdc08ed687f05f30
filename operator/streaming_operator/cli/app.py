"""
`streamctl`: the operator itself (`run`), and tools for people and pipelines (`probe`, `diagnose`, `render`, `crd`).

Exit codes: 0 done, 1 the input or the endpoint is at fault, 2 wrong usage; `probe` and `diagnose` have two more (see
their help), and 130 is a Ctrl-C. As a kubectl plugin it is called `kubectl streaming`.
"""

from importlib import import_module

import click

COMMANDS = {
    "completion": "streaming_operator.cli.completion:completion",
    "crd": "streaming_operator.cli.crd:crd",
    "diagnose": "streaming_operator.cli.diagnose:diagnose",
    "probe": "streaming_operator.cli.probe:probe",
    "render": "streaming_operator.cli.render:render",
    "run": "streaming_operator.cli.run:run",
}
"""Module and name of each command."""


class _LazyGroup(click.Group):
    """Imports a command when it is used: probing and completion need no Kubernetes client."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="streaming-operator", prog_name="streamctl")
def main() -> None:
    """LLM endpoints on Kubernetes that provably stream."""
