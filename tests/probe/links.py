"""
A model server behind a proxy that stores, at the end of a long or slow link: the whole response comes after its last
token, over the link's rate and its slow start.

The kernel keeps the rate (SO_MAX_PACING_RATE), whatever this process does meanwhile; the round trips of slow start are
waits between flights, the first of ten segments, each later one twice as large.
"""

import random
import socket
import time
from dataclasses import dataclass

from tests.probe.servers import Asked, Client, event, usage

_PACING_RATE = 47
"""SO_MAX_PACING_RATE, which Python's socket module does not name."""
_FIRST_FLIGHT = 14_600


@dataclass(frozen=True)
class Link:
    """What lies between the proxy and the probe, and what the engine did before."""

    rate: float
    """Bit/s."""
    round_trip: float
    """Seconds."""
    pace: float
    """Seconds in which the engine makes a token."""
    text: int
    """Characters of an event beside its frame."""
    timing: bool
    """Whether the engine tells its own timing."""

    def __str__(self) -> str:
        timing = "with" if self.timing else "without"
        return (
            f"{self.rate / 1e6:.0f} Mbit/s, {self.round_trip * 1000:.0f} ms, {self.pace * 1000:.2f} ms a token, "
            f"{timing} server timing"
        )


FAST = 0.001
"""Seconds a token below which an engine makes more than 1,000 tokens a second."""


def drawn(draw: random.Random) -> Link:
    """Any link of 5 Mbit/s to 1 Gbit/s and 1 to 300 ms; one engine in five makes 1,000 to 30,000 tokens a second."""
    return Link(
        rate=5e6 * 200 ** draw.random(),
        round_trip=0.001 * 300 ** draw.random(),
        pace=FAST / 30 ** draw.random() if draw.random() < 0.2 else draw.uniform(FAST, 0.008),
        text=draw.randrange(0, 200),
        timing=draw.random() < 0.5,
    )


def response(link: Link, tokens: int) -> bytes:
    """The whole response, in chunks as the engine wrote them."""
    texts = [_token(link, {"role": "assistant", "content": ""})]
    texts += [_token(link, {"content": "7 "}) for _ in range(tokens)]
    texts.append(_token(link, {}, "length"))
    if link.timing:
        times = {
            "generation_time_ms": link.pace * (tokens - 1) * 1000,
            "queue_time_ms": 0.1,
            "time_to_first_token_ms": link.pace * 1000,
        }
        texts.append(event({"choices": [], "usage": {"completion_tokens": tokens}, "metrics": times}))
    else:
        texts.append(usage(tokens))
    body = "".join(f"{len(text):x}\r\n{text}\r\n" for text in [*texts, event("[DONE]")])
    head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    return f"{head}{body}0\r\n\r\n".encode()


def _token(link: Link, delta: dict[str, str], reason: str | None = None) -> str:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return event({"id": "x" * link.text, "model": "m", "choices": [choice]})


@dataclass(frozen=True)
class Stored:
    """What such a server answers (`servers.Answer`)."""

    link: Link
    flights: bool = True
    """Without them the response leaves in one write, and the kernel alone times it."""

    def __call__(self, client: Client, asked: Asked) -> None:
        link, tokens = self.link, int(asked.body["max_tokens"])
        data = response(link, tokens)
        client.sock.setsockopt(socket.SOL_SOCKET, _PACING_RATE, int(link.rate / 8))
        time.sleep(link.pace * tokens + link.round_trip)
        flight = _FIRST_FLIGHT if self.flights else len(data)
        while data:
            begin = time.monotonic()
            client.send(data[:flight])
            data, flight = data[flight:], flight * 2
            if data:  # the next flight leaves when this one is acknowledged
                time.sleep(max(0.0, begin + link.round_trip - time.monotonic()))
