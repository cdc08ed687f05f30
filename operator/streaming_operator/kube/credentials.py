"""
Where the API server is and who we are: the official client's configuration, asked for each request.

It reads the service account (and its token again every minute) inside a cluster, the kubeconfig with its
exec plug-ins outside. TLS is checked as that configuration says.
"""

import binascii
import os
import ssl
from pathlib import Path
from typing import Any, Self

import yaml
from kubernetes.aio import config
from kubernetes.aio.client import Configuration
from kubernetes.aio.config import incluster_config

from streaming_operator.errors import UnreadableCredentials

_HOME = str(Path("~/.kube/config").expanduser())
"""Where people keep theirs."""
_ACCOUNT = Path(incluster_config.SERVICE_TOKEN_FILENAME).parent
"""Where a pod has its service account."""


class _ClientContext(ssl.SSLContext):
    """A client's context that may ask for, and verify, another name than the address: kubeconfig's tls-server-name."""

    server_name: str | None

    def __new__(cls, server_name: str | None) -> Self:
        """Verifies certificates and names, as PROTOCOL_TLS_CLIENT does."""
        context = super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)
        context.server_name = server_name
        return context

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """What asyncio calls; the name of the connection gives way to the one that was set."""
        name = self.server_name or server_hostname
        return super().wrap_bio(incoming, outgoing, server_side, name, session)


class Credentials:
    """Address, TLS and token of the API server."""

    def __init__(
        self,
        configuration: Configuration,
        *,
        inside: bool,
        file: str | None = None,
        context: str | None = None,
    ) -> None:
        self._configuration = configuration
        self._inside = inside
        self._file = file
        self._context = context
        self.namespace = "default"
        """Of the kubeconfig's context: where a person works who names none. See `own_namespace` for an operator's."""

    @classmethod
    async def load(cls) -> Self:
        """Take the service account inside a cluster, else the kubeconfig; raises `UnreadableCredentials` naming it."""
        inside = "KUBERNETES_SERVICE_HOST" in os.environ and "KUBECONFIG" not in os.environ
        credentials = cls(Configuration(), inside=inside)
        await credentials.reload()
        return credentials

    @classmethod
    async def of_person(cls, file: str | None, context: str | None) -> Self:
        """
        Take *file*, else KUBECONFIG, else ~/.kube/config; without any of them a pod's service account, as kubectl does.

        Raises `UnreadableCredentials` with what is wrong with it: people write these files.
        """
        named = file or os.environ.get("KUBECONFIG")
        if not named and context is None and _only_in_a_pod():
            pod = cls(Configuration(), inside=True)
            await pod.reload()
            pod.namespace = _namespace()
            return pod
        credentials = cls(Configuration(), inside=False, file=named or _HOME, context=context)
        if not any(map(os.path.exists, str(credentials._file).split(os.pathsep))):
            raise UnreadableCredentials(
                f"cannot read the kubeconfig {credentials._file}: there is no such file"
            )
        try:
            await credentials.reload()
            _, active = config.list_kube_config_contexts(credentials._file)  # type: ignore[no-untyped-call]
            chosen = active if context is None else _named(context, credentials._file)
            credentials.namespace = chosen["context"].get("namespace") or "default"
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise UnreadableCredentials(
                f"cannot read the kubeconfig {credentials._file}: it is not YAML"
            ) from error
        except (AttributeError, LookupError, TypeError, ValueError, binascii.Error) as error:
            raise UnreadableCredentials(
                f"cannot read the kubeconfig {credentials._file}: it is no kubeconfig"
            ) from error
        return credentials

    async def reload(self) -> None:
        """Read everything again: after a 401 the token may have been replaced."""
        configuration = Configuration()
        try:
            if self._inside:
                config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
            else:
                await config.load_kube_config(  # type: ignore[no-untyped-call]
                    self._file, self._context, client_configuration=configuration, persist_config=False
                )
        except (config.ConfigException, OSError) as error:
            raise self._unreadable(error) from error
        self._configuration = configuration

    def own_namespace(self) -> str:
        """The namespace of our pod; outside a cluster that of the kubeconfig's context, `default` without one."""
        if self._inside:
            return _namespace()
        _, active = config.list_kube_config_contexts(self._file)  # type: ignore[no-untyped-call]
        return str(active["context"].get("namespace") or "default")

    @property
    def server(self) -> str:
        """`https://host:port` of the API server, without a slash at the end."""
        return str(self._configuration.host).rstrip("/")

    @property
    def proxy(self) -> str | None:
        """The proxy that the kubeconfig names, if any."""
        return self._configuration.proxy or None

    def tls(self) -> ssl.SSLContext:
        """The TLS context that the configuration describes; raises `UnreadableCredentials` for a file that is none."""
        known = self._configuration
        context = _ClientContext(known.tls_server_name)
        try:
            if known.ssl_ca_cert or known.ca_cert_data:
                context.load_verify_locations(cafile=known.ssl_ca_cert, cadata=known.ca_cert_data)
            else:
                context.load_default_certs()
            if known.cert_file:
                context.load_cert_chain(known.cert_file, keyfile=known.key_file)
        except OSError as error:  # what OpenSSL refuses is one, too
            raise self._unreadable(error) from error
        if not known.verify_ssl:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    async def authorization(self) -> dict[str, str]:
        """
        The header that tells who we are; empty with client certificates.

        Raises `UnreadableCredentials` where the token is read again and cannot be, or a plug-in gives none.
        """
        try:
            token = await self._configuration.get_api_key_with_prefix("BearerToken", alias="authorization")
        except (config.ConfigException, OSError) as error:
            raise self._unreadable(error) from error
        return {"Authorization": token} if token else {}

    def _unreadable(self, error: Exception) -> UnreadableCredentials:
        """Where they are, and why they cannot be read."""
        where = "the service account" if self._inside else f"the kubeconfig {self._file or ''}".rstrip()
        return UnreadableCredentials(f"cannot read {where}: {error}")


def _only_in_a_pod() -> bool:
    """Whether there is a service account, and nobody's own kubeconfig."""
    return "KUBERNETES_SERVICE_HOST" in os.environ and not Path(_HOME).exists()


def _namespace() -> str:
    """The pod's."""
    try:
        return (_ACCOUNT / "namespace").read_text().strip()
    except OSError as error:
        raise UnreadableCredentials(f"cannot read the service account: {error}") from error


def _named(context: str, file: str | None) -> dict[str, Any]:
    """The context of that name in a kubeconfig."""
    contexts, _ = config.list_kube_config_contexts(file)  # type: ignore[no-untyped-call]
    return next(dict(entry) for entry in contexts if entry["name"] == context)
