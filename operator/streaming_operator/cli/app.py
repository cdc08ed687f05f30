"""
`streamctl`: the operator itself (`run`), and tools for people and pipelines (`probe`, `diagnose`, `verify`, `diff`,
`render`, `crd`).

Exit codes: 0 done, 1 the input or the endpoint is at fault, 2 wrong usage; `probe`, `diagnose`, `verify` and `diff`
have more (see their help), and 130 is a Ctrl-C. As a kubectl plugin it is called `kubectl streaming`.
"""

from importlib import import_module

import click
from click.shell_completion import CompletionItem

_CLI = "streaming_operator.cli"
COMMANDS = {
    "completion": (f"{_CLI}.completion:completion", "Print the shell's completion script."),
    "crd": (f"{_CLI}.crd:crd", "Print the CustomResourceDefinition."),
    "diagnose": (
        f"{_CLI}.diagnose:diagnose",
        "Say whether the StreamingEndpoint NAME streams, and if not, which hop is at fault and what to set.",
    ),
    "diff": (
        f"{_CLI}.diff:diff",
        "Say what applying FILE will change, and what users' streams will notice of it.",
    ),
    "probe": (f"{_CLI}.probe:probe", "Say whether a completion streams from URL, and if not, why."),
    "render": (f"{_CLI}.render:render", "Print the objects that the operator would apply, as YAML."),
    "run": (f"{_CLI}.run:run", "Run the operator, in the cluster or with a kubeconfig."),
    "verify": (
        f"{_CLI}.verify_now:verify",
        "Ask the operator to verify the StreamingEndpoint NAME now, and wait for the verdict.",
    ),
}
"""Module and name of each command, and the first sentence of its help: the list of commands imports none of them."""


class _LazyGroup(click.Group):
    """Imports a command when it is used: probing and completion need no Kubernetes client."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, as click writes it."""
        room = formatter.width - 6 - max(map(len, COMMANDS))
        with formatter.section("Commands"):
            formatter.write_dl([(name, _summary(name).get_short_help_str(room)) for name in sorted(COMMANDS)])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Names of commands, then what click completes for every command."""
        names = [name for name in sorted(COMMANDS) if name.startswith(incomplete)]
        return [
            *(CompletionItem(name, help=_summary(name).get_short_help_str()) for name in names),
            *click.Command.shell_complete(self, ctx, incomplete),
        ]


def _summary(name: str) -> click.Command:
    """The name and the first sentence of a command, without the command itself."""
    return click.Command(name, help=COMMANDS[name][1])


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="streaming-operator", prog_name="streamctl")
def main() -> None:
    """LLM endpoints on Kubernetes that provably stream."""
