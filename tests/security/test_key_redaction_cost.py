"""Hiding a key in what a server sends costs time that is linear in the bytes, whatever key and answer are."""

from collections.abc import Callable

import pytest

from streaming_operator.probe.http.request import LONGEST_KEY, ApiKey
from tests.security.timing import MOST, growth

TEXTS = {
    "key repeated": lambda size: "a" * size,
    "almost the key": lambda size: "a" * (size - 1) + "c",
    "beginnings of the key": lambda size: ("a" * 63 + "c") * (size // 64),
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_hiding_a_key_is_linear(text: Callable[[int], str]) -> None:
    """Key and answer four times as long take about four times as long; 30,000 characters took 54 s."""

    def work(size: int) -> None:
        ApiKey("a" * (size - 1) + "b").hidden_in(text(size))

    assert growth(work, 16 * 1024) < MOST


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("key sk-abcdefgh is wrong", "key *** is wrong"),
        ("wrong key sk-abcd", "wrong key ***"),
        ("wrong key sk-", "wrong key sk-"),
        ("sk-sk-abcdefg", "sk-***"),
        ("sk-abcdefgh", "***"),
        ("sk-abcdefgh sk-abcdefgh sk-abcde", "*** *** ***"),
    ],
)
def test_whole_and_cut_off_keys_are_hidden(text: str, expected: str) -> None:
    """What is hidden has not changed: the key, and at the end of a text a beginning of it of 4 characters or more."""
    assert ApiKey("sk-abcdefgh").hidden_in(text) == expected


def test_key_that_no_server_accepts_is_not_sent() -> None:
    """A Secret's value may have 1 MiB."""
    assert ApiKey("a" * LONGEST_KEY).is_sendable
    assert not ApiKey("a" * (LONGEST_KEY + 1)).is_sendable
