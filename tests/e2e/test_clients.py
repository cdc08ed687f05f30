"""The clients that people use, through the real ingress-nginx; the other edges have files of their own."""

from pathlib import Path

import pytest

from tests.cluster import kind
from tests.e2e import clients
from tests.e2e.endpoints import Endpoint
from tests.e2e.streams import EdgeAddress


@pytest.mark.programs("nodejs", "chromium")
def test_sdks_and_a_page_read_and_leave_through_ingress_nginx(endpoint: Endpoint, tmp_path: Path) -> None:
    """OpenAI's SDKs, the AI SDK, Node's fetch and a page in a browser."""
    endpoint.apply(endpoint.double(engine={"args": clients.ANY_ORIGIN}))
    endpoint.await_ready(180)
    clients.read_and_leave(EdgeAddress(kind.address()), endpoint, tmp_path / "browser")
