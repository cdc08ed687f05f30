"""Lists of any length, page by page."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

from streaming_operator.kube.client import Transport

PAGE = "500"
"""Objects on one page: a second's work for the API server, and a few megabytes."""


async def pages(
    transport: Transport,
    path: str,
    doing: str,
    *,
    query: Mapping[str, str] | None = None,
    accept: str | None = None,
) -> AsyncIterator[dict[str, Any]]:
    """Every page of a list, in order; all of them show the objects at one version."""
    query = {**(query or {}), "limit": PAGE}
    while True:
        page: dict[str, Any] = await transport.get(path, doing, query=query, accept=accept)
        yield page
        more = page["metadata"].get("continue")
        if not more:
            return
        query = {**query, "continue": more}
