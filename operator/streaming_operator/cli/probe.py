"""
`streamctl probe URL`: the operator's probe for people and pipelines, without a cluster.

Its options alone, so that --help and TAB answer at once; what they lead to is `verify`.
"""

from pathlib import Path
from typing import Any, get_args

import click

from streaming_operator.cli.flags import PEM, output_option
from streaming_operator.probe.http.request import Api

_HELP = """
Say whether a completion streams from URL, and if not, why.

URL is the address of any OpenAI-compatible server: its base, its /v1, or the whole path. The same request is
sent with and without gzip, and repeated where the verdict is not certain. On a terminal the arrivals are drawn
while they happen.

\b
Examples:
  streamctl probe http://localhost:8000
  streamctl probe https://llm.example.com --model tiny --api-key-env LLM_KEY
  streamctl probe https://llm.example.com/v1/responses --http2
  streamctl probe https://llm.example.com --via 10.0.0.7:443 --ca ca.pem
  streamctl probe https://llm.example.com --compare http://10.1.2.3:8000 --output html > report.html
  streamctl probe https://llm.example.com --runs 5 --max-ttft 2 --output junit > streaming.xml

\b
Exit codes:
  0 streaming   1 not streaming   2 wrong usage   3 inconclusive   4 could not connect
"""


@click.command(help=_HELP)
@click.argument("url")
@click.option("--model", help="Model to use; by default the first of /v1/models.")
@click.option("--api-key-env", metavar="VAR", help="Environment variable that holds the API key.")
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
@output_option
@click.option(
    "--metrics-textfile",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write metrics for Prometheus' textfile collector.",
)
def probe(**given: Any) -> None:
    """Leave all of it to `verify`, which is imported now."""
    from streaming_operator.cli.verify import probe_url

    probe_url(**given)
