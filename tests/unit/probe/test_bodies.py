"""Bodies that are coded or framed in ways that nobody asked for: read where that is possible, named where it is not."""

import itertools
import sys
import zlib
from types import SimpleNamespace

import brotli
import pytest
import zstandard

from streaming_operator.api.reasons import Verdict
from streaming_operator.api.symptoms import Symptom
from streaming_operator.probe.http.codings import SLICE, decoder
from streaming_operator.probe.judge.finding import Attempt, Finding
from streaming_operator.probe.judge.verdict import judge
from tests.unit.probe.streams import DONE, LAST, Read, chunk, paced, record, token, usage

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n"
TEXTS = [token()] * 63 + [token("x", "length") + usage(64) + DONE]


def judged(coding: bytes, pieces: list[bytes]) -> Finding:
    """The finding on 64 tokens that came evenly in these pieces, a chunk each."""
    reads: list[Read] = [(0.01, HEAD + b"content-encoding: " + coding + b"\r\n\r\n")]
    reads += [(at, chunk(piece)) for at, piece in zip(paced(64, 0.02), pieces, strict=True)]
    return judge(Attempt(record([*reads, (1.5, LAST)])))


def deflated(bits: int) -> list[bytes]:
    engine = zlib.compressobj(wbits=bits)
    return [engine.compress(text) + engine.flush(zlib.Z_SYNC_FLUSH) for text in TEXTS]


@pytest.mark.parametrize("coding", [b"none", b"utf-8", b"", b"identity, none"])
def test_a_word_that_is_no_coding_is_passed_over(coding: bytes) -> None:
    """As browsers and the official clients do."""
    finding = judged(coding, TEXTS)
    assert finding.verdict is Verdict.STREAMING
    assert [remark.name for remark in finding.remarks] == ["unusual Content-Encoding"] * bool(coding)


@pytest.mark.parametrize("bits", [15, -15], ids=["zlib", "bare"])
def test_deflate_is_read_in_both_of_its_forms(bits: int) -> None:
    """Servers send either."""
    assert judged(b"deflate", deflated(bits)).verdict is Verdict.STREAMING


def brotlied() -> list[bytes]:
    engine = brotli.Compressor()
    return [engine.process(text) + engine.flush() for text in TEXTS]


def zstandarded() -> list[bytes]:
    engine = zstandard.ZstdCompressor().compressobj()
    return [engine.compress(text) + engine.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK) for text in TEXTS]


@pytest.mark.parametrize(
    ("coding", "pieces"), [(b"br", brotlied()), (b"zstd", zstandarded())], ids=["br", "zstd"]
)
def test_a_coding_that_a_package_can_read(coding: bytes, pieces: list[bytes]) -> None:
    """With the extra `codings` the tokens are read as they come, and the coding is remarked."""
    finding = judged(coding, pieces)
    assert (finding.verdict, [remark.name for remark in finding.remarks]) == (
        Verdict.STREAMING,
        ["unusual Content-Encoding"],
    )


@pytest.mark.parametrize(
    ("coding", "damaged", "bomb"),
    [
        (b"br", b"\xff no brotli", brotli.compress(b"x" * 999 + bytes(50_000_000), quality=1)),
        (b"zstd", b"no frame of zstd", zstandard.compress(bytes(50_000_000))),
    ],
    ids=["br", "zstd"],
)
def test_a_damaged_or_enormous_body_of_a_package(coding: bytes, damaged: bytes, bomb: bytes) -> None:
    """Damage is named; of a small body that would fill the memory no more is decoded than is read of one response."""
    assert judged(coding, [damaged] * 64).symptom is Symptom.UNREADABLE
    decode = decoder(coding.decode())
    assert max(len(plain) for plain in itertools.islice(decode(bomb), 32)) <= 2 * SLICE
    head = HEAD + b"content-encoding: " + coding + b"\r\n\r\n"
    assert judge(Attempt(record([(0.01, head), (0.1, chunk(bomb))]))).symptom is Symptom.TOO_LARGE


def test_bytes_of_no_format_under_a_coding() -> None:
    """What happens to decode is no stream all the same, and the coding is named with it."""
    engine = brotli.Compressor()
    finding = judged(b"br", [engine.process(b"noise\n") + engine.flush() for _ in range(64)])
    assert finding.symptom is Symptom.UNREADABLE
    assert "under Content-Encoding br, which was not asked for, none in the format" in finding.evidence


def test_a_brotli_without_a_limit_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before version 1.2 it decodes everything at once: the coding is named as if it were not there."""
    monkeypatch.setitem(sys.modules, "brotli", SimpleNamespace(Decompressor=object))
    finding = judged(b"br", brotlied())
    assert (finding.symptom, "extra codings" in finding.evidence) == (Symptom.UNREADABLE, True)


@pytest.mark.parametrize("coding", [b"br", b"zstd", b"compress"])
def test_a_coding_that_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch, coding: bytes) -> None:
    """Nothing was cut: it is the coding that nobody asked for."""
    for name in ("brotli", "zstandard"):
        monkeypatch.setitem(sys.modules, name, None)
    finding = judged(coding, [b"\x8b" * 60] * 64)
    assert (finding.verdict, finding.symptom) == (Verdict.UPSTREAM_ERROR, Symptom.UNREADABLE)
    assert f"Content-Encoding {coding.decode()} was not asked for" in finding.evidence


@pytest.mark.parametrize(
    ("coding", "said"), [(b"gzip", "says gzip, but the body is not compressed"), (b"deflate", "is damaged")]
)
def test_a_coding_in_name_only(coding: bytes, said: str) -> None:
    """A proxy decompressed the body and left the header."""
    finding = judged(coding, TEXTS)
    assert (finding.symptom, said in finding.evidence) == (Symptom.UNREADABLE, True)


@pytest.mark.parametrize("first", [b"data: {}\n", b"\n\ndata", b"6g\r\n"])
def test_chunks_in_name_only(first: bytes) -> None:
    """The head says chunked, the body is not: named at once, whether or not a line ends."""
    finding = judge(Attempt(record([(0.1, HEAD + b"\r\n"), (0.2, first), (0.3, b"data: x\n\n")])))
    assert (finding.verdict, finding.symptom) == (Verdict.UPSTREAM_ERROR, Symptom.UNREADABLE)


@pytest.mark.parametrize("size", [b"5", b"5;name=v", b"5 ", b"0005"])
def test_heads_of_chunks_that_are_split(size: bytes) -> None:
    """A head that comes in pieces is one all the same."""
    line = b": abcdef\n\n"[:5]
    reads = [(0.1, HEAD + b"\r\n"), *((0.2, size[at : at + 1]) for at in range(len(size)))]
    t = record([*reads, (0.3, b"\r\n" + line + b"\r\n"), (0.4, LAST)])
    assert t.broken == ""


def test_chunks_within_chunks() -> None:
    """Framed twice: the events are there between lines with numbers, which are shown."""
    finding = judged(b"identity", [chunk(text) for text in TEXTS])
    assert finding.verdict is Verdict.STREAMING
    assert "no known format" in finding.remarks[0].observed


def test_events_within_events() -> None:
    """`data: data: {...}`: no token is read, and the first of them is quoted."""
    finding = judged(b"identity", [text.replace(b"data:", b"data: data:") for text in TEXTS])
    assert (finding.verdict, finding.symptom) == (Verdict.UPSTREAM_ERROR, Symptom.UNREADABLE)
    assert 'the first: data: {"choices"' in finding.evidence


@pytest.mark.parametrize("text", [b'{"message": {"content": "x"}, "done": false}\n', b"<p>busy</p>\n"])
def test_a_body_that_is_no_event_stream(text: bytes) -> None:
    """JSON lines or HTML under text/event-stream: counted and quoted, safe for a terminal."""
    finding = judged(b"identity", [b"\x1b[2J" + text] * 64)
    assert (finding.verdict, finding.symptom) == (Verdict.UPSTREAM_ERROR, Symptom.UNREADABLE)
    assert "64 events or lines" in finding.evidence
    assert finding.evidence.isprintable()
