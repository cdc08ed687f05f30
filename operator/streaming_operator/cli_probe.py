"""
`streamctl probe URL`: the operator's probe for people and pipelines, without a cluster.

It turns options into a plan and a result into text or JSON with an exit code; what streaming means is the
business of `probe`.
"""

import asyncio
import ipaddress
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Literal
from urllib.parse import SplitResult, urlsplit

import click

from streaming_operator.api.conditions import Hop, Verdict
from streaming_operator.facts import ProbeResult
from streaming_operator.probe.finding import Finding
from streaming_operator.probe.hops import Plan, verify
from streaming_operator.probe.models import models
from streaming_operator.probe.remedies import Names, remedy
from streaming_operator.probe.request import ApiKey, Encoding
from streaming_operator.probe.safety import Guard
from streaming_operator.probe.verdict import streams
from streaming_operator.probe.wire import Limits, Target

STREAMING, NOT_STREAMING, INCONCLUSIVE, NO_CONNECTION, INTERRUPTED = 0, 1, 3, 4, 130
_NO_CONNECTION = (Verdict.UNREACHABLE, Verdict.DNS_UNRESOLVED, Verdict.TLS_ERROR)
_GUARD = Guard(local=True)

_HELP = """
Say whether a chat completion streams from URL, and if not, why.

URL is the address of any OpenAI-compatible server: its base, its /v1, or the whole path of its chat
completions. The same request is sent with and without gzip, several times where the answer is in doubt.

\b
Examples:
  streamctl probe http://localhost:8000
  streamctl probe https://llm.example.com --model tiny --api-key-env LLM_KEY
  streamctl probe https://llm.example.com --via 10.0.0.7:443 --ca ca.pem --output json

\b
Exit codes:
  0 streaming   1 not streaming   2 wrong usage   3 inconclusive   4 could not connect
"""


@click.command(help=_HELP)
@click.argument("url")
@click.option("--model", help="Model to ask; without it the first of /v1/models.")
@click.option("--api-key-env", metavar="VAR", help="Environment variable that holds the API key.")
@click.option(
    "--via", metavar="IP[:PORT]", help="Connect here, with URL's host as Host header and server name."
)
@click.option(
    "--ca",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="PEM file of the CAs to trust instead of the system's.",
)
@click.option(
    "--max-tokens",
    type=click.IntRange(16, 8192),
    default=1024,
    show_default=True,
    help="Most tokens to ask for.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(1, 3600),
    default=120.0,
    show_default=True,
    help="Seconds for one stream.",
)
@click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def probe(
    url: str,
    model: str | None,
    api_key_env: str | None,
    via: str | None,
    ca: Path | None,
    max_tokens: int,
    timeout: float,
    output: Literal["text", "json"],
) -> None:
    """Options to a plan, its result to an exit code."""
    target = _target(url, via, ca)
    key = _key(api_key_env)
    limits = Limits(connect=min(5.0, timeout), first_token=timeout, stall=min(75.0, timeout), total=timeout)
    try:
        code = asyncio.run(_probe(target, model, key, limits, max_tokens, output))
    except KeyboardInterrupt:
        click.echo("stopped", err=True)
        code = INTERRUPTED
    sys.exit(code)


async def _probe(
    target: Target,
    model: str | None,
    key: ApiKey | None,
    limits: Limits,
    max_tokens: int,
    output: Literal["text", "json"],
) -> int:
    shown = f"{target.scheme}://{target.host_header}{target.path}"
    if model is None:
        found = await models(target, key, _GUARD, limits)
        if isinstance(found, Finding):
            return _tell_finding(found, shown, output)
        if not found:
            raise click.UsageError(f"{target} lists no models under /v1/models: name one with --model")
        model = found[0]

    def heard(hop: Hop, encoding: Encoding, tokens: int, finding: Finding) -> None:
        click.echo(f"  {tokens} tokens, {encoding}: {finding.verdict}", err=True)

    def silent(hop: Hop, encoding: Encoding, tokens: int, finding: Finding) -> None:
        """JSON is for programs: nothing is said on the way."""

    if output == "text":
        click.echo(f"asking {model} at {shown}", err=True)
    plan = Plan(
        (target,),
        model,
        key=key,
        start_tokens=min(64, max_tokens),
        cap_tokens=max_tokens,
        limits=limits,
        guard=_GUARD,
        heard=heard if output == "text" else silent,
    )
    result = await verify(plan)
    _tell(result, shown, model, output)
    return exit_code(result.verdict)


def exit_code(verdict: Verdict) -> int:
    """What a pipeline sees."""
    if streams(verdict):
        return STREAMING
    if verdict is Verdict.INCONCLUSIVE:
        return INCONCLUSIVE
    return NO_CONNECTION if verdict in _NO_CONNECTION else NOT_STREAMING


def _tell(result: ProbeResult, shown: str, model: str, output: Literal["text", "json"]) -> None:
    if output == "json":
        stream = {_camel(name): value for name, value in asdict(result.hops[0]).items() if name not in _TOLD}
        found = {"url": shown, "model": model, "verdict": result.verdict, "message": result.message}
        click.echo(json.dumps(found | {"exitCode": exit_code(result.verdict), "stream": stream}))
        return
    evidence, _, advice = result.message.partition(". Remedy: ")
    _say(result.verdict, evidence, advice)


_TOLD = ("hop", "verdict", "message")


def _tell_finding(finding: Finding, shown: str, output: Literal["text", "json"]) -> int:
    """There was not even a list of models to choose from."""
    code = exit_code(finding.verdict)
    advice = remedy(Hop.EXPOSURE, finding.symptom, Names())
    if output == "json":
        message = f"{finding.evidence}. Remedy: {advice}" if advice else finding.evidence
        found = {"url": shown, "model": None, "verdict": finding.verdict, "message": message}
        click.echo(json.dumps(found | {"exitCode": code, "stream": None}))
        return code
    _say(finding.verdict, finding.evidence, advice)
    return code


def _say(verdict: Verdict, evidence: str, advice: str) -> None:
    click.echo(f"{verdict}: {evidence}")
    if advice:
        click.echo(f"Remedy: {advice}")


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.title() for word in rest)


def _key(variable: str | None) -> ApiKey | None:
    if variable is None:
        return None
    key = ApiKey(os.environ.get(variable, "").strip())
    if not key.is_sendable:
        raise click.UsageError(f"the environment variable {variable} holds no key that can be sent")
    return key


def _target(url: str, via: str | None, ca: Path | None) -> Target:
    parts = urlsplit(url if "://" in url else f"http://{url}")
    scheme, port = _checked(parts)
    host = parts.hostname or ""
    named = f"[{host}]" if ":" in host else host
    header = named if port == _DEFAULT_PORTS[scheme] else f"{named}:{port}"
    address, at = _via(via, port) if via else (host, port)
    path = _path(parts)
    return Target(Hop.EXPOSURE, address, at, scheme, header, path, ca.read_text("utf-8") if ca else None)


_DEFAULT_PORTS = {"http": 80, "https": 443}


def _checked(parts: SplitResult) -> tuple[Literal["http", "https"], int]:
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
    scheme: Literal["http", "https"] = "https" if parts.scheme == "https" else "http"
    return scheme, port or _DEFAULT_PORTS[scheme]


def _path(parts: SplitResult) -> str:
    path = parts.path.rstrip("/")
    if not path.endswith("/chat/completions"):
        path += "/chat/completions" if path.endswith("/v1") else "/v1/chat/completions"
    return f"{path}?{parts.query}" if parts.query else path


def _via(via: str, port: int) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{via}" if via.count(":") < 2 or via.startswith("[") else f"//[{via}]")
        return str(ipaddress.ip_address(parts.hostname or "")), parts.port or port
    except ValueError as error:
        raise click.UsageError(f"--via must be IP[:PORT]: {error}") from error
