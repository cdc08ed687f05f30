"""What `streamctl` imports for whom: who probes a URL waits for no client of a cluster."""

import subprocess
import sys

import pytest

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


@pytest.mark.parametrize("words", [("--version",), ("probe", "--help"), ("completion", "bash")], ids=" ".join)
def test_help_of_a_probe_and_completion_import_click_and_nothing_slow(words: tuple[str, ...]) -> None:
    """They answer at once."""
    code, modules = imported_by(*words)
    assert (code, modules & SLOW) == (0, set())
    assert "click" in modules


@pytest.mark.parametrize("output", ["text", "json", "junit"])
def test_a_probe_imports_no_library_of_clusters_or_pages(output: str) -> None:
    """Also where it runs to its end, here at a port where nobody listens."""
    code, modules = imported_by("probe", "http://127.0.0.1:1", "--model", "tiny", "--output", output)
    assert (code, modules & (CLUSTER | {"jinja2", "yaml", "prometheus_client"})) == (4, set())
