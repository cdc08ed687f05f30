"""`streamctl probe`: exit codes, both outputs, no traceback, no key."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from streaming_operator.cli_probe import probe
from tests.engines.running import free_port
from tests.probe import proxies
from tests.probe.certificates import authority
from tests.probe.conftest import Engines
from tests.probe.proxies import Proxy


def run(*args: str, env: dict[str, str] | None = None) -> Result:
    result = CliRunner().invoke(probe, args, env=env)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def test_streaming_server_exits_with_0(engines: Engines) -> None:
    """Without a model it asks for the list; verdict and numbers on standard output, progress beside it."""
    result = run(engines().base_url)
    assert (0, True) == (result.exit_code, result.stdout.startswith("Streaming: first token after "))
    assert "asking tiny at" in result.stderr


@pytest.mark.parametrize("path", ["", "/", "/v1", "/v1/", "/v1/chat/completions"])
def test_url_in_its_usual_forms(engines: Engines, path: str) -> None:
    """Base, /v1 and the whole path mean the same."""
    result = run(engines().base_url + path, "--output", "json", "--max-tokens", "64")
    assert f"{engines().base_url}/v1/chat/completions" == json.loads(result.stdout)["url"]


def test_json_for_programs(engines: Engines) -> None:
    """One document, nothing on standard error."""
    result = run(engines().base_url, "--output", "json")
    told = json.loads(result.stdout)
    assert ("Streaming", 0, "tiny", "") == (told["verdict"], told["exitCode"], told["model"], result.stderr)
    assert (64, 64, True) == (told["stream"]["tokens"], told["stream"]["events"], told["stream"]["done"])


def test_buffering_exits_with_1_and_a_remedy(engines: Engines) -> None:
    """What is wrong and what to set."""
    with Proxy(engines().port, proxies.store_and_forward) as edge:
        result = run(f"http://127.0.0.1:{edge.port}", "--model", "tiny")
    assert 1 == result.exit_code
    assert result.stdout.startswith("Buffered: ")
    assert "\nRemedy: " in result.stdout


@pytest.mark.parametrize(
    "args",
    [
        ("ftp://x",),
        ("http://",),
        ("http://user:pass@x",),
        ("http://x:port",),
        ("http://x", "--via", "name"),
        ("http://x", "--via", "1.2.3.4:x"),
        ("http://x", "--api-key-env", "NO_SUCH_VARIABLE"),
        ("http://x", "--ca", "/no/such/file"),
        ("http://x", "--max-tokens", "0"),
        ("http://x", "--nonsense"),
        (),
    ],
)
def test_wrong_usage_exits_with_2(args: tuple[str, ...]) -> None:
    """What was given wrong, in words."""
    result = run(*args)
    assert (2, True) == (result.exit_code, "Error: " in result.stderr)
    assert "Traceback" not in result.output


def test_server_without_models_asks_for_a_name(engines: Engines) -> None:
    """Nothing to choose from is a matter of usage."""
    empty = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{"data":[]}'
    with Proxy(engines().port, proxies.answer(empty)) as edge:
        result = run(f"http://127.0.0.1:{edge.port}")
    assert (2, True) == (result.exit_code, "--model" in result.stderr)


def test_short_fast_stream_is_inconclusive(engines: Engines) -> None:
    """Exit code 3, and what to raise."""
    engine = engines("--inter-token-latency", "0")
    result = run(engine.base_url, "--max-tokens", "16")
    assert (3, True) == (result.exit_code, "--max-tokens" in result.stdout)


@pytest.mark.parametrize("named", [(), ("--model", "tiny")])
@pytest.mark.parametrize("output", ["text", "json"])
def test_no_connection_exits_with_4(named: tuple[str, ...], output: str) -> None:
    """Nobody listens, with and without the question for models."""
    result = run(f"http://127.0.0.1:{free_port()}", *named, "--output", output)
    assert (4, True) == (result.exit_code, "Unreachable" in result.stdout)


def test_unknown_name_exits_with_4() -> None:
    """No address."""
    result = run("http://nowhere.invalid")
    assert (4, True) == (result.exit_code, result.stdout.startswith("DNSUnresolved: "))


def test_via_and_ca(engines: Engines, tmp_path: Path) -> None:
    """The host's name goes into the request and the handshake, the connection to the given address."""
    ca = authority("private")
    file = tmp_path / "ca.pem"
    file.write_text(ca.pem)
    with Proxy(engines().port, proxies.healthy, ca.serve("llm.example", tmp_path)) as edge:
        via = ("--via", f"127.0.0.1:{edge.port}")
        trusted = run("https://llm.example", *via, "--ca", str(file))
        untrusted = run("https://llm.example", *via)
    assert (0, 4) == (trusted.exit_code, untrusted.exit_code), trusted.output
    assert "Host: llm.example\r\n" in edge.requests[0].decode()
    assert "TLSError" in untrusted.stdout


def test_key_comes_from_the_environment_and_is_never_shown(engines: Engines) -> None:
    """Right, wrong and missing key."""
    engine = engines("--api-key", "s3cret-key")
    right = run(engine.base_url, "--api-key-env", "K", env={"K": "s3cret-key\n"})
    wrong = run(engine.base_url, "--api-key-env", "K", env={"K": "wr0ng-key"})
    missing = run(engine.base_url)
    assert (0, 1, 1) == (right.exit_code, wrong.exit_code, missing.exit_code), right.output
    assert "--api-key-env" in missing.stdout
    assert not any("s3cret" in one.output or "wr0ng" in one.output for one in (right, wrong, missing))


def test_interrupted_says_so(engines: Engines) -> None:
    """Ctrl-C in the middle of a stream: 130, one word, no traceback."""
    asked = threading.Event()

    def hold(upstream: socket.socket, client: socket.socket) -> None:
        asked.set()
        client.recv(1)

    with Proxy(engines().port, hold) as edge:
        command = [sys.executable, "-c", "from streaming_operator.cli_probe import probe; probe()"]
        process = subprocess.Popen(
            [*command, f"http://127.0.0.1:{edge.port}", "--model", "tiny"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ,
        )
        assert asked.wait(30)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (130, b"") == (process.returncode, out)
    assert err.endswith(b"stopped\n")
    assert b"Traceback" not in err


def test_help_has_examples_and_exit_codes() -> None:
    """What a person sees first."""
    told = run("--help").output
    assert "streamctl probe http" in told
    assert "3 inconclusive" in told
