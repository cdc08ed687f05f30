"""
`streamctl completion SHELL`: the script that makes TAB complete commands and options; click writes it.
"""

import sys

import click
from click.shell_completion import get_completion_class

PROGRAM = "streamctl"


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """
    Print the shell's completion script.

    \b
    Examples:
      source <(streamctl completion bash)
      streamctl completion zsh > "${fpath[1]}/_streamctl"
      streamctl completion fish > ~/.config/fish/completions/streamctl.fish

    For `kubectl streaming`, kubectl itself asks kubectl_complete-streaming, which is installed beside it.
    """
    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"no completion for {shell}")
    sys.stdout.write(kind(context.find_root().command, {}, PROGRAM, "_STREAMCTL_COMPLETE").source())


def complete_for_kubectl(command: click.Command, words: list[str]) -> list[str]:
    """
    What kubectl prints for `kubectl streaming WORDS<TAB>`, one candidate a line; the last word is begun.

    The last line tells kubectl's shell part what to do: 4 is "no files", 0 leaves files to the shell.
    """
    kind = get_completion_class("bash")
    if kind is None:
        return [":4"]
    found = kind(command, {}, PROGRAM, "_STREAMCTL_COMPLETE").get_completions(words[:-1], "".join(words[-1:]))
    files = any(item.type in ("file", "dir") for item in found)
    return [*(item.value for item in found if item.type == "plain"), ":0" if files else ":4"]
