"""`streamctl probe` of several URLs, again and again, and with everything that was said."""

import json
import os
import signal
import subprocess
import sys
from xml.etree import ElementTree

from click.testing import CliRunner, Result

from streaming_operator.cli.probe import probe
from tests.cluster.programs import listed
from tests.engines.running import free_port
from tests.probe import proxies
from tests.probe.conftest import Engines
from tests.probe.proxies import Proxy
from tests.probe.servers import Asked, Client, Server


def run(*args: str) -> Result:
    result = CliRunner().invoke(probe, args)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def test_the_model_is_named_in_the_text(engines: Engines) -> None:
    """Which model was asked, by which API, at which URL."""
    result = run(engines().base_url)
    assert f"\nModel: tiny (chat) of {engines().base_url}/v1/chat/completions\n" in result.stdout


def test_several_urls_share_one_table(engines: Engines) -> None:
    """A line each, then what is to be said of each; the worst decides, and each has a document of its own in JSON."""
    with Proxy(engines().port, proxies.store_and_forward) as edge:
        urls = (engines().base_url, f"http://127.0.0.1:{edge.port}", f"http://127.0.0.1:{free_port()}")
        text = run(*urls, "--model", "tiny")
        documents = run(*urls, "--model", "tiny", "--output", "json")
        junit = run(*urls, "--model", "tiny", "--output", "junit")
    assert {text.exit_code, documents.exit_code, junit.exit_code} == {1}
    head, *rows = text.stdout.splitlines()
    assert head.split()[:3] == ["URL", "verdict", "TTFT"]
    assert [row.split()[:2] for row in rows[:3]] == [
        [f"{url}/v1/chat/completions", verdict]
        for url, verdict in zip(urls, ("Streaming", "Buffered", "Unreachable"), strict=True)
    ]
    assert text.stdout.count("\nRemedy: ") == 2
    verdicts = [json.loads(line)["verdict"] for line in documents.stdout.splitlines()]
    assert verdicts == ["Streaming", "Buffered", "Unreachable"]
    assert len(ElementTree.fromstring(junit.stdout)) == 3


def test_verbose_shows_heads_without_secrets() -> None:
    """Of the list of models and of every stream; the query of the URL, keys and cookies are masked."""

    def answer(client: Client, asked: Asked) -> None:
        client.stream(
            asked.body.get("max_tokens", 64), "Set-Cookie: session=s3cret", "X-Served-By: \x1b[31mred"
        )

    with Server(answer) as server:
        result = CliRunner().invoke(
            probe,
            [f"{server.url}/v1?token=s3cret", "--api-key-env", "K", "--verbose"],
            env={"K": "s3cret-key"},
        )
    assert result.exit_code == 0, result.output
    assert "> GET /v1/models?***\n" in result.stderr
    assert "> POST /v1/chat/completions?***\n" in result.stderr
    assert "> Authorization: ***\n" in result.stderr
    assert "< set-cookie: ***\n" in result.stderr
    assert "s3cret" not in result.output
    assert "\x1b" not in result.output


def watching(*args: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "streaming_operator", "probe", *args, "--watch", "--interval", "0"]
    return subprocess.Popen(
        listed(command),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )


def test_watch_prints_a_line_a_probe_and_a_summary() -> None:
    """Until Ctrl-C; the exit code is that of the worst probe, as ping has it."""
    with Server(lambda client, asked: client.stream(asked.body.get("max_tokens", 64))) as server:
        process = watching(server.url)
        assert process.stdout is not None
        try:
            lines = [process.stdout.readline().decode() for _ in range(2)]
            process.send_signal(signal.SIGINT)
            rest, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, errors) == (0, b"")
    assert all("Streaming" in line and "TTFT" in line for line in lines)
    summary = rest.decode().splitlines()[-1]
    assert summary.startswith(f"{server.url}/v1/chat/completions: ")
    assert "probes: " in summary
    assert "Streaming; TTFT median " in summary
    listed_once = [asked for asked in server.asked if asked.method == "GET"]
    assert len(listed_once) == 1


def test_watch_ends_when_nobody_reads_any_more(engines: Engines) -> None:
    """`| head -1`: with the code of what was seen."""
    with Proxy(engines().port, proxies.store_and_forward) as edge:
        process = watching(f"http://127.0.0.1:{edge.port}", "--model", "tiny", "--max-tokens", "64")
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            process.stdout.close()
            errors = process.stderr.read() if process.stderr else b""
            code = process.wait(60)
        finally:
            process.kill()
    assert (code, b"Buffered" in line, errors) == (1, True, b"")


def test_watch_in_json_is_a_document_a_line(engines: Engines) -> None:
    """Of two URLs in turn; a summary would be no document."""
    process = watching(
        engines().base_url, f"http://127.0.0.1:{free_port()}", "--model", "tiny", "--output", "json"
    )
    assert process.stdout is not None
    try:
        verdicts = [json.loads(process.stdout.readline())["verdict"] for _ in range(4)]
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert verdicts == ["Streaming", "Unreachable"] * 2
    assert all(json.loads(line) for line in rest.splitlines())
    assert process.returncode == 4
