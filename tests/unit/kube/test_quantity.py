"""Amounts as Kubernetes writes them."""

import pytest

from streaming_operator.kube.quantity import quantity


@pytest.mark.parametrize(
    ("text", "same"),
    [("1", "1000m"), ("0.5", "500m"), ("1Ki", "1024"), ("1k", "1000"), ("1e3", "1k"), ("128974848", "123Mi")],
)
def test_quantities_are_read_as_kubernetes_reads_them(text: str, same: str) -> None:
    """Both spellings are one amount."""
    assert quantity(text) == quantity(same)


@pytest.mark.parametrize("text", ["", "one", "1.2.3", "Gi", "/v1"])
def test_other_text_is_no_quantity(text: str) -> None:
    """What the official reader refuses is none."""
    assert quantity(text) is None
