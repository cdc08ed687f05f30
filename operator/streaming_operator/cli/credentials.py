"""
What authenticates a probe's request: headers, a client certificate, the key of OPENAI_API_KEY.

Every invalid value is a `click.UsageError` that never holds a value that may be secret.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import click

from streaming_operator.cli import options
from streaming_operator.probe.http.request import ApiKey, ExtraHeader, extra_header
from streaming_operator.probe.http.tls import ClientCertificate

BASE_URL, API_KEY = "OPENAI_BASE_URL", "OPENAI_API_KEY"
OPENAI = "https://api.openai.com/v1"
"""What clients of OpenAI ask without OPENAI_BASE_URL."""


def header(given: str) -> ExtraHeader:
    """One --header NAME:VALUE."""
    name, colon, value = given.partition(":")
    if not colon:
        raise click.UsageError("--header must be NAME:VALUE")
    try:
        return extra_header(name.strip(), value)
    except ValueError as error:
        raise click.UsageError(f"--header {error}") from error


def headers(given: Sequence[str]) -> tuple[ExtraHeader, ...]:
    """Every --header, each name once."""
    parsed = tuple(header(one) for one in given)
    names = [one.name.lower() for one in parsed]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise click.UsageError(f"--header {twice} is given twice")
    return parsed


def identity(certificate: Path | None, key: Path | None) -> ClientCertificate | None:
    """The client certificate of --cert and --key; one file may hold both."""
    if certificate is None:
        if key is not None:
            raise click.UsageError("--key needs --cert")
        return None
    made = ClientCertificate(options.text_of(certificate) or "", options.text_of(key) or "")
    if problem := made.problem():
        raise click.UsageError(f"--cert {certificate}: {problem}")
    return made


def urls(given: Sequence[str]) -> tuple[str, ...]:
    """The URLs of the command line, else that of OPENAI_BASE_URL."""
    if given:
        return tuple(dict.fromkeys(given))
    if base := os.environ.get(BASE_URL, "").strip():
        return (base,)
    raise click.UsageError(f"Missing argument 'URL'; {BASE_URL} is not set either")


def key_for(url: str, variable: str | None) -> ApiKey | None:
    """
    The key in the named variable; without one that of OPENAI_API_KEY, for the server that it belongs to alone: that of
    OPENAI_BASE_URL, else OpenAI's own.
    """
    if variable is not None:
        return options.key(variable)
    base = os.environ.get(BASE_URL, "").strip() or OPENAI
    if not os.environ.get(API_KEY, "").strip() or options.origin(url) != options.origin(base):
        return None
    return options.key(API_KEY)
