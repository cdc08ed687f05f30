"""The bench's yardstick: what it takes from packets, and how it holds a client against it."""

import socket
import struct
import sys
from pathlib import Path

import pytest

from streaming_operator.probe.stream.timeline import Timeline
from tests.bench import compare, packets, probes
from tests.bench.capture import PCAP, RECORD, Capture, Unavailable
from tests.engines.running import RunningEngine
from tests.unit.probe.streams import DONE, HEAD, LAST, chunk, record, token

CLIENT, SERVER = 40000, 8000
REQUEST = b'POST / HTTP/1.1\r\n\r\n{"messages": [{"content": "[n-1] Count"}]}'
BEGIN = HEAD + b"transfer-encoding: chunked\r\n\r\n"


def packet(
    at: float, source: int, destination: int, sequence: int, payload: bytes, kept: int = 4096
) -> bytes:
    """One record of a capture: IPv4 and TCP without options, then the payload."""
    ip = struct.pack(
        ">BBHHHBBH4s4s", 0x45, 0, 40 + len(payload), 0, 0, 64, 6, 0, b"\x7f\0\0\1", b"\x7f\0\0\1"
    )
    tcp = struct.pack(">HHIIBBHHH", source, destination, sequence, 0, 0x50, 0, 0, 0, 0)
    data = (ip + tcp + payload)[:kept]
    stamp = (int(at), round(at % 1 * 1e9))
    return RECORD.pack(*stamp, len(data), 40 + len(payload)) + data


def asked(at: float, payload: bytes = REQUEST) -> bytes:
    return packet(at, CLIENT, SERVER, 1, payload)


def answered(at: float, sequence: int, payload: bytes, kept: int = 4096) -> bytes:
    return packet(at, SERVER, CLIENT, sequence, payload, kept)


def test_event_has_the_time_of_the_packet_that_completed_it() -> None:
    """A head, a token in one packet, a token cut in two: times count from the request's last packet."""
    first, second = chunk(token()), chunk(token()) + chunk(DONE) + LAST
    capture = PCAP + asked(10.0, REQUEST[:9]) + asked(10.25, REQUEST[9:]) + answered(10.5, 1, BEGIN)
    capture += (
        answered(11.0, 900, first) + answered(11.5, 950, second[:20]) + answered(12.0, 970, second[20:])
    )
    (exchange,) = packets.exchanges(capture, {SERVER})
    timeline = exchange.timeline()
    assert (
        exchange.nonce,
        timeline.head_at,
        [a.at for a in timeline.arrivals],
    ) == ("n-1", 0.25, [0.75, 1.75])


def test_packet_sent_again_counts_once() -> None:
    """The first copy is the one that counts."""
    capture = PCAP + asked(1.0) + answered(2.0, 1, BEGIN) + answered(2.5, 9, chunk(token()))
    capture += answered(3.0, 9, chunk(token()))
    assert [a.at for a in packets.exchanges(capture, {SERVER})[0].timeline().arrivals] == [1.5]


def test_connection_that_is_used_again() -> None:
    """A request after an answer is another exchange."""
    capture = (
        PCAP + asked(1.0) + answered(2.0, 1, BEGIN + LAST) + asked(3.0) + answered(4.5, 99, BEGIN + LAST)
    )
    assert [one.timeline().head_at for one in packets.exchanges(capture, {SERVER})] == [1.0, 1.5]


def test_packet_that_did_not_fit_makes_no_reference() -> None:
    """What was cut off is not guessed."""
    capture = PCAP + asked(1.0) + answered(2.0, 1, BEGIN, kept=60)
    with pytest.raises(ValueError, match="larger than the frames"):
        packets.exchanges(capture, {SERVER})[0].timeline()


def streamed(*times: float) -> Timeline:
    return record([(0.1, BEGIN), *((at, chunk(token())) for at in times)])


def test_errors_are_given_in_milliseconds_without_sign() -> None:
    """The first token 2 ms late, the second 1 ms early: its gap is 3 ms short."""
    errors = compare.errors([(streamed(1.002, 1.499), streamed(1.0, 1.5))])
    assert (
        [round(e, 6) for e in errors.ttft],
        [round(e, 6) for e in errors.gaps],
        errors.held,
    ) == ([2.0], [3.0], False)


def test_merged_reads_are_counted() -> None:
    """Two tokens of one read that the wire had apart."""
    together = record([(0.1, BEGIN), (1.5, chunk(token()) + chunk(token()))])
    assert compare.errors([(together, streamed(1.0, 1.5))]).merged == 0.5


def test_other_events_than_on_the_wire_are_an_error() -> None:
    """A comparison of different streams is none."""
    with pytest.raises(ValueError, match="1 events has 2"):
        compare.errors([(streamed(1.0), streamed(1.0, 1.5))])


@pytest.mark.skipif(sys.platform != "linux", reason="packets are captured on Linux only")
def test_real_probe_is_found_among_real_packets(tmp_path: Path) -> None:
    """Every token of every probe is on the wire, and so is nothing else."""
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM).close()
    except PermissionError:
        pytest.skip("a packet socket needs root or CAP_NET_RAW")
    file = tmp_path / "pcap"
    with RunningEngine("double") as engine:
        try:
            with Capture(file, [engine.port]):
                held = probes.run(probes.Load((engine.port,), at_once=3, streams=2, tokens=8))
        except Unavailable as reason:
            pytest.skip(str(reason))
        pairs = compare.by_nonce(held.timelines, packets.exchanges(file.read_bytes(), {engine.port}))
    assert [wire.events for _, wire in pairs] == [8] * 6
    assert len(compare.errors(pairs).ttft) == 6
