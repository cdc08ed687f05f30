"""
What people type, checked and turned into values of the probe: URL, --via, --api-key-env, --ca.

Every mistake is a `click.UsageError` with a sentence; no value of a key is ever in one.
"""

import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import SplitResult, urlsplit

import click

from streaming_operator.api.reasons import Hop
from streaming_operator.probe.http.connection import Target
from streaming_operator.probe.http.request import PATHS, Api, ApiKey

PEM = click.Path(exists=True, dir_okay=False, path_type=Path)
"""What --ca takes; `text_of` reads it."""
Scheme = Literal["http", "https"]
DEFAULT_PORTS: dict[Scheme, int] = {"http": 80, "https": 443}
_ENDS: tuple[tuple[Api, str], ...] = tuple((api, path.removeprefix("/v1")) for api, path in PATHS.items())
"""chat before completions, whose path is the end of the other's."""


def key(variable: str | None) -> ApiKey | None:
    """The key in an environment variable; None where none is named."""
    if variable is None:
        return None
    found = ApiKey(os.environ.get(variable, "").strip())
    if not found.is_sendable:
        raise click.UsageError(f"the environment variable {variable} holds no key that can be sent")
    return found


@dataclass(frozen=True, slots=True)
class Way:
    """How every URL of one command is asked."""

    api: Api | None = None
    """None: what the URL's path says, else chat."""
    ca: str | None = None
    http2: bool = False


def api_of(url: str, way: Way) -> Api:
    """The API that is asked: the one that was named, or whose path the URL holds, or chat."""
    if way.api is not None:
        return way.api
    path = _split(url).path.rstrip("/")
    named: list[Api] = [api for api, end in _ENDS if path.endswith(end)]
    return named[0] if named else "chat"


def target(hop: Hop, url: str, via: str | None, way: Way) -> Target:
    """Where *url* leads."""
    parts = _split(url)
    scheme, port = _checked(parts)
    host = parts.hostname or ""
    named = f"[{host}]" if ":" in host else host
    header = named if port == DEFAULT_PORTS[scheme] else f"{named}:{port}"
    address, at = address_of(via, port) if via else (host, port)
    path = _path(parts, api_of(url, way))
    return Target(hop, address, at, scheme, header, path, way.ca, way.http2)


def shown(target: Target) -> str:
    """The URL as it may be told: a query may hold a secret."""
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
        raise click.UsageError("URL must not hold credentials: use --api-key-env")
    if not parts.geturl().isascii() or not parts.geturl().isprintable() or " " in parts.geturl():
        raise click.UsageError("URL holds a character that must be encoded")
    scheme: Scheme = "https" if parts.scheme == "https" else "http"
    return scheme, port or DEFAULT_PORTS[scheme]


def _path(parts: SplitResult, api: Api) -> str:
    """The path of the API, wherever the URL ended: at the base, at /v1, at this API or at another one."""
    path = parts.path.rstrip("/")
    known = next((end for _, end in _ENDS if path.endswith(end)), "")
    root = path.removesuffix(known)
    root += "" if known or root.endswith("/v1") else "/v1"
    path = root + PATHS[api].removeprefix("/v1")
    return f"{path}?{parts.query}" if parts.query else path
