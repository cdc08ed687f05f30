"""
`streamctl probe URL`: the operator's probe for people and pipelines, without a cluster.

Its options alone, so that --help and TAB answer at once; what they lead to is `probing`.
"""

from pathlib import Path
from typing import Any, get_args

import click

from streaming_operator.cli.flags import PEM, output_option
from streaming_operator.probe.http.request import Api

_HELP = """
Say whether a completion streams from URL, and if not, why.

URL is the address of any OpenAI-compatible server: its base, its /v1, or the whole path; OPENAI_BASE_URL if none
is given. The same request is sent with and without gzip, and repeated where the verdict is not certain. On a
terminal the arrivals are drawn while they happen. Several URLs are probed one after the other, with one table.

\b
Examples:
  streamctl probe http://localhost:8000
  streamctl probe https://llm.example.com --model tiny --api-key-env LLM_KEY
  streamctl probe https://llm.example.com/v1/responses --http2
  streamctl probe https://llm.example.com --via 10.0.0.7:443 --ca ca.pem
  streamctl probe https://llm.example.com --compare http://10.1.2.3:8000 --output html > report.html
  streamctl probe https://llm.example.com --runs 5 --max-ttft 2 --output junit > streaming.xml
  streamctl probe https://gateway.example.com --header "X-Api-Key: $GATEWAY_KEY" --cert me.pem --key me.key
  streamctl probe https://a.example.com https://b.example.com --watch --interval 60

\b
Exit codes:
  0 streaming   1 not streaming   2 wrong usage   3 inconclusive   4 could not connect
  of several URLs, and of all probes of --watch, the worst

\b
Environment:
  OPENAI_BASE_URL   URL if none is given
  OPENAI_API_KEY    key for the server of OPENAI_BASE_URL, or for api.openai.com; sent to no other
  HTTPS_PROXY, ALL_PROXY, NO_PROXY   proxy for https URLs, by CONNECT
"""


@click.command(help=_HELP)
@click.argument("urls", metavar="[URL]...", nargs=-1)
@click.option("--model", help="Model to use; by default the first of /v1/models.")
@click.option("--api-key-env", metavar="VAR", help="Environment variable that holds the API key.")
@click.option(
    "--header",
    "given_headers",
    metavar="NAME:VALUE",
    multiple=True,
    help="Header for every request; may be repeated. Its value is shown nowhere.",
)
@click.option(
    "--via", metavar="IP[:PORT]", help="Connect here, with URL's host as Host header and server name."
)
@click.option(
    "--api",
    type=click.Choice(get_args(Api)),
    help="API to use; by default that of URL's path, else chat.",
)
@click.option("--http2", is_flag=True, help="Use HTTP/2: by ALPN, or by prior knowledge without TLS.")
@click.option("--ca", type=PEM, help="PEM file of the CAs to trust instead of the system's.")
@click.option("--cert", type=PEM, help="PEM file of the client certificate, with its chain.")
@click.option("--key", type=PEM, help="PEM file of its private key, if --cert does not hold it.")
@click.option(
    "--insecure", is_flag=True, help="Accept every certificate: the report is then about whoever answered."
)
@click.option(
    "--compare",
    metavar="URL",
    help="The same service nearer to the model server, or the server itself: probed too, as the control.",
)
@click.option(
    "--max-tokens",
    type=click.IntRange(16, 8192),
    default=1024,
    show_default=True,
    help="Most tokens to request.",
)
@click.option(
    "--max-ttft",
    metavar="SECONDS",
    type=click.FloatRange(0, 3600, min_open=True),
    help="Limit for the first token; later is TTFTExceeded.",
)
@click.option(
    "--max-gap",
    metavar="SECONDS",
    type=click.FloatRange(0, 3600, min_open=True),
    help="Limit between two tokens; longer is ChunkGapExceeded.",
)
@click.option(
    "--runs",
    type=click.IntRange(1, 1000),
    default=1,
    show_default=True,
    help="Number of verifications; the worst decides.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(1, 3600),
    default=120.0,
    show_default=True,
    help="Limit for one stream, in seconds.",
)
@click.option(
    "--watch", is_flag=True, help="Probe again and again, one line each; Ctrl-C ends with a summary."
)
@click.option(
    "--interval",
    metavar="SECONDS",
    type=click.FloatRange(0, 86400),
    default=10.0,
    show_default=True,
    help="Pause between two probes of --watch.",
)
@click.option(
    "--verbose", is_flag=True, help="Print the heads of requests and responses to stderr, secrets masked."
)
@output_option
@click.option(
    "--metrics-textfile",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write metrics for Prometheus' textfile collector.",
)
def probe(**given: Any) -> None:
    """Leave all of it to `probing`, which is imported now."""
    from streaming_operator.cli.probing import probe_urls

    probe_urls(**given)
