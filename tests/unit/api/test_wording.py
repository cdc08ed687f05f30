"""What a refusal says to the one who wrote the file."""

from typing import Any

import pytest

from streaming_operator.api.endpoint import InvalidEndpoint, StreamingEndpoint
from tests.apiserver.documents import BASES, document, dotted, edited
from tests.apiserver.rows import PATTERNS


def refusal(edits: dict[str, Any]) -> tuple[str, ...]:
    """The problems of an endpoint with these values."""
    body = edited(document(BASES["ingress"]), *((dotted(path), value) for path, value in edits.items()))
    with pytest.raises(InvalidEndpoint) as refused:
        StreamingEndpoint.from_body(body)
    return refused.value.problems


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("spec.imagePullSecrets", [{"name": "regcred"}], "[0]: the name itself, not {name: ...}"),
        ("spec.engine.args", "--enforce-eager", ": must be a list"),
        ("spec.engine.env", {"A": "b"}, ": must be a list"),
        ("spec.tolerations", {"key": "x"}, ": must be a list"),
        ("spec.gpu.count", "1", ": must be a whole number, without quotes"),
        ("spec.suspend", "yes", ": must be true or false, without quotes"),
        ("spec.resources.requests", {"cpu": 0.5},
         ".cpu: a quantity is a whole number or text: '0.5' in quotes, or 500m"),
        ("spec.resources.requests", {"cpu": "4 cores"}, ".cpu: must be a quantity, such as 4, 500m, '0.5' or 16Gi"),
        ("spec.nodeSelector", {"gpu": True}, ".gpu: must be text: put it in quotes"),
        ("spec.podMetadata.annotations", {"scrape": True}, ".scrape: must be text: put it in quotes"),
        ("spec.podMetadata.annotations", ["a"], ": must be a map of names and values"),
        ("spec.gpu", 1, ": must be an object"),
        ("spec.replicas", -1, ": must be greater than or equal to 0"),
        ("spec.verification.request.api", "completions", ": must be 'Chat', 'Completions' or 'Responses'"),
        ("spec.exposure.host", "https://llm.example.com",
         ": must be a DNS name of lower case letters, digits, '-' and '.', without scheme, port or path"),
    ],
)  # fmt: skip
def test_habits_of_other_formats_are_answered_in_words(field: str, value: Any, said: str) -> None:
    """One message a field, which says what to write there."""
    assert refusal({field: value}) == (f"{field}{said}",)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_no_message_shows_a_pattern(pattern: str) -> None:
    """Each pattern of the resource is put into words."""
    from streaming_operator.api.wording import ALLOWED

    assert pattern not in ALLOWED[pattern]
