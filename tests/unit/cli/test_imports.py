"""What `streamctl` imports for whom: who probes a URL waits for no client of a cluster."""

import subprocess
import sys

import click
import pytest

from streaming_operator.cli.app import COMMANDS, main

USAGE = 2
CLUSTER = {"kopf", "kubernetes", "aiohttp", "requests"}
SLOW = CLUSTER | {
    "pydantic",
    "rich",
    "jinja2",
    "orjson",
    "yaml",
    "prometheus_client",
    "h2",
    "h11",
    "asyncio",
    "ssl",
}
RUN = """
import sys
from streaming_operator.cli.main import streamctl
sys.argv[0] = "streamctl"
try:
    streamctl()
except SystemExit as end:
    code = end.code
print("\\n", code, *sys.modules, file=sys.stderr)
"""


def imported_by(*words: str) -> tuple[int, set[str]]:
    """The exit code of a command and the packages that it left imported."""
    done = subprocess.run([sys.executable, "-c", RUN, *words], capture_output=True, text=True, check=True)
    code, *modules = done.stderr.splitlines()[-1].split()
    return int(code), {module.partition(".")[0] for module in modules}


@pytest.mark.parametrize(
    "words", [("--version",), ("--help",), (), ("probe", "--help"), ("completion", "bash")], ids=" ".join
)
def test_help_and_completion_import_click_and_nothing_slow(words: tuple[str, ...]) -> None:
    """They answer at once."""
    code, modules = imported_by(*words)
    assert (code, modules & SLOW) == (0 if words else USAGE, set())
    assert "click" in modules


def test_completing_the_name_of_a_command_imports_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """TAB after `streamctl`, as bash asks."""
    for name, value in {
        "_STREAMCTL_COMPLETE": "bash_complete",
        "COMP_WORDS": "streamctl ",
        "COMP_CWORD": "1",
    }.items():
        monkeypatch.setenv(name, value)
    code, modules = imported_by()
    assert (code, modules & SLOW) == (0, set())


def test_the_list_of_commands_says_what_their_own_help_says() -> None:
    """Each command's first sentence, written beside its name so that none is imported for it."""
    context = click.Context(main)
    commands = {name: main.get_command(context, name) for name in main.list_commands(context)}
    assert {name: summary for name, (_, summary) in COMMANDS.items()} == {
        name: command.get_short_help_str(200) for name, command in commands.items() if command is not None
    }


@pytest.mark.parametrize("output", ["text", "json", "junit"])
def test_a_probe_imports_no_library_of_clusters_or_pages(output: str) -> None:
    """Also where it runs to its end, here at a port where nobody listens."""
    code, modules = imported_by("probe", "http://127.0.0.1:1", "--model", "tiny", "--output", output)
    assert (code, modules & (CLUSTER | {"jinja2", "yaml", "prometheus_client"})) == (4, set())
