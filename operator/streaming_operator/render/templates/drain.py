"""
preStop hook of the engine's container: returns when no stream runs any more, or when the drain time is over.

The kubelet's SIGTERM follows, and a server told `--shutdown-timeout 0` leaves at once. Waiting here, while
the server still works, is what lets running streams end with their own [DONE]. Standard library only, any
Python from 3.10: it runs inside the engine's image. Its text is frozen: a change restarts every engine.
"""

import argparse
import http.client
import os
import signal
import sys
import time

LOOK_SECONDS = 1.0
"""Time between two looks at the gauges."""
ANSWER_SECONDS = 2.0
"""Patience for one answer of a busy server."""
INSIST_SECONDS = 60.0
"""How long a server that loads is asked to leave."""


def say(text: str) -> None:
    """Kubernetes shows a hook's output only when the hook fails."""
    sys.stderr.write(f"drain: {text}\n")
    sys.stderr.flush()


def get(port: int, path: str) -> str | None:
    """Body of a 200, None when the server is too busy to answer; ConnectionRefusedError when none listens."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_SECONDS)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read().decode()
        return body if response.status == 200 else None
    except ConnectionRefusedError:
        raise
    except (OSError, ValueError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def total(metrics: str, names: set[str]) -> float | None:
    """Sum of the gauges over all engines of the pod; None when one of them is missing."""
    found: dict[str, float] = {}
    for line in metrics.splitlines():
        name = line.replace("{", " ", 1).split(" ", 1)[0]
        if name in names:
            found[name] = found.get(name, 0.0) + float(line[len(name) :].rsplit("}", 1)[-1].split()[0])
    return sum(found.values()) if len(found) == len(names) else None


def dismiss(pid: int, seconds: float) -> None:
    """
    Ask a server that still loads to leave, again and again.

    It swallows the first SIGTERM of its engine's start, and as PID 1 every one before it has a handler. When
    it goes, the container goes, and this process with it.
    """
    deadline = time.monotonic() + min(seconds, INSIST_SECONDS)
    while True:
        try:
            os.kill(pid, signal.SIGTERM)
        except ProcessLookupError:
            return
        if time.monotonic() >= deadline:
            return
        time.sleep(LOOK_SECONDS)


def wait_until_idle(port: int, path: str, names: set[str], seconds: float) -> None:
    """Two looks in a row must find nothing: a request can lie between two queues."""
    deadline = time.monotonic() + seconds
    idle_looks = 0
    while time.monotonic() < deadline:
        body = get(port, path)
        busy = None if body is None else total(body, names)
        idle_looks = idle_looks + 1 if busy == 0 else 0
        if idle_looks == 2:
            say("nothing runs any more")
            return
        time.sleep(max(0.0, min(LOOK_SECONDS, deadline - time.monotonic())))
    say("the drain time is over")


def main(arguments: list[str]) -> None:
    """Read the options and drain."""
    parser = argparse.ArgumentParser(description="Wait until no stream runs any more.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--pid", type=int, default=1, help="the server's process")
    parser.add_argument("--pre-stop-seconds", type=float, required=True, help="time for the edges to let go")
    parser.add_argument("--drain-seconds", type=float, required=True, help="longest time for running streams")
    parser.add_argument("--health-path", required=True)
    parser.add_argument("--metrics-path", required=True)
    parser.add_argument("--busy-gauge", action="append", required=True, help="0 when nothing runs or waits")
    options = parser.parse_args(arguments)
    try:
        get(options.port, options.health_path)
    except ConnectionRefusedError:
        say("the server still loads")
        dismiss(options.pid, options.pre_stop_seconds + options.drain_seconds)
        return
    time.sleep(options.pre_stop_seconds)
    try:
        wait_until_idle(options.port, options.metrics_path, set(options.busy_gauge), options.drain_seconds)
    except ConnectionRefusedError:
        say("the server is gone")


if __name__ == "__main__":
    main(sys.argv[1:])
