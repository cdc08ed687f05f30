"""The event stream parser against the WHATWG text."""

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming_operator.probe.stream.sse import Comment, Event, Item, Parser, Stray


def parse(*reads: bytes) -> list[Item]:
    parser = Parser()
    return [item for read in reads for item in parser.feed(read)]


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        pytest.param(b"data: a\n\n", [Event("a")], id="LF"),
        pytest.param(b"data: a\r\n\r\n", [Event("a")], id="CRLF"),
        pytest.param(b"data: a\r\r", [Event("a")], id="CR"),
        pytest.param(b"data: a\r\n\ndata: b\n\r\n", [Event("a"), Event("b")], id="mixed line ends"),
        pytest.param(b"data:a\n\n", [Event("a")], id="no space"),
        pytest.param(b"data:  a\n\n", [Event(" a")], id="only one space is dropped"),
        pytest.param(b"data\n\n", [Event("")], id="field without a colon"),
        pytest.param(b"data: a\ndata: b\n\n", [Event("a\nb")], id="several data lines"),
        pytest.param(b"data: a\n\ndata: b\n\n", [Event("a"), Event("b")], id="several events a read"),
        pytest.param(b": ping\n\n", [Comment("ping")], id="comment"),
        pytest.param(
            b":\n:ping\ndata: a\n\n", [Comment(""), Comment("ping"), Event("a")], id="comments and event"
        ),
        pytest.param(
            b"event: x\ndata: a\n\ndata: b\n\n", [Event("a", "x"), Event("b")], id="type is for one event"
        ),
        pytest.param(
            b"event: x\n\ndata: b\n\n", [Event("b")], id="no data, no event, and its type is forgotten"
        ),
        pytest.param(
            b"id: 1\nretry: 5\nfoo: bar\ndata: a\n\n", [Stray("foo: bar"), Event("a")], id="other fields"
        ),
        pytest.param(b"error: {}\n\n", [Event("{}", "error")], id="llama.cpp's field"),
        pytest.param(b"<html>\n\n", [Stray("<html>")], id="no field at all"),
        pytest.param(b"\xef\xbb\xbfdata: a\n\n", [Event("a")], id="BOM"),
        pytest.param(
            b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\ndata: b\n\n",
            [Stray("\ufeffdata: a"), Event("b")],
            id="only one BOM is dropped",
        ),
        pytest.param(b"data: \xff\n\n", [Event("\ufffd")], id="invalid UTF-8"),
        pytest.param(b"\xef\xbb\xbf\ndata: a\n\n", [Event("a")], id="BOM on a line of its own"),
        pytest.param(b"\ndata: a\n\n", [Event("a")], id="blank line first"),
        pytest.param(b"data:\n\n", [Event("")], id="empty data is an event"),
        pytest.param(b"data:\ndata:\n\n", [Event("\n")], id="two empty lines of data"),
        pytest.param(
            b"data : a\n Data: a\nDATA: a\n\n",
            [Stray("data : a"), Stray(" Data: a"), Stray("DATA: a")],
            id="a field's name is taken literally",
        ),
        pytest.param(b"event:\ndata: a\n\n", [Event("a")], id="empty type is the usual one"),
        pytest.param(b"event: x\nevent: y\ndata: a\n\n", [Event("a", "y")], id="the last type counts"),
        pytest.param(b"id: \x00\nretry: soon\nid\ndata: a\n\n", [Event("a")], id="malformed id and retry"),
        pytest.param(b"data: a: b\n\n", [Event("a: b")], id="only the first colon parts"),
        pytest.param(b"data: \xe2\x82\n\n", [Event("\ufffd")], id="character cut by a line end"),
        pytest.param("data: \x85\u2028a\n\n".encode(), [Event("\x85\u2028a")], id="other line separators"),
        pytest.param(b"data: a", [], id="no final blank line, no event"),
        pytest.param(b"data: a\n", [], id="one line end is not a blank line"),
        pytest.param("data: €\n\n".encode(), [Event("€")], id="UTF-8"),
    ],
)
def test_text_of_the_standard(raw: bytes, expected: list[Item]) -> None:
    """Each rule of the text holds, in one read and byte by byte."""
    assert parse(raw) == expected
    assert parse(*(raw[i : i + 1] for i in range(len(raw)))) == expected


def test_event_does_not_wait_for_lf_after_cr() -> None:
    """CR ends a line at once: whether an LF follows must not delay what has arrived."""
    parser = Parser()
    assert parser.feed(b"data: a\r\r") == [Event("a")]
    assert parser.feed(b"\ndata: b\r\n\r\n") == [Event("b")]


def test_unfinished_event_can_be_seen() -> None:
    """What a missing final blank line holds back is kept for the question whether [DONE] was sent."""
    parser = Parser()
    assert parser.feed(b"data: [DONE]") == []
    assert parser.unfinished() == "[DONE]"
    assert parser.feed(b"\n") == []
    assert parser.unfinished() == "[DONE]"
    assert parser.feed(b"\n") == [Event("[DONE]")]
    assert parser.unfinished() is None


def reference(raw: bytes) -> list[Item]:
    """The text read literally, over the whole stream at once; what it ignores is given out as well."""
    text = raw.decode("utf-8", "replace").removeprefix("\ufeff")
    lines = re.split(r"\r\n|\r|\n", text)
    items: list[Item] = []
    data, kind = "", ""
    for line in lines[:-1]:  # what follows the last line end is no line yet
        if line == "":
            if data:
                items.append(Event(data[:-1], kind or "message"))
            data, kind = "", ""
        elif line.startswith(":"):
            items.append(Comment(line[1:].removeprefix(" ")))
        else:
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if name == "data":
                data += value + "\n"
            elif name == "event":
                kind = value
            elif name == "error" and value:
                items.append(Event(value, "error"))
            elif name not in ("id", "retry"):
                items.append(Stray(line))
    return items


PIECES = st.sampled_from(
    [
        b"data",
        b"event",
        b":",
        b" ",
        b"\n",
        b"\r",
        b"\r\n",
        b"\n\n",
        b"x",
        "€🙂".encode(),
        b"\xef\xbb\xbf",
        b"\xff",
        b"id",
    ]
)
STREAMS = st.lists(PIECES | st.binary(max_size=6), max_size=40).map(b"".join)


@given(raw=STREAMS)
def test_unfinished_is_what_a_blank_line_would_give(raw: bytes) -> None:
    """What the end of the stream cuts off is exactly the event that one more blank line would have made."""
    parser = Parser()
    items = parser.feed(raw)
    more = [item for item in reference(raw + b"\n\n\n")[len(items) :] if isinstance(item, Event)]
    assert [data for data in [parser.unfinished()] if data is not None] == [item.data for item in more]


@given(raw=STREAMS)
def test_byte_by_byte(raw: bytes) -> None:
    """The worst split of all."""
    assert parse(*(raw[i : i + 1] for i in range(len(raw)))) == reference(raw)


@given(raw=STREAMS, cuts=st.lists(st.integers(0, 200), max_size=12))
def test_any_split_gives_the_same_events(raw: bytes, cuts: list[int]) -> None:
    """How the network cuts the bytes changes nothing, and what comes out is what the text says."""
    edges = sorted({0, len(raw), *(cut for cut in cuts if cut < len(raw))})
    split = [raw[a:b] for a, b in itertools.pairwise(edges)]
    assert parse(*split) == reference(raw)
