"""Values that are kept packed read as they were, whatever came before them."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming_operator.kube.packing import MOST_TEMPLATES, WINDOW, Packer

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=20,
)


@given(st.lists(VALUES, max_size=2 * MOST_TEMPLATES))
def test_every_value_reads_as_it_was(values: list[object]) -> None:
    """Any JSON in any order: the first of their form, those after it, and those of no known form."""
    packer = Packer()
    packed = [packer.pack(orjson.dumps(value)) for value in values]
    assert [one.unpack() for one in packed] == values


@pytest.mark.parametrize("size", [0, WINDOW - 10, WINDOW, 10 * WINDOW])
def test_values_larger_than_what_zlib_looks_back_are_kept_whole(size: int) -> None:
    """Only their end is a template."""
    packer = Packer()
    values = [{"name": name, "text": name * size} for name in "abc"]
    assert [packer.pack(orjson.dumps(value)).unpack() for value in values] == values


def test_values_of_one_form_take_a_fraction() -> None:
    """Names and numbers differ, the rest is there once."""
    packer = Packer()
    texts = [orjson.dumps({f"field {n}": f"{name} {n}" for n in range(100)}) for name in ("one", "two")]
    first, second = (packer.pack(text) for text in texts)
    assert len(first) * 20 < len(texts[0])
    assert len(second) * 4 < len(texts[1])


def test_objects_of_a_second_form_find_their_template() -> None:
    """An update changes the scripts in a ConfigMap: both versions are there for a while, and both are small."""
    packer = Packer()
    forms = [orjson.dumps({str(n): str(n * factor) for n in range(300)}) for factor in (1, 12345, 1)]
    for text in forms * 3:
        assert len(packer.pack(text)) * 4 < len(text)
