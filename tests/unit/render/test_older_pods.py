"""What is said of pods that an earlier version of the operator has made."""

from typing import Any

import pytest

from streaming_operator import render
from streaming_operator.api.endpoint import POD_VERSION, StreamingEndpoint

UNCHECKED = "do not check what is asked for from outside"
CLOSING = "close idle connections after 5 s"


SET = {"env": [{"name": "VLLM_HTTP_TIMEOUT_KEEP_ALIVE", "value": "75"}]}


@pytest.mark.parametrize(
    ("version", "engine", "lacks"),
    [
        (1, {}, {UNCHECKED, CLOSING}),
        (1, SET, {UNCHECKED}),
        (2, {}, {CLOSING}),
        (3, {}, {CLOSING}),
        (3, SET, set()),
        (POD_VERSION, {}, set()),
    ],
)
def test_older_pods_are_told_by_what_they_lack(version: int, engine: dict[str, Any], lacks: set[str]) -> None:
    """And by how the newest ones are had; nothing is said of those, nor of what the spec has set by itself."""
    spec = {"model": {"source": {"huggingFace": {"repo": "a/b"}}}, "engine": engine}
    body = {"metadata": {"name": "chat"}, "spec": spec}
    endpoint = StreamingEndpoint.from_body(body).model_copy(update={"pod_version": version})
    note = render.engine_note(endpoint) or ""

    assert {words for words in (UNCHECKED, CLOSING) if words in note} == lacks
    assert ("spec.podMetadata.annotations" in note) == bool(lacks)
