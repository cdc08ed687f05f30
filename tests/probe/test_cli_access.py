"""`streamctl probe` where it is let in by headers, certificates, conventions of the environment or a proxy."""

import json
import ssl
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives import serialization
from prometheus_client.parser import text_string_to_metric_families

from streaming_operator.cli.probe import probe
from tests.probe import proxies
from tests.probe.certificates import Authority, authority
from tests.probe.conftest import Engines
from tests.probe.connect_proxy import ConnectProxy
from tests.probe.packages import Missing
from tests.probe.proxies import Proxy
from tests.probe.servers import Asked, Client, Server, lists
from tests.probe.zoo.running import Running, Setup

CLEAN: dict[str, str | None] = dict.fromkeys(
    [
        "HTTPS_PROXY",
        "https_proxy",
        "ALL_PROXY",
        "all_proxy",
        "NO_PROXY",
        "no_proxy",
        "OPENAI_API_KEY",
        "OPENAI_BASE_URL",
    ]
)


def run(*args: str, **env: str) -> Result:
    result = CliRunner().invoke(probe, args, env=CLEAN | env)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def echoing(client: Client, asked: Asked) -> None:
    """A gateway that wants its own header and quotes what it got when it refuses."""
    if asked.headers.get("x-gateway-key") == "g4teway-secret":
        client.stream(asked.body.get("max_tokens", 64))
    else:
        client.plain("403 Forbidden", {"error": {"message": f"refused: {sorted(asked.headers.items())}"}})


def test_headers_go_with_every_request() -> None:
    """Those for the list of models too; the name in any case, and User-Agent replaces ours."""
    with Server(echoing) as server:
        result = run(
            server.url,
            "--header",
            "X-Gateway-Key: g4teway-secret",
            "--header",
            "User-Agent:Mozilla/5.0 (test)",
        )
    assert result.exit_code == 0, result.output
    assert {asked.headers.get("x-gateway-key") for asked in server.asked} == {"g4teway-secret"}
    assert {asked.headers["user-agent"] for asked in server.asked} == {"Mozilla/5.0 (test)"}


@pytest.mark.parametrize("output", ["text", "json", "junit", "html"])
def test_the_value_of_a_header_is_shown_nowhere(output: str) -> None:
    """Also where the server quotes it, in every form and in the heads of --verbose."""
    with Server(echoing) as server:
        words = ("--header", "X-Gateway-Key: wr0ng-secret", "--header", "Authorization: Basic dXNlcjpwYXNz")
        result = run(server.url, "--model", "m", *words, "--output", output, "--verbose")
    assert result.exit_code == 1
    assert not any(secret in result.output for secret in ("wr0ng-secret", "dXNlcjpwYXNz"))
    assert "> X-Gateway-Key: ***" in result.stderr
    assert "> Authorization: ***" in result.stderr
    assert "< HTTP/1.1 403" in result.stderr


def test_a_short_value_is_no_secret() -> None:
    """Else every such letter or number of an error would be hidden."""
    with Server(echoing) as server:
        result = run(server.url, "--model", "m", "--header", "X-Gateway-Key: 403")
    assert "HTTP 403 from the model server: refused: " in result.stdout
    assert "***" not in result.stdout


@pytest.mark.parametrize(
    "args",
    [
        ("--header", "no colon"),
        ("--header", "Host: evil"),
        ("--header", "Content-Length: 3"),
        ("--header", "Bad Name: s3cret-value"),
        ("--header", "X-Key: s3cret-value\x00"),
        ("--header", "X-Key:"),
        ("--header", "X-Key: a", "--header", "x-key: s3cret-value"),
        ("--key", "FILE"),
        ("--cert", "FILE"),
        ("--watch", "--output", "html"),
        ("http://y", "--via", "127.0.0.1"),
        ("http://y", "--compare", "http://z"),
        ("http://y", "--output", "html"),
    ],
)
def test_wrong_usage_is_said_without_the_value(args: tuple[str, ...], tmp_path: Path) -> None:
    """Exit code 2, in words that hold no secret."""
    file = tmp_path / "file.pem"
    file.write_text("nothing in it")
    result = run("http://x", *(str(file) if arg == "FILE" else arg for arg in args))
    assert (result.exit_code, "Error: " in result.stderr, "s3cret" in result.output) == (2, True, False)


def test_url_and_key_by_convention(engines: Engines) -> None:
    """OPENAI_BASE_URL is the default, and OPENAI_API_KEY goes to that server."""
    engine = engines("--api-key", "s3cret-key")
    result = run(OPENAI_BASE_URL=f"{engine.base_url}/v1", OPENAI_API_KEY="s3cret-key")
    assert result.exit_code == 0, result.output
    assert run().exit_code == 2


@pytest.mark.parametrize("base", ["", "http://127.0.0.1:9"])
def test_the_key_of_openai_goes_to_no_other_server(base: str) -> None:
    """It belongs to the server of OPENAI_BASE_URL, or to OpenAI's own."""
    with Server(lambda client, asked: client.stream(64)) as server:
        result = run(server.url, OPENAI_API_KEY="sk-1234567890", OPENAI_BASE_URL=base)
    assert result.exit_code == 0, result.output
    assert not any("authorization" in asked.headers for asked in server.asked)


def served(ca: Authority, folder: Path, clients: Authority) -> ssl.SSLContext:
    """A server's context that asks its clients for a certificate of this authority."""
    context = ca.serve("127.0.0.1", folder)
    context.load_verify_locations(cadata=clients.pem)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def split(file: Path, folder: Path) -> tuple[Path, Path]:
    """Certificate and key of one file, in two."""
    text = file.read_text()
    begin = text.index("-----BEGIN CERTIFICATE")
    certificate, key = folder / "alone.pem", folder / "alone.key"
    certificate.write_text(text[begin:])
    key.write_text(text[:begin])
    return certificate, key


def test_a_client_certificate_lets_in(engines: Engines, tmp_path: Path) -> None:
    """In one file or in two; without one, or with that of another authority, there is no connection."""
    servers, users, others = authority("servers"), authority("users"), authority("others")
    both = users.file("me", tmp_path)
    certificate, key = split(both, tmp_path)
    (tmp_path / "ca.pem").write_text(servers.pem)
    with Proxy(engines().port, proxies.healthy, served(servers, tmp_path, users)) as edge:
        url = (f"https://127.0.0.1:{edge.port}", "--model", "tiny", "--ca", str(tmp_path / "ca.pem"))
        codes = [
            run(*url, "--cert", str(both)).exit_code,
            run(*url, "--cert", str(certificate), "--key", str(key)).exit_code,
            run(*url, "--cert", str(others.file("x", tmp_path))).exit_code,
        ]
        without = run(*url)
    assert [*codes, without.exit_code] == [0, 0, 4, 4]


def test_a_client_certificate_at_nginx(engines: Engines, tmp_path: Path) -> None:
    """A real nginx that asks for one: it streams with it, and is refused with a sentence without it."""
    servers, users = authority("servers"), authority("users")
    (tmp_path / "users.pem").write_text(users.pem)
    (tmp_path / "ca.pem").write_text(servers.pem)
    ask = f"ssl_client_certificate {tmp_path}/users.pem; ssl_verify_client on;"
    setup = Setup("nginx", "proxy_buffering off; proxy_http_version 1.1;", ask, tls=True)
    try:
        running = Running(setup, engines().port, tmp_path / "nginx", servers.file("llm.example", tmp_path))
    except Missing as missing:
        pytest.skip(str(missing))
    with running as edge:
        url = ("https://llm.example", "--via", f"127.0.0.1:{edge.port}", "--ca", str(tmp_path / "ca.pem"))
        let_in = run(*url, "--model", "tiny", "--cert", str(users.file("me", tmp_path)))
        refused = run(*url, "--model", "tiny")
    assert (let_in.exit_code, refused.exit_code) == (0, 4), let_in.output + refused.output
    assert "HTTP 400 from nginx: this server asks its clients for a certificate" in refused.stdout
    assert "--cert" in refused.stdout


def test_an_encrypted_key_is_refused_at_once(tmp_path: Path) -> None:
    """Nobody is asked for a password."""
    users = authority("users")
    text = users.file("me", tmp_path).read_text()
    key = serialization.load_pem_private_key(text.encode(), None)
    locked = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"password"),
    )
    file = tmp_path / "locked.pem"
    file.write_bytes(locked + text[text.index("-----BEGIN CERTIFICATE") :].encode())
    result = run("https://x", "--cert", str(file))
    assert (result.exit_code, "the private key is encrypted" in result.stderr) == (2, True)


def test_insecure_is_said_in_every_form(engines: Engines, tmp_path: Path) -> None:
    """A certificate of nobody is accepted, and no form of the report is silent about it."""
    metrics = tmp_path / "llm.prom"
    with Proxy(engines().port, proxies.healthy, authority("x").serve("other.example", tmp_path)) as edge:
        url = (f"https://127.0.0.1:{edge.port}", "--model", "tiny")
        said = {
            output: run(*url, "--insecure", "--output", output, "--metrics-textfile", str(metrics))
            for output in ("text", "json", "junit", "html")
        }
        refused = run(*url)
        plain = run(engines().base_url, "--insecure")
    assert {output: one.exit_code for output, one in said.items()} == dict.fromkeys(said, 0), said[
        "text"
    ].output
    assert refused.exit_code == 4
    assert said["text"].stdout.startswith("WARNING: no certificate was checked (--insecure)")
    assert "--insecure" in json.loads(said["json"].stdout)["warnings"][0]
    suite = ElementTree.fromstring(said["junit"].stdout)[0]
    assert (suite[0][0].get("name"), suite.get("tests"), suite.get("failures")) == ("WARNING", "1", "0")
    assert "<b>WARNING:</b> no certificate was checked" in said["html"].stdout
    samples = [s for f in text_string_to_metric_families(metrics.read_text()) for s in f.samples]
    assert [s.value for s in samples if s.name == "streamctl_probe_warnings"] == [1.0]
    assert "WARNING" not in plain.output  # there was no certificate to check


def test_https_goes_through_the_proxy_of_the_environment(engines: Engines, tmp_path: Path) -> None:
    """It resolves the name, gets its own password and nothing of the request, and the report tells of it."""
    ca = authority("private")
    (tmp_path / "ca.pem").write_text(ca.pem)
    with Proxy(engines().port, proxies.healthy, ca.serve("llm.example", tmp_path)) as edge:
        hosts = {"llm.example:8443": ("127.0.0.1", edge.port)}
        with ConnectProxy("user:p@ss", hosts) as proxy:
            address = f"http://user:p%40ss@127.0.0.1:{proxy.port}"
            url = ("https://llm.example:8443", "--ca", str(tmp_path / "ca.pem"))
            result = run(*url, "--output", "json", HTTPS_PROXY=address)
            text = run(*url, HTTPS_PROXY=address)
            refused = run(*url, HTTPS_PROXY=f"http://127.0.0.1:{proxy.port}")
    assert (result.exit_code, refused.exit_code) == (0, 4), result.output
    (hop,) = json.loads(result.stdout)["runs"][0]["hops"]
    assert hop["address"] == f"https://llm.example:8443 through the proxy http://127.0.0.1:{proxy.port}"
    assert [remark["name"] for remark in hop["remarks"]] == ["through an HTTP proxy"]
    assert f"Remark: the proxy http://127.0.0.1:{proxy.port} makes the connection" in text.stdout
    assert all(head.startswith("CONNECT llm.example:8443 HTTP/1.1\r\n") for head in proxy.heads)
    assert "the proxy refuses CONNECT with 407 Proxy Authentication Required" in refused.stdout
    assert "HTTPS_PROXY" in refused.stdout
    assert not any("p@ss" in one.output or "dXNlcjpwQHNz" in one.output for one in (result, text, refused))


@pytest.mark.parametrize(
    "excepted",
    ["127.0.0.1", "127.0.0.0/8", "example.com, 127.0.0.1", "*"],
    ids=["address", "network", "list", "all"],
)
def test_no_proxy_excepts(engines: Engines, tmp_path: Path, excepted: str) -> None:
    """Then the connection is direct: nobody listens where the proxy would be."""
    ca = authority("private")
    (tmp_path / "ca.pem").write_text(ca.pem)
    with Proxy(engines().port, proxies.healthy, ca.serve("127.0.0.1", tmp_path)) as edge:
        url = (f"https://127.0.0.1:{edge.port}", "--model", "tiny", "--ca", str(tmp_path / "ca.pem"))
        result = run(*url, HTTPS_PROXY="http://127.0.0.1:9", NO_PROXY=excepted)
        through = run(*url, HTTPS_PROXY="http://127.0.0.1:9")
    assert (result.exit_code, through.exit_code) == (0, 4), result.output


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:9", "https://127.0.0.1:9", "http://", "http://x:y"])
def test_a_proxy_that_cannot_be_used_is_wrong_usage(proxy: str) -> None:
    """It is not left out: the request would go another way than that of all other clients."""
    result = run("https://llm.example", HTTPS_PROXY=proxy)
    assert (result.exit_code, "HTTPS_PROXY" in result.stderr) == (2, True)


def test_without_tls_no_proxy_is_asked() -> None:
    """HTTPS_PROXY is about https."""
    with Server(lambda client, asked: client.stream(64), lists("m")) as server:
        result = run(server.url, HTTPS_PROXY="http://127.0.0.1:9")
    assert result.exit_code == 0, result.output
