"""The TLS context of the API server's client, and the namespace that it belongs to."""

import asyncio
import json
import ssl
from pathlib import Path

import pytest
from kubernetes.aio.client import Configuration
from kubernetes.aio.config import ConfigException, incluster_config

from streaming_operator.errors import UnreadableCredentials
from streaming_operator.kube import credentials
from streaming_operator.kube.credentials import Credentials
from tests.probe.certificates import authority

NAME = "api.internal.example"


async def served_name(folder: Path, tls_server_name: str | None) -> str | None:
    """Connect to a server by its address; the name that the client asked it for."""
    ca = authority("a test CA")
    names: list[str | None] = []
    server_side = ca.serve(NAME, folder)
    server_side.sni_callback = lambda _socket, name, _context: names.append(name)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    bundle = folder / "ca.pem"
    bundle.write_text(ca.pem)
    configuration = Configuration()
    configuration.ssl_ca_cert = str(bundle)
    configuration.tls_server_name = tls_server_name
    context = Credentials(configuration, inside=False).tls()
    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=server_side)
    async with server:
        port = server.sockets[0].getsockname()[1]
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        writer.close()
    return names[0]


async def test_tls_server_name_of_a_kubeconfig_is_asked_for_and_verified(tmp_path: Path) -> None:
    """An API server behind an address that its certificate does not name."""
    assert await served_name(tmp_path, NAME) == NAME


async def test_without_it_the_address_itself_must_be_in_the_certificate(tmp_path: Path) -> None:
    """Verification is not weaker than Python's own default."""
    with pytest.raises(ssl.SSLCertVerificationError):
        await served_name(tmp_path, None)


def test_a_pods_own_namespace_is_that_of_its_service_account(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where its Lease is, whatever namespaces it serves."""
    (tmp_path / "namespace").write_text("streaming-system")
    monkeypatch.setattr(credentials, "_ACCOUNT", tmp_path)
    assert Credentials(Configuration(), inside=True).own_namespace() == "streaming-system"


@pytest.mark.parametrize(("context", "expected"), [({"namespace": "infra"}, "infra"), ({}, "default")])
def test_outside_a_cluster_it_is_that_of_the_context(
    tmp_path: Path, context: dict[str, str], expected: str
) -> None:
    """As kubectl takes it."""
    config = {
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": "a", "context": {"cluster": "c", "user": "u", **context}}],
        "current-context": "a",
    }
    (tmp_path / "config").write_text(json.dumps(config))
    known = Credentials(Configuration(), inside=False, file=str(tmp_path / "config"))
    assert known.own_namespace() == expected


@pytest.fixture
def pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The service account's folder of a pod in which somebody calls `streamctl`; there is no kubeconfig."""
    files = {"token": "of-the-pod", "ca.crt": authority("a test CA").pem, "namespace": "models"}
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    monkeypatch.setattr(credentials, "_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(credentials, "_ACCOUNT", tmp_path)
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(tmp_path / "ca.crt"))
    return tmp_path


async def test_a_command_in_a_pod_is_the_pods_service_account(pod: Path) -> None:
    """As kubectl's is: its token, and its namespace where none is named."""
    of_pod = await Credentials.of_person(None, None)
    assert (of_pod.server, of_pod.namespace) == ("https://10.0.0.1:443", "models")
    assert await of_pod.authorization() == {"Authorization": "bearer of-the-pod"}


@pytest.mark.parametrize(
    ("trouble", "cause"),
    [
        (OSError(24, "Too many open files"), "Too many open files"),
        (ConfigException("Token file exists but empty."), "Token file exists but empty."),
    ],
    ids=["cannot be opened", "is empty"],
)
async def test_a_token_that_cannot_be_read_now_is_an_error_of_the_cluster(
    pod: Path, trouble: Exception, cause: str
) -> None:
    """It is read again every minute; whoever asks for it tries later, as when the API server does not answer."""

    def hook(_configuration: Configuration) -> None:
        raise trouble

    of_pod = await Credentials.of_person(None, None)
    of_pod._configuration.refresh_api_key_hook = hook
    with pytest.raises(UnreadableCredentials, match=f"cannot read the service account: .*{cause}"):
        await of_pod.authorization()


def test_a_ca_bundle_that_is_none_is_an_error_of_the_credentials(tmp_path: Path) -> None:
    """It is read when the first connection is prepared, long after the file that names it."""
    (tmp_path / "ca.pem").write_text("no certificate")
    configuration = Configuration()
    configuration.ssl_ca_cert = str(tmp_path / "ca.pem")
    with pytest.raises(UnreadableCredentials, match="cannot read the kubeconfig"):
        Credentials(configuration, inside=False).tls()


@pytest.mark.parametrize("named", ["a file", "a context", "KUBECONFIG", "~/.kube/config"])
async def test_a_kubeconfig_that_is_named_or_there_comes_first(
    pod: Path, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    """A mistake in its name, or in it, does not turn a person into a pod's service account."""
    if named == "KUBECONFIG":
        monkeypatch.setenv("KUBECONFIG", str(pod / "nowhere"))
    if named == "~/.kube/config":
        (pod / "config").write_text("no kubeconfig")
    file = str(pod / "nowhere") if named == "a file" else None
    with pytest.raises(UnreadableCredentials, match="kubeconfig"):
        await Credentials.of_person(file, "prod" if named == "a context" else None)
