"""The commands: user errors are reported in one sentence, never by a traceback."""

import json
import signal
import socket
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from streaming_operator.cli.app import main
from streaming_operator.cli.completion import complete_for_kubectl
from tests.cluster.programs import listed
from tests.engines.running import free_port

BIN = Path(sys.executable).parent


def run(*words: str, **environment: str) -> Result:
    """The command in this process; whatever it meets, it ends by an exit code of its own."""
    result = CliRunner().invoke(main, words, env=environment)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def program(*words: str, name: str = "streamctl") -> subprocess.CompletedProcess[str]:
    """The installed program."""
    return subprocess.run(
        listed([str(BIN / name), *words]), capture_output=True, text=True, timeout=60, check=False
    )


def kubeconfig(folder: Path, server: str, **context: str) -> Path:
    """A kubeconfig of one cluster; values of *context* over those of its one context."""
    path = folder / "kubeconfig"
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": server, "insecure-skip-tls-verify": True}}],
        "users": [{"name": "u", "user": {"token": "t0ken"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u", **context}}],
        "current-context": "x",
    }
    path.write_text(json.dumps(config))
    return path


NO_CONFIGS = {
    "not there": None,
    "empty": "",
    "not YAML": "{[",
    "binary": "\x00\x01\udcff",
    "a list": "- 1\n- 2\n",
    "another kind": "kind: Pod\nmetadata: {name: x}\n",
    "no such user": json.dumps(
        {"clusters": [], "users": [], "contexts": [{"name": "x"}], "current-context": "x"}
    ),
}


@pytest.mark.parametrize("content", NO_CONFIGS.values(), ids=NO_CONFIGS.keys())
def test_a_kubeconfig_that_is_none(tmp_path: Path, content: str | None) -> None:
    """Usage: exit code 2, and which file it is."""
    path = tmp_path / "kubeconfig"
    if content is not None:
        path.write_bytes(content.encode("utf-8", "surrogateescape"))
    done = run("diagnose", "chat", KUBECONFIG=str(path))
    assert (done.exit_code, done.stdout) == (2, "")
    assert f"cannot read the kubeconfig {path}" in done.stderr


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("diagnose", "chat", "--context", "nope"), "cannot read the kubeconfig"),
        (("diagnose", "chat", "--via", "edge.example.com"), "--via must be IP[:PORT]"),
        (("diagnose", "chat", "--api-key-env", "EMPTY"), "EMPTY holds no key"),
        (("diagnose", "chat", "--ca", "/no/such/file"), "does not exist"),
        (("diagnose", "chat", "--output", "yaml"), "'yaml' is not one of"),
        (("diagnose",), "Missing argument 'NAME'"),
        (("probe", "http://x", "--api-key-env", "EMPTY"), "EMPTY holds no key"),
        (("probe", "http://[::1"), "URL: "),
        (("render", "-f", "/no/such/file"), "does not exist"),
        (("nonsense",), "No such command"),
    ],
)
def test_wrong_usage(tmp_path: Path, words: tuple[str, ...], expected: str) -> None:
    """Exit code 2 and what was given wrong."""
    config = kubeconfig(tmp_path, "https://127.0.0.1:1")
    done = run(*words, KUBECONFIG=str(config), EMPTY="")
    assert (done.exit_code, done.stdout) == (2, "")
    assert expected in done.stderr


def test_an_api_server_that_is_not_there(tmp_path: Path) -> None:
    """Could not connect: exit code 4; the token is not shown."""
    done = run(
        "diagnose", "chat", "--kubeconfig", str(kubeconfig(tmp_path, f"https://127.0.0.1:{free_port()}"))
    )
    assert (done.exit_code, done.stdout) == (4, "")
    assert done.stderr.startswith("Error: cannot read StreamingEndpoint default/chat: ")
    assert "t0ken" not in done.stderr


def test_ctrl_c_while_the_cluster_is_silent(tmp_path: Path) -> None:
    """130 and one word, also when the API server never answers."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        config = kubeconfig(tmp_path, f"https://127.0.0.1:{mute.getsockname()[1]}")
        process = subprocess.Popen(
            listed([BIN / "streamctl", "diagnose", "chat", "--kubeconfig", str(config)]),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            mute.settimeout(60)
            line, _ = mute.accept()
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
            line.close()
        finally:
            process.kill()
    assert (process.returncode, out, err) == (130, b"", b"stopped\n")


def test_the_program_ends_as_its_commands_do() -> None:
    """Usage, help and version: their own exit codes, words and no traceback."""
    wrong, help_page, version = program("probe"), program("-h"), program("--version")
    assert (wrong.returncode, help_page.returncode, version.returncode) == (2, 0, 0)
    assert wrong.stderr.splitlines()[-1:] == [
        "Error: Missing argument 'URL'; OPENAI_BASE_URL is not set either"
    ]
    assert "diagnose" in help_page.stdout
    assert version.stdout.startswith("streamctl, version ")


def test_the_code_alone_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the operator's image lie packages without their metadata: a report is made all the same."""

    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("streaming_operator.cli.output.version", missing)
    done = run("probe", f"http://127.0.0.1:{free_port()}", "--output", "json")
    assert (done.exit_code, json.loads(done.stdout)["tool"]) == (4, "streamctl")


def test_output_that_cannot_be_written() -> None:
    """A full disk: one sentence, and not success."""
    with Path("/dev/full").open("wb", buffering=0) as full:
        done = subprocess.run(
            listed([BIN / "streamctl", "crd"]), stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert (done.returncode, done.stderr) == (1, b"Error: No space left on device\n")


def test_the_plugin_uses_kubectls_name() -> None:
    """What people read is what they typed."""
    done = program("probe", "--help", name="kubectl-streaming")
    assert (done.returncode, done.stdout.startswith("Usage: kubectl streaming probe")) == (0, True)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(shell: str) -> None:
    """Each asks the program itself; bash's is valid bash."""
    done = run("completion", shell)
    assert (done.exit_code, "_STREAMCTL_COMPLETE" in done.stdout) == (0, True)
    if shell == "bash":
        assert (
            subprocess.run(listed(["bash", "-n"]), input=done.stdout, text=True, check=False).returncode == 0
        )


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["dia"], ["diagnose", ":4"]),
        (["probe", "--outp"], ["--output", ":4"]),
        (["probe", "--output", "j"], ["json", "junit", ":4"]),
        (["probe", "http://x", "--ca", ""], [":0"]),
        ([], ["completion", "crd", "diagnose", "diff", "probe", "render", "run", "verify", ":4"]),
    ],
)
def test_completion_for_kubectl(words: list[str], expected: list[str]) -> None:
    """Candidates by line, then what kubectl's script is to do with files."""
    assert complete_for_kubectl(main, words) == expected


@pytest.mark.parametrize("command", ["probe", "diagnose", "completion"])
def test_help_has_examples(command: str) -> None:
    """What a person sees first."""
    help_page = run(command, "--help").stdout
    assert "Examples:" in help_page
    assert f"streamctl {command} " in help_page
