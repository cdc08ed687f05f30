"""
A user of an endpoint: asks for a streamed completion through the edge, from outside of the cluster.

A stream runs in a thread of its own and notes each read with its time, so that a test can do something else
meanwhile. It connects to the edge's address and names the endpoint's host, as DNS would have it.
"""

import itertools
import json
import socket
import ssl
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import h11

from tests.e2e.waiting import wait_for

SILENCE = 150.0
"""Seconds without a byte after which the client gives up: longer than any silence that a test asks for."""

HELD_BACK = 0.2
"""A body that comes within a smaller share of the answer's time was held back."""
BEGIN_SECONDS = 30.0
"""For which `begun` waits for a response before the edge is asked again."""
FEW_READS = 10
"""Reads of a stream of a hundred tokens and more, on a machine however busy."""


@dataclass(frozen=True)
class EdgeAddress:
    """Where an edge listens."""

    address: str
    port: int = 80
    ca: str | None = None
    """The CA's certificate (PEM); with it, TLS is used."""


@dataclass(frozen=True)
class Answer:
    """What came back: the reads with their times, and how it ended."""

    status: int
    headers: Mapping[str, str]
    reads: tuple[tuple[float, bytes], ...]
    """Seconds since the request was sent, and the decoded bytes of the body."""
    ending: Literal["whole", "cut", "left"]
    """The last chunk came; the connection ended without it; we disconnected."""
    ended_at: float

    @property
    def body(self) -> str:
        """The text of all reads."""
        return b"".join(data for _, data in self.reads).decode(errors="replace")

    @property
    def events(self) -> list[str]:
        """The `data:` lines."""
        return [line[5:].strip() for line in self.body.splitlines() if line.startswith("data:")]

    @property
    def done(self) -> bool:
        """Whether the stream ended with its own [DONE]."""
        return self.events[-1:] == ["[DONE]"]

    @property
    def finish_reason(self) -> str | None:
        """Why the model stopped."""
        reasons = [
            choice.get("finish_reason") for chunk in self._chunks() for choice in chunk.get("choices", ())
        ]
        return next((reason for reason in reversed(reasons) if reason), None)

    @property
    def error_code(self) -> int | None:
        """Of the error event that the stream ended with."""
        return next((chunk["error"]["code"] for chunk in self._chunks() if "error" in chunk), None)

    @property
    def longest_gap(self) -> float:
        """Seconds between two reads, and between the last one and the end, at most."""
        times = [at for at, _ in self.reads] + [self.ended_at]
        return max((later - earlier for earlier, later in itertools.pairwise(times)), default=0.0)

    @property
    def flow(self) -> float:
        """
        Share of the answer's time over which its body came: most of it for a stream, nearly none for one that was held
        back. How many reads that takes is a matter of how busy this machine is.
        """
        times = [at for at, _ in self.reads]
        return (times[-1] - times[0]) / self.ended_at if times else 0.0

    @property
    def flowed(self) -> bool:
        """Whether it came little by little, as it was made."""
        return self.flow > HELD_BACK and len(self.reads) >= FEW_READS

    def _chunks(self) -> list[dict[str, Any]]:
        return [json.loads(event) for event in self.events if event.startswith("{")]


@dataclass
class Stream:
    """One request on its way; `finish` waits for its end."""

    edge: EdgeAddress
    host: str
    model: str
    max_tokens: int = 64
    api_key: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    gzip: bool = False
    path: str = "/v1/chat/completions"

    def __post_init__(self) -> None:
        self._reads: list[tuple[float, bytes]] = []
        self._status = 0
        self._answer_headers: dict[str, str] = {}
        self._ending: Literal["whole", "cut", "left"] = "cut"
        self._ended_at = 0.0
        self._left = False
        self._answered = threading.Event()
        self._trouble: Exception | None = None
        self._unpack: Callable[[bytes], bytes] = bytes
        self._connection = self._connect()
        self._start = time.monotonic()
        self._thread = threading.Thread(target=self._run, name=f"stream to {self.host}", daemon=True)
        self._thread.start()

    @property
    def is_open(self) -> bool:
        """Whether it has not ended yet."""
        return self._thread.is_alive()

    @property
    def headers_so_far(self) -> Mapping[str, str]:
        """Those of the response; none before it has begun."""
        return dict(self._answer_headers)

    @property
    def events_so_far(self) -> int:
        """How many events have come."""
        return sum(data.count(b"data:") for _, data in tuple(self._reads))

    def status_within(self, seconds: float) -> int | None:
        """The status of the response once it begins, 0 where the stream ends without one; None if neither comes."""
        return self._status if self._answered.wait(seconds) else None

    def await_events(self, count: int, seconds: float = 60) -> None:
        """Wait until so many events have come: the stream is under way."""
        wait_for(
            lambda: self.events_so_far >= count,
            f"{count} events from {self.host}",
            seconds=seconds,
            tell=lambda: f"status {self._status}, {self.events_so_far} events, trouble: {self._trouble}",
        )

    def leave(self) -> None:
        """Disconnect in the middle, as a user does who closes the window."""
        self._left = True
        self._connection.shutdown(socket.SHUT_RDWR)

    def finish(self, seconds: float = 240) -> Answer:
        """Wait for the end."""
        self._thread.join(seconds)
        assert not self._thread.is_alive(), (
            f"the stream from {self.host} has not ended within {seconds:.0f} s"
        )
        if self._trouble is not None:
            raise self._trouble
        return Answer(self._status, self._answer_headers, tuple(self._reads), self._ending, self._ended_at)

    def _connect(self) -> socket.socket:
        plain = socket.create_connection((self.edge.address, self.edge.port), timeout=10)
        plain.settimeout(SILENCE)
        if self.edge.ca is None:
            return plain
        context = ssl.create_default_context(cadata=self.edge.ca)
        return context.wrap_socket(plain, server_hostname=self.host)

    def _run(self) -> None:
        try:
            self._talk()
        except (OSError, h11.ProtocolError) as error:
            if not self._left and not isinstance(error, h11.RemoteProtocolError):
                self._trouble = error
        finally:
            self._ended_at = time.monotonic() - self._start
            if self._left:
                self._ending = "left"
            self._connection.close()
            self._answered.set()

    def _talk(self) -> None:
        http = h11.Connection(h11.CLIENT)
        body = json.dumps(
            {
                "model": self.model,
                "messages": [{"role": "user", "content": f"Count from one upwards. {self._start}"}],
                "max_tokens": self.max_tokens,
                "ignore_eos": True,
                "stream": True,
            }
        ).encode()
        request = h11.Request(method="POST", target=self.path, headers=self._request_headers(len(body)))
        self._connection.sendall((http.send(request) or b"") + (http.send(h11.Data(data=body)) or b""))
        http.send(h11.EndOfMessage())
        while True:
            received = self._connection.recv(65536)
            at = time.monotonic() - self._start
            http.receive_data(received)
            if self._take(http, at):
                self._ending = "whole"
                return

    def _take(self, http: h11.Connection, at: float) -> bool:
        """Note what one read brought; whether the answer is complete."""
        data = b""
        while True:
            event = http.next_event()
            if isinstance(event, h11.Response):
                self._status = event.status_code
                self._answer_headers = {name.decode(): value.decode() for name, value in event.headers}
                self._answered.set()
                if self._answer_headers.get("content-encoding") == "gzip":
                    self._unpack = zlib.decompressobj(31).decompress
            elif isinstance(event, h11.Data):
                data += self._unpack(bytes(event.data))
            elif event is h11.NEED_DATA or isinstance(event, h11.EndOfMessage):
                if data:
                    self._reads.append((at, data))
                return isinstance(event, h11.EndOfMessage)

    def _request_headers(self, length: int) -> list[tuple[str, str]]:
        key = {"Authorization": f"Bearer {self.api_key}"} if self.api_key else {}
        given = {
            "Host": self.host,
            "Content-Type": "application/json",
            "Content-Length": str(length),
            "Accept-Encoding": "gzip" if self.gzip else "identity",
        }
        return list((given | key | dict(self.headers)).items())


def begun(edge: EdgeAddress, host: str, model: str, **request: Any) -> Stream | None:
    """
    A stream whose response has begun with 200; None where the edge does not serve the host yet.

    An edge that is reloaded may accept a request and never answer it.
    """
    try:
        stream = Stream(edge, host, model, **request)
        status = stream.status_within(BEGIN_SECONDS)
        if status is None:
            stream.leave()
    except OSError:
        return None
    return stream if status == 200 else None


def serves(edge: EdgeAddress, host: str, model: str, **request: Any) -> bool:
    """Whether the edge answers one token with 200; not yet, where it refuses or resets the connection."""
    try:
        return Stream(edge, host, model, max_tokens=1, **request).finish().status == 200
    except OSError:
        return False


def ends(streams: Iterable[Stream]) -> Counter[tuple[str, str | None, bool]]:
    """How these ended, once they all have: the ending, the finish reason, and whether by their own [DONE]."""
    answers = [stream.finish() for stream in streams]
    return Counter((answer.ending, answer.finish_reason, answer.done) for answer in answers)
