"""
What the wire says: a capture becomes one `Timeline` an exchange, by the stamps of the packets. Pure.

The reference that probe and tools are held against: the same parser and the same definitions as the probe's, but
each event has the time at which the packet that completed it left its server, and the request the time at which
its last packet left the client.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from streaming_operator.probe.http.response import Ending
from streaming_operator.probe.stream.recorder import Recorder
from streaming_operator.probe.stream.timeline import Timeline
from tests.bench.capture import PCAP, RECORD


@dataclass(frozen=True, slots=True)
class Packet:
    """One TCP segment with a payload; `at` is the wall clock's seconds."""

    at: float
    source: tuple[bytes, int]
    destination: tuple[bytes, int]
    sequence: int
    payload: bytes
    whole: bool
    """Whether all of it fitted into its frame of the capture's ring."""


@dataclass(slots=True)
class Exchange:
    """One request and its answer."""

    request: bytes = b""
    sent_at: float = 0.0
    """Stamp of the request's last packet, wall clock."""
    answer: bytearray = field(default_factory=bytearray)
    recorder: Recorder = field(default_factory=Recorder)
    sequences: set[int] = field(default_factory=set)
    """Sequence numbers of the answer's packets: one that is sent again counts once."""
    whole: bool = True

    @property
    def nonce(self) -> str:
        """What the probe's prompt begins with, in brackets; empty where there is none."""
        _, bracket, rest = self.request.partition(b'"content": "[')
        return rest.partition(b"]")[0].decode() if bracket else ""

    def timeline(self) -> Timeline:
        """By the packets; ValueError where the capture lacks a part of them."""
        if not self.whole:
            raise ValueError("a packet was larger than the frames of the capture")
        return self.recorder.timeline(Ending.CLOSED, 0.0, "packets")


def packets(capture: bytes) -> Iterator[Packet]:
    """The segments of a capture file."""
    at = len(PCAP)
    while at < len(capture):
        seconds, nanoseconds, kept, length = RECORD.unpack_from(capture, at)
        data = capture[at + RECORD.size : at + RECORD.size + kept]
        at += RECORD.size + kept
        source, destination, sequence = (
            *struct.unpack_from(">HH", data, 20),
            struct.unpack_from(">I", data, 24)[0],
        )
        begin, end = 20 + (data[32] >> 4) * 4, struct.unpack_from(">H", data, 2)[0]
        yield Packet(
            seconds + nanoseconds / 1e9,
            (data[12:16], source),
            (data[16:20], destination),
            sequence,
            data[begin:end],
            kept == length,
        )


def exchanges(capture: bytes, ports: set[int]) -> list[Exchange]:
    """All of a capture, in the order of their requests; `ports` are the servers'."""
    all_exchanges: list[Exchange] = []
    current: dict[tuple[tuple[bytes, int], tuple[bytes, int]], Exchange] = {}
    for packet in packets(capture):
        if packet.destination[1] in ports:
            key = (packet.source, packet.destination)
            exchange = current.get(key)
            if exchange is None or exchange.sequences:  # an answer has begun: this is the next request
                exchange = current[key] = Exchange()
                all_exchanges.append(exchange)
            exchange.request += packet.payload
            exchange.sent_at = packet.at
            continue
        exchange = current.get((packet.destination, packet.source))
        if exchange is not None and packet.sequence not in exchange.sequences:
            exchange.sequences.add(packet.sequence)
            exchange.whole &= packet.whole
            exchange.answer += packet.payload
            exchange.recorder.read(packet.at - exchange.sent_at, packet.payload)
    return all_exchanges
