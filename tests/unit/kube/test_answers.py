"""What an answer of the API server becomes."""

from typing import Any

import pytest

from streaming_operator.errors import (
    ClusterError,
    Conflict,
    Expired,
    Forbidden,
    KindMissing,
    NamespaceGone,
    NotFound,
    Rejected,
    Unreachable,
)
from streaming_operator.kube.answers import LONGEST_MESSAGE, error_of, retry_after

RBAC = 'services is forbidden: User "system:serviceaccount:a:b" cannot list resource "services"'
ENDING = {"message": "x is being terminated", "details": {"causes": [{"reason": "NamespaceTerminating"}]}}


@pytest.mark.parametrize(
    ("code", "body", "error"),
    [
        (400, {"message": "unknown field"}, Rejected),
        (403, {"message": RBAC}, Forbidden),
        (403, {"message": "exceeded quota: services=1"}, Rejected),
        (403, ENDING, NamespaceGone),
        (404, {"message": 'services "x" not found', "details": {"name": "x", "kind": "services"}}, NotFound),
        (404, {"message": "not found", "details": {"name": "demo", "kind": "namespaces"}}, NamespaceGone),
        (404, "404 page not found\n", KindMissing),
        (404, {"message": "the server could not find the requested resource", "details": {}}, KindMissing),
        (409, {"message": "conflict"}, Conflict),
        (410, {"message": "expired"}, Expired),
        (422, {"message": "invalid"}, Rejected),
        (500, {"message": "etcd leader changed"}, Unreachable),
        (503, "upstream down", Unreachable),
    ],
)
def test_each_answer_becomes_the_error_of_its_meaning(
    code: int, body: Any, error: type[ClusterError]
) -> None:
    """One code means several things: 403 RBAC, quota or an ending namespace, 404 an object, a kind or a namespace."""
    actual = error_of(code, body, "write Service demo/chat")

    assert type(actual) is error
    assert "write Service demo/chat" in str(actual)


def test_a_long_answer_is_cut() -> None:
    """A condition holds a sentence, not a page."""
    assert len(str(error_of(500, "x" * 9999, "read"))) < LONGEST_MESSAGE + 100


@pytest.mark.parametrize(
    ("header", "seconds"), [("3", 3), (None, 1), ("Wed, 21 Oct", 1), ("9999", 30), ("0", 0.1)]
)
def test_retry_after_is_honoured_within_reason(header: str | None, seconds: float) -> None:
    """A header that asks for an hour, or cannot be read, does not stop the operator."""
    assert retry_after(header) == seconds
