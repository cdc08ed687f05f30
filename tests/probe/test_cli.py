"""`streamctl probe`: exit codes, both outputs, no traceback, no key."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner, Result
from prometheus_client.parser import text_string_to_metric_families

from streaming_operator.cli.probe import probe
from streaming_operator.probe.http import connection
from tests.cluster.programs import listed
from tests.engines.running import free_port
from tests.probe import proxies
from tests.probe.certificates import authority
from tests.probe.conftest import Engines
from tests.probe.http2 import Http2Server
from tests.probe.proxies import Proxy
from tests.probe.servers import Server

ROOT = Path(__file__).resolve().parents[2]


def run(*args: str, env: dict[str, str] | None = None) -> Result:
    result = CliRunner().invoke(probe, args, env=env)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def test_streaming_server_exits_with_0(engines: Engines) -> None:
    """Without a model it asks for the list; verdict and numbers on standard output, no noise beside it."""
    result = run(engines().base_url)
    assert (result.exit_code, result.stdout.startswith("Streaming: first token after ")) == (0, True)
    assert result.stderr == ""


@pytest.mark.parametrize("path", ["", "/", "/v1", "/v1/", "/v1/chat/completions"])
def test_url_in_its_usual_forms(engines: Engines, path: str) -> None:
    """Base, /v1 and the whole path mean the same."""
    result = run(engines().base_url + path, "--output", "json", "--max-tokens", "64")
    assert json.loads(result.stdout)["subject"] == f"{engines().base_url}/v1/chat/completions"


@pytest.mark.parametrize(
    ("path", "options", "asked", "api"),
    [
        ("/v1/completions", (), "/v1/completions", "completions"),
        ("/v1/chat/completions", ("--api", "completions"), "/v1/completions", "completions"),
        ("", ("--api", "chat"), "/v1/chat/completions", "chat"),
    ],
)
def test_api_as_named_or_as_the_path_says(
    engines: Engines, path: str, options: tuple[str, ...], asked: str, api: str
) -> None:
    """The option wins, then the URL's own path, then chat."""
    with Proxy(engines().port, proxies.healthy) as edge:
        url = f"http://127.0.0.1:{edge.port}{path}"
        result = run(url, *options, "--model", "tiny", "--output", "json", "--max-tokens", "64")
    assert (result.exit_code, json.loads(result.stdout)["api"]) == (0, api)
    assert {request.decode().splitlines()[0] for request in edge.requests} == {f"POST {asked} HTTP/1.1"}


def test_http2_when_wanted() -> None:
    """The list of models and the streams; the report says what was spoken."""
    with Http2Server() as server:
        result = run(f"http://127.0.0.1:{server.port}", "--http2", "--output", "json")
    report = json.loads(result.stdout)
    assert (result.exit_code, report["model"], report["runs"][0]["hops"][0]["protocol"]) == (
        0,
        "tiny",
        "HTTP/2",
    )


def test_json_for_programs(engines: Engines) -> None:
    """One document, nothing on standard error."""
    result = run(engines().base_url, "--output", "json")
    report = json.loads(result.stdout)
    assert (report["verdict"], report["exitCode"], report["model"], result.stderr) == (
        "Streaming",
        0,
        "tiny",
        "",
    )
    (hop,) = report["runs"][report["decidedBy"]]["hops"]
    assert (hop["hop"], hop["tokens"], hop["events"], hop["done"]) == ("URL", 64, 64, True)
    assert sum(arrival["tokens"] for arrival in hop["arrivals"]) == 64


def validate(text: str) -> dict[str, Any]:
    """A report that is as published."""
    report: dict[str, Any] = json.loads(text)
    jsonschema.validate(report, json.loads((ROOT / "docs" / "probe-result.schema.json").read_text()))
    return report


def test_json_is_as_published(engines: Engines) -> None:
    """With an answer and without any: what is printed is valid against the schema in docs/."""
    urls = (engines().base_url, f"http://127.0.0.1:{free_port()}")
    reports = [validate(run(url, "--output", "json").stdout) for url in urls]
    assert [(one["verdict"], one["exitCode"]) for one in reports] == [("Streaming", 0), ("Unreachable", 4)]


def test_compare_shows_the_control_beside(engines: Engines) -> None:
    """The fault is the URL's since the control streams; both are shown, also when all is well."""
    with Proxy(engines().port, proxies.store_and_forward) as edge:
        bad = run(f"http://127.0.0.1:{edge.port}", "--compare", engines().base_url, "--output", "json")
    good = run(engines().base_url, "--compare", engines().base_url, "--output", "json")
    report = validate(bad.stdout)
    assert (bad.exit_code, report["hop"]) == (1, "URL")
    assert [(hop["hop"], hop["verdict"]) for hop in report["runs"][0]["hops"]] == [
        ("URL", "Buffered"),
        ("Control", "Streaming"),
    ]
    assert [hop["hop"] for hop in json.loads(good.stdout)["runs"][0]["hops"]] == ["URL", "Control"]


def test_compare_blames_the_server_for_what_it_does(engines: Engines) -> None:
    """The control holds the answer back as well: it is named, not what lies before it."""
    with (
        Proxy(engines().port, proxies.store_and_forward) as server,
        Proxy(server.port, proxies.healthy) as edge,
    ):
        result = run(
            f"http://127.0.0.1:{edge.port}",
            "--compare",
            f"http://127.0.0.1:{server.port}",
            "--output",
            "json",
        )
    report = json.loads(result.stdout)
    assert (result.exit_code, report["hop"], report["verdict"]) == (1, "Control", "Buffered")
    assert not report["evidence"].startswith("Pod")


def test_the_worst_of_several_runs_decides(engines: Engines) -> None:
    """One run in two is buffered: exit code 1, both are counted, and the bad one is shown."""
    asked: list[bool] = []

    def moody(upstream: socket.socket, client: socket.socket) -> None:
        """The first verification, two streams, is fine."""
        asked.append(True)
        (proxies.healthy if len(asked) <= 2 else proxies.store_and_forward)(upstream, client)

    with Proxy(engines().port, moody) as edge:
        result = run(f"http://127.0.0.1:{edge.port}", "--model", "tiny", "--runs", "2", "--output", "json")
    report = validate(result.stdout)
    assert (
        result.exit_code,
        report["distribution"],
        report["decidedBy"],
    ) == (1, {"Streaming": 1, "Buffered": 1}, 1)


@pytest.mark.parametrize(
    ("promise", "verdict"), [("--max-ttft", "TTFTExceeded"), ("--max-gap", "ChunkGapExceeded")]
)
def test_what_users_are_promised(engines: Engines, promise: str, verdict: str) -> None:
    """A limit that is broken is a fault, with both numbers."""
    result = run(engines().base_url, promise, "0.001", "--max-tokens", "64")
    assert (result.exit_code, result.stdout.startswith(f"{verdict}: ")) == (1, True), result.output
    assert "the limit is 0.001 s" in result.stdout


def test_metrics_for_the_textfile_collector(engines: Engines, tmp_path: Path) -> None:
    """Beside the report; read back as Prometheus would, and nothing half written lies about."""
    file = tmp_path / "llm.prom"
    run(engines().base_url, "--metrics-textfile", str(file))
    samples = {
        s.name: s for family in text_string_to_metric_families(file.read_text()) for s in family.samples
    }
    assert (
        samples["streamctl_probe_success"].value,
        samples["streamctl_probe_success"].labels["model"],
    ) == (1.0, "tiny")
    assert samples["streamctl_probe_ttft_seconds"].value > 0
    assert list(tmp_path.iterdir()) == [file]


def test_an_unwritable_metrics_file_is_reported(engines: Engines, tmp_path: Path) -> None:
    """A folder that is not there: one sentence, exit code 2."""
    result = run(engines().base_url, "--metrics-textfile", str(tmp_path / "no" / "such.prom"))
    assert (result.exit_code, "cannot write" in result.stderr) == (2, True)


def test_unwritable_output_is_reported(engines: Engines) -> None:
    """A full disk: one sentence, exit code 2, nothing from the interpreter when it ends."""
    with Path("/dev/full").open("wb", buffering=0) as full:
        done = subprocess.run(
            listed(probing(engines().base_url)), stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert (done.returncode, done.stderr.startswith(b"Error: cannot write the report: ")) == (2, True)
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize("output", ["text", "json", "junit", "html"])
def test_a_closed_pipe_does_not_change_the_verdict(engines: Engines, output: str) -> None:
    """`| head -1`, `| grep -q`: the exit code is the verdict's, and nothing is on standard error."""
    reading, writing = os.pipe()
    os.close(reading)
    words = probing(engines().base_url, output)
    with os.fdopen(writing, "wb") as out:
        done = subprocess.run(listed(words), stdout=out, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_arrivals_are_drawn_while_they_happen_on_a_terminal(engines: Engines) -> None:
    """Standard error is one: a strip grows there; the report on standard output is the same as ever."""
    master, slave = os.openpty()
    with os.fdopen(slave, "wb") as terminal:
        process = subprocess.Popen(
            listed(probing(engines().base_url)),
            stdout=subprocess.PIPE,
            stderr=terminal,
            env=os.environ | {"TERM": "xterm"},
        )
    drawn = b""
    with suppress(OSError):  # the other side of a terminal that is gone
        while data := os.read(master, 4096):
            drawn += data
    out, _ = process.communicate(timeout=60)
    os.close(master)
    assert (process.returncode, out.startswith(b"<!DOCTYPE html>")) == (0, True)
    assert "asking tiny at" in drawn.decode()
    assert "▕" in drawn.decode(errors="replace")


def probing(url: str, output: str = "html") -> list[str]:
    """The command as a process of its own."""
    return [sys.executable, "-m", "streaming_operator", "probe", url, "--model", "tiny", "--output", output]


def test_a_query_of_the_url_is_shown_nowhere(engines: Engines, tmp_path: Path) -> None:
    """It may hold a secret: no report and no metric has it."""
    file = tmp_path / "llm.prom"
    url = f"{engines().base_url}/v1?key=s3cret"
    result = run(url, "--model", "tiny", "--output", "html", "--metrics-textfile", str(file))
    assert (result.exit_code, "/v1/chat/completions" in result.stdout) == (0, True)
    assert "s3cret" not in result.output + file.read_text()


def test_buffering_exits_with_1_and_a_remedy(engines: Engines) -> None:
    """What is wrong and what to set."""
    with Proxy(engines().port, proxies.store_and_forward) as edge:
        result = run(f"http://127.0.0.1:{edge.port}", "--model", "tiny")
    assert result.exit_code == 1
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
        ("http://x", "--ca", "/dev/null/x"),
        ("http://[x",),
        ("http://x", "--compare", "ftp://y"),
        ("http://x", "--runs", "0"),
        ("http://x", "--max-tokens", "0"),
        ("http://x", "--nonsense"),
        (),
    ],
)
def test_wrong_usage_exits_with_2(args: tuple[str, ...]) -> None:
    """What was given wrong, in words."""
    result = run(*args)
    assert (result.exit_code, "Error: " in result.stderr) == (2, True)
    assert "Traceback" not in result.output


def test_server_without_models_asks_for_a_name(engines: Engines) -> None:
    """Nothing to choose from is a matter of usage."""
    empty = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{"data":[]}'
    with Proxy(engines().port, proxies.answer(empty)) as edge:
        result = run(f"http://127.0.0.1:{edge.port}")
    assert (result.exit_code, "--model" in result.stderr) == (2, True)


def test_short_fast_stream_is_inconclusive(engines: Engines) -> None:
    """Exit code 3, and what to raise."""
    engine = engines("--inter-token-latency", "0")
    result = run(engine.base_url, "--max-tokens", "16")
    assert (result.exit_code, "--max-tokens" in result.stdout) == (3, True)


@pytest.mark.parametrize("named", [(), ("--model", "tiny")])
@pytest.mark.parametrize("output", ["text", "json"])
def test_no_connection_exits_with_4(named: tuple[str, ...], output: str) -> None:
    """Nobody listens, with and without the question for models."""
    result = run(f"http://127.0.0.1:{free_port()}", *named, "--output", output)
    assert (result.exit_code, "Unreachable" in result.stdout) == (4, True)


def test_unknown_name_exits_with_4() -> None:
    """No address."""
    result = run("http://nowhere.invalid")
    assert (result.exit_code, result.stdout.startswith("DNSUnresolved: ")) == (4, True)


def test_via_and_ca(engines: Engines, tmp_path: Path) -> None:
    """The host's name goes into the request and the handshake, the connection to the given address."""
    ca = authority("private")
    file = tmp_path / "ca.pem"
    file.write_text(ca.pem)
    with Proxy(engines().port, proxies.healthy, ca.serve("llm.example", tmp_path)) as edge:
        via = ("--via", f"127.0.0.1:{edge.port}")
        trusted = run("https://llm.example", *via, "--ca", str(file))
        untrusted = run("https://llm.example", *via)
    assert (trusted.exit_code, untrusted.exit_code) == (0, 4), trusted.output
    assert "Host: llm.example\r\n" in edge.requests[0].decode()
    assert "TLSError" in untrusted.stdout


def test_key_comes_from_the_environment_and_is_never_shown(engines: Engines) -> None:
    """Right, wrong and missing key."""
    engine = engines("--api-key", "s3cret-key")
    right = run(engine.base_url, "--api-key-env", "K", env={"K": "s3cret-key\n"})
    wrong = run(engine.base_url, "--api-key-env", "K", env={"K": "wr0ng-key"})
    missing = run(engine.base_url)
    assert (right.exit_code, wrong.exit_code, missing.exit_code) == (0, 1, 1), right.output
    assert "--api-key-env" in missing.stdout
    assert not any("s3cret" in one.output or "wr0ng" in one.output for one in (right, wrong, missing))


def test_the_timeout_is_that_of_one_stream(engines: Engines) -> None:
    """A server that says nothing is silent after it, not undecided: the whole verification may take longer."""
    with Proxy(engines().port, proxies.mute) as edge:
        result = run(f"http://127.0.0.1:{edge.port}", "--model", "tiny", "--timeout", "2")
    assert (result.exit_code, result.stdout.startswith("TTFTExceeded: no answer within 2 s")) == (1, True), (
        result.output
    )


def test_ctrl_c_is_reported_in_one_word(engines: Engines) -> None:
    """Ctrl-C in the middle of a stream: 130, one word, no traceback."""
    asked = threading.Event()

    def hold(upstream: socket.socket, client: socket.socket) -> None:
        asked.set()
        client.recv(1)

    with Proxy(engines().port, hold) as edge:
        command = [sys.executable, "-c", "from streaming_operator.cli.probe import probe; probe()"]
        process = subprocess.Popen(
            listed([*command, f"http://127.0.0.1:{edge.port}", "--model", "tiny"]),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ,
        )
        try:
            assert asked.wait(30)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=30)
        finally:
            process.kill()
    assert (process.returncode, out) == (130, b"")
    assert err.endswith(b"stopped\n")
    assert b"Traceback" not in err


def test_help_has_examples_and_exit_codes() -> None:
    """What a person sees first."""
    help_page = run("--help").output
    assert "streamctl probe http" in help_page
    assert "3 inconclusive" in help_page


def test_a_name_with_an_address_that_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    """localhost is ::1 and 127.0.0.1 while the server listens on one: it streams, and the other is remarked."""
    monkeypatch.setattr(connection, "_addresses_of", _two_addresses)
    with Server(lambda client, asked: client.stream(64)) as server:
        result = run(f"http://llm.example:{server.port}")
        closed = run(f"http://llm.example:{free_port()}")
    assert (result.exit_code, closed.exit_code) == (0, 4), result.output
    assert "Remark: 127.0.0.2: connection refused; connected to 127.0.0.1 instead" in result.stdout
    assert all(f"{address}" in closed.stdout for address in ("127.0.0.1", "127.0.0.2"))


async def _two_addresses(name: str, port: int) -> list[str]:
    return ["127.0.0.2", "127.0.0.1"]
