"""The TLS context of the API server's client."""

import asyncio
import ssl
from pathlib import Path

import pytest
from kubernetes.aio.client import Configuration

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
