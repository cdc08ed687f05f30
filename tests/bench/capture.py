"""
A packet capture on loopback, as a process of its own: `python -m tests.bench.capture FILE PORT...`.

The kernel writes into a ring that this process shares (PACKET_MMAP), so nobody needs to be awake when a packet
passes and no reader of the connection is slowed by a copy in flight. Packets are taken as they leave their sender,
with the kernel's nanosecond stamp: the later stamp of the receiving side, which the probe reads, is another one.
The file is pcap, for any tool that reads it. Needs root (CAP_NET_RAW); prints `ready`, ends when its input closes.
"""

import ctypes
import mmap
import select
import socket
import struct
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from tests.cluster.programs import listed

_ETH_P_ALL, _SOL_PACKET = 0x0003, 263
_RX_RING, _VERSION, _STATISTICS, _TPACKET_V2 = 5, 10, 6, 1
_SO_ATTACH_FILTER, _SO_TIMESTAMPNS = 26, 35
_USER = 1
"""The frame is ours to read; 0 gives it back."""
FRAME, FRAMES, BLOCK = 4096, 16384, 1 << 20
"""64 MiB: a quarter of an hour of tokens for one probe, seconds for hundreds."""
_HEADER = struct.Struct("=IIIHHII")
"""tpacket2_hdr: status, length, bytes kept, offset of the link layer, of the network layer, seconds, nanoseconds."""
PAUSE = 0.1
PCAP = struct.pack("=IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, FRAME, 101)
"""The file's head: stamps in nanoseconds, packets that begin with IP."""
RECORD = struct.Struct("=IIII")

Instruction = tuple[int, int, int, int]
_LOAD_WORD, _LOAD_HALF, _LOAD_BYTE = 0x20, 0x28, 0x30
_AND, _SHIFT, _ADD, _TO_X, _IF_EQUAL, _IF_ABOVE_X, _RETURN = 0x54, 0x74, 0x04, 0x07, 0x15, 0x2D, 0x06
_PACKET_TYPE, _OUTGOING = 0xFFFFF004, 4


class Unavailable(Exception):
    """No capture here; the message says why."""


def program(ports: Iterable[int]) -> list[Instruction]:
    """The kernel's filter: what leaves with a payload, from or for one of the ports, over IPv4 without options."""
    checks = [
        (_LOAD_WORD, _PACKET_TYPE, _OUTGOING),
        (_LOAD_BYTE, 0, 0x45),
        (_LOAD_BYTE, 9, socket.IPPROTO_TCP),
    ]
    refused, code = [], list[Instruction]()
    for load, offset, expected in checks:
        code += [(load, 0, 0, offset), (_IF_EQUAL, 0, 0, expected)]
        refused.append(len(code) - 1)
    # Where the payload begins against where the packet ends.
    code += [
        (_LOAD_BYTE, 0, 0, 32),
        (_AND, 0, 0, 0xF0),
        (_SHIFT, 0, 0, 2),
        (_ADD, 0, 0, 20),
        (_TO_X, 0, 0, 0),
    ]
    code += [(_LOAD_HALF, 0, 0, 2), (_IF_ABOVE_X, 0, 0, 0)]
    refused.append(len(code) - 1)
    kept = []
    for offset in (20, 22):
        code.append((_LOAD_HALF, 0, 0, offset))
        for port in ports:
            code.append((_IF_EQUAL, 0, 0, port))
            kept.append(len(code) - 1)
    code += [(_RETURN, 0, 0, 0), (_RETURN, 0, 0, 0xFFFF)]
    for at in refused:
        operation, _, _, value = code[at]
        code[at] = (operation, 0, len(code) - 2 - at - 1, value)
    for at in kept:
        operation, _, _, value = code[at]
        code[at] = (operation, len(code) - 1 - at - 1, 0, value)
    return code


def _listener(ports: Iterable[int]) -> socket.socket:
    listener = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
    instructions = b"".join(struct.pack("=HBBI", *instruction) for instruction in program(ports))
    held = mmap.mmap(-1, len(instructions))  # memory whose address can be passed to the kernel
    held.write(instructions)
    address = ctypes.addressof(ctypes.c_char.from_buffer(held))
    count = len(instructions) // 8
    listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("@HP", count, address))
    listener.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    listener.setsockopt(_SOL_PACKET, _VERSION, _TPACKET_V2)
    ring = struct.pack("@IIII", BLOCK, FRAME * FRAMES // BLOCK, FRAME, FRAMES)
    listener.setsockopt(_SOL_PACKET, _RX_RING, ring)
    listener.bind(("lo", _ETH_P_ALL))
    return listener


def _frames(ring: mmap.mmap, begin: int) -> Iterator[tuple[int, int, int, bytes]]:
    """What the kernel has filled from frame `begin` on: seconds, nanoseconds, length, bytes."""
    at = begin
    while True:
        offset = at % FRAMES * FRAME
        status, length, kept, _, network, seconds, nanoseconds = _HEADER.unpack_from(ring, offset)
        if not status & _USER:
            return
        yield seconds, nanoseconds, length, ring[offset + network : offset + network + kept]
        struct.pack_into("=I", ring, offset, 0)
        at += 1


def record(out: BinaryIO, ports: Iterable[int], until: BinaryIO) -> int:
    """Write packets to `out` until `until` closes; how many the ring had no room for."""
    with _listener(ports) as listener, mmap.mmap(listener.fileno(), FRAME * FRAMES) as ring:
        out.write(PCAP)
        print("ready", flush=True)
        at, over = 0, False
        while not over:
            over = bool(select.select([until], [], [], PAUSE)[0])
            for seconds, nanoseconds, length, data in _frames(ring, at):
                out.write(RECORD.pack(seconds, nanoseconds, len(data), length) + data)
                at += 1
        counts = listener.getsockopt(_SOL_PACKET, _STATISTICS, 8)
        return int(struct.unpack("=II", counts)[1])


class Capture:
    """The process; what passes between `with` and its end is in the file."""

    def __init__(self, file: Path, ports: Iterable[int]) -> None:
        command = [sys.executable, "-m", "tests.bench.capture", str(file), *map(str, ports)]
        self._process = subprocess.Popen(
            listed(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Self:
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        if self._process.stdout.readline() != "ready\n":
            raise Unavailable(self._process.stderr.read().strip().rpartition("\n")[2])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _, errors = self._process.communicate()
        if kind is None and self._process.returncode:
            raise Unavailable(errors.strip().rpartition("\n")[2])


def main() -> None:
    """Capture; a packet that was lost makes every figure doubtful, so it is an error."""
    if sys.platform != "linux":
        sys.exit("packets can be captured on Linux only")
    file, *ports = sys.argv[1:]
    try:
        with Path(file).open("wb") as out:
            lost = record(out, [int(port) for port in ports], sys.stdin.buffer)
    except OSError as error:
        sys.exit(f"no packet socket (it needs root or CAP_NET_RAW): {error}")
    if lost:
        sys.exit(f"{lost} packets were lost: the ring was full")


if __name__ == "__main__":
    main()
