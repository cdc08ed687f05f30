"""Lists of any length, page by page; no page is larger than what may be held at once."""

from collections.abc import AsyncIterator, Mapping

from streaming_operator.errors import TooLarge
from streaming_operator.kube.client import Transport
from streaming_operator.kube.decode import Page

PAGE = 250
"""Objects on one page: half a second's work for the API server, and a few megabytes."""

SMALLER = 8
"""By how much a page gets smaller that was larger than `client.LARGEST_PAGE`; the next ones grow again."""


async def pages(
    transport: Transport,
    path: str,
    doing: str,
    *,
    query: Mapping[str, str] | None = None,
    accept: str | None = None,
) -> AsyncIterator[Page]:
    """Every page of a list, in order; all of them show the objects at one version."""
    limit, more = PAGE, ""
    while True:
        asked = {**(query or {}), "limit": str(limit), **({"continue": more} if more else {})}
        try:
            page = await transport.page(path, doing, query=asked, accept=accept)
        except TooLarge:
            if limit == 1:
                raise
            limit = max(1, limit // SMALLER)
            continue
        more = str(page.metadata.get("continue") or "")
        yield page
        del page  # not held while the next one is read
        if not more:
            return
        limit = min(PAGE, limit * 2)
