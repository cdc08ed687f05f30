"""
Options, validated and converted to values of the probe: URL, --via, --api-key-env, --ca. What is sent beside the
request (headers, certificates, keys by convention) is in `credentials`, the proxy in `http_proxy`.

Every invalid value is a `click.UsageError`; its message never holds the value of a key.
"""

import ipaddress
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import SplitResult, urlsplit

import click

from streaming_operator.api.reasons import Hop
from streaming_operator.cli import http_proxy
from streaming_operator.probe.http.connection import Target
from streaming_operator.probe.http.request import PATHS, Api, ApiKey, ExtraHeader
from streaming_operator.probe.http.tls import ClientCertificate

Scheme = Literal["http", "https"]
DEFAULT_PORTS: dict[Scheme, int] = {"http": 80, "https": 443}
_ENDS: tuple[tuple[Api, str], ...] = tuple((api, path.removeprefix("/v1")) for api, path in PATHS.items())
"""chat before completions, whose path is a suffix of the other's."""
_BASE = re.compile(r"/(v[0-9]+[a-z0-9]*|openai)$")
"""The end of a path that looks like the base of an API itself, such as Gemini's /v1beta/openai."""


def key(variable: str | None) -> ApiKey | None:
    """The key in an environment variable; None without a variable."""
    if variable is None:
        return None
    value = ApiKey(os.environ.get(variable, "").strip())
    if not value.is_sendable:
        raise click.UsageError(f"the environment variable {variable} holds no key that can be sent")
    return value


@dataclass(frozen=True, slots=True)
class RequestOptions:
    """How the requests of one command are sent, whatever their URL."""

    api: Api | None = None
    """None: by the URL's path, else chat."""
    ca: str | None = None
    http2: bool = False
    headers: tuple[ExtraHeader, ...] = ()
    identity: ClientCertificate | None = None
    insecure: bool = False


def api_of(url: str, options: RequestOptions) -> Api:
    """The API that is asked: the option's, else by the URL's path, else chat."""
    if options.api is not None:
        return options.api
    path = _split(url).path.rstrip("/")
    matching: list[Api] = [api for api, end in _ENDS if path.endswith(end)]
    return matching[0] if matching else "chat"


def target(hop: Hop, url: str, via: str | None, options: RequestOptions) -> Target:
    """The target of *url*, at the first of its paths."""
    return targets(hop, url, via, options)[0]


def targets(hop: Hop, url: str, via: str | None, options: RequestOptions) -> tuple[Target, ...]:
    """The targets of *url*, the likeliest first: below its path the API's may begin with /v1, or not."""
    parts = _split(url)
    scheme, port = _checked(parts)
    host = parts.hostname or ""
    bracketed = f"[{host}]" if ":" in host else host
    header = bracketed if port == DEFAULT_PORTS[scheme] else f"{bracketed}:{port}"
    address, connect_port = address_of(via, port) if via else (host, port)
    proxy = http_proxy.proxy_for(address, connect_port) if scheme == "https" else None
    return tuple(
        Target(
            hop,
            address,
            connect_port,
            scheme,
            header,
            path,
            options.ca,
            options.http2,
            headers=options.headers,
            identity=options.identity if scheme == "https" else None,
            insecure=options.insecure,
            proxy=proxy,
        )
        for path in _paths(parts, api_of(url, options))
    )


def origin(url: str) -> tuple[Scheme, str, int]:
    """Scheme, host and port: whom a key is for."""
    parts = _split(url)
    scheme, port = _checked(parts)
    return scheme, parts.hostname or "", port


def shown(target: Target) -> str:
    """The URL without its query, which may hold a secret."""
    return f"{target.scheme}://{target.host_header}{target.path.partition('?')[0]}"


def edge_address(via: str) -> tuple[str, int | None]:
    """IP address and port of --via; None where it names no port."""
    address, port = address_of(via, 0)
    return address, port or None


def address_of(via: str, port: int) -> tuple[str, int]:
    """IP address and port of --via."""
    try:
        parts = urlsplit(f"//{via}" if via.count(":") < 2 or via.startswith("[") else f"//[{via}]")
        return str(ipaddress.ip_address(parts.hostname or "")), parts.port or port
    except ValueError as error:
        raise click.UsageError(f"--via must be IP[:PORT]: {error}") from error


def text_of(file: Path | None) -> str | None:
    """The certificates in a PEM file."""
    if file is None:
        return None
    try:
        return file.read_text("ascii")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not PEM"
        raise click.UsageError(f"cannot read {file}: {why}") from error


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url if "://" in url else f"http://{url}")
    except ValueError as error:
        raise click.UsageError(f"URL: {error}") from error


def _checked(parts: SplitResult) -> tuple[Scheme, int]:
    try:
        port = parts.port
    except ValueError as error:
        raise click.UsageError(f"URL: {error}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise click.UsageError("URL must be http://HOST[:PORT][/PATH] or https://HOST[:PORT][/PATH]")
    if parts.username is not None or parts.password is not None:
        raise click.UsageError("URL must not hold credentials: use --api-key-env or --header")
    if not parts.geturl().isascii() or not parts.geturl().isprintable() or " " in parts.geturl():
        raise click.UsageError("URL holds a character that must be encoded")
    scheme: Scheme = "https" if parts.scheme == "https" else "http"
    return scheme, port or DEFAULT_PORTS[scheme]


def _paths(parts: SplitResult, api: Api) -> tuple[str, ...]:
    """The paths of the API, wherever the URL ended: at the base, at /v1, at this API or at another one."""
    path = parts.path.rstrip("/")
    end = PATHS[api].removeprefix("/v1")
    suffix = next((end for _, end in _ENDS if path.endswith(end)), "")
    root = path.removesuffix(suffix)
    if suffix or root.endswith("/v1"):
        paths: tuple[str, ...] = (root + end,)
    else:
        paths = (f"{root}/v1{end}", root + end)
        if _BASE.search(root):
            paths = paths[::-1]
    return tuple(f"{path}?{parts.query}" if parts.query else path for path in paths)
