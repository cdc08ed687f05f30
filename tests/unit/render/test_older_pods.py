"""What is said of pods that an earlier version of the operator has made."""

import pytest

from streaming_operator import render
from streaming_operator.api.endpoint import POD_VERSION, StreamingEndpoint

UNCHECKED = "do not check what is asked for from outside"
CLOSING = "close idle connections after 5 s"


@pytest.mark.parametrize(
    ("version", "lacks"), [(1, {UNCHECKED, CLOSING}), (2, {CLOSING}), (3, {CLOSING}), (POD_VERSION, set())]
)
def test_older_pods_are_told_by_what_they_lack(version: int, lacks: set[str]) -> None:
    """And by how the newest ones are had; nothing is said of those."""
    body = {"metadata": {"name": "chat"}, "spec": {"model": {"source": {"huggingFace": {"repo": "a/b"}}}}}
    endpoint = StreamingEndpoint.from_body(body).model_copy(update={"pod_version": version})
    note = render.engine_note(endpoint) or ""

    assert {words for words in (UNCHECKED, CLOSING) if words in note} == lacks
    assert ("spec.podMetadata.annotations" in note) == bool(lacks)
