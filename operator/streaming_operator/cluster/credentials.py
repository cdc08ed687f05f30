"""
Where the API server is and who we are: the official client's configuration, asked for each request.

It reads the service account (and its token again every minute) inside a cluster, the kubeconfig with its
exec plug-ins outside. TLS is checked as that configuration says.
"""

import os
import ssl
from typing import Self

from kubernetes.aio import config
from kubernetes.aio.client import Configuration

from streaming_operator.errors import Unreachable


class Credentials:
    """Address, TLS and token of the API server."""

    def __init__(self, configuration: Configuration, *, inside: bool) -> None:
        self._configuration = configuration
        self._inside = inside

    @classmethod
    async def load(cls) -> Self:
        """Take the service account inside a cluster, else the kubeconfig; raises `Unreachable` naming it."""
        inside = "KUBERNETES_SERVICE_HOST" in os.environ and "KUBECONFIG" not in os.environ
        credentials = cls(Configuration(), inside=inside)
        await credentials.reload()
        return credentials

    async def reload(self) -> None:
        """Read everything again: after a 401 the token may have been replaced."""
        configuration = Configuration()
        try:
            if self._inside:
                config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
            else:
                await config.load_kube_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        except (config.ConfigException, OSError) as error:
            where = "the service account" if self._inside else "the kubeconfig"
            raise Unreachable(f"cannot read {where}: {error}") from error
        self._configuration = configuration

    @property
    def server(self) -> str:
        """`https://host:port` of the API server, without a slash at the end."""
        return str(self._configuration.host).rstrip("/")

    @property
    def proxy(self) -> str | None:
        """The proxy that the kubeconfig names, if any."""
        return self._configuration.proxy or None

    def tls(self) -> ssl.SSLContext:
        """The TLS context that the configuration describes."""
        known = self._configuration
        context = ssl.create_default_context(cafile=known.ssl_ca_cert, cadata=known.ca_cert_data)
        if known.cert_file:
            context.load_cert_chain(known.cert_file, keyfile=known.key_file)
        if not known.verify_ssl:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    async def authorization(self) -> dict[str, str]:
        """The header that tells who we are; empty with client certificates."""
        token = await self._configuration.get_api_key_with_prefix("BearerToken", alias="authorization")
        return {"Authorization": token} if token else {}
