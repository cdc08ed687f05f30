"""Names, labels and owners of children."""

import pytest

from streaming_operator.api import naming
from streaming_operator.api.endpoint import NAME_MAX_LENGTH, StreamingEndpoint
from tests.apiserver.documents import MINIMAL, document, edited


def _endpoint(name: str = "qwen", uid: str = "u-1") -> StreamingEndpoint:
    return StreamingEndpoint.from_body(edited(document(MINIMAL, name), (("metadata", "uid"), uid)))


def test_the_selector_is_part_of_the_labels() -> None:
    """A Deployment whose selector misses its own pods would be refused."""
    endpoint = _endpoint()
    assert naming.selector(endpoint).items() <= naming.labels(endpoint).items()


def test_labels_know_no_version() -> None:
    """A label that changes with the operator would restart every GPU at an upgrade."""
    assert naming.labels(_endpoint()) == {
        "app.kubernetes.io/name": "streaming-endpoint",
        "app.kubernetes.io/instance": "qwen",
        "app.kubernetes.io/managed-by": "streaming-operator",
        "streamingendpoints.dev/endpoint": "qwen",
    }


def test_the_endpoint_controls_its_children() -> None:
    """The garbage collector deletes the children, and none of them can hold the endpoint up."""
    (owner,) = naming.metadata(_endpoint())["ownerReferences"]
    assert (owner["controller"], owner["blockOwnerDeletion"], owner["uid"]) == (True, False, "u-1")


def test_an_endpoint_of_a_file_owns_nothing() -> None:
    """An owner without a uid would be refused by the API server."""
    assert "ownerReferences" not in naming.metadata(_endpoint(uid=""))


def test_the_longest_name_leaves_room() -> None:
    """The longest endpoint name and the longest suffix in use fit a Service's name."""
    longest = _endpoint("a" * NAME_MAX_LENGTH)
    assert len(naming.child_name(longest, "engine-0123456789"[:16])) == 62
    with pytest.raises(ValueError, match="longer than 63"):
        naming.child_name(longest, "x" * 18)
