"""
preStop hook of the engine's container: returns when no stream runs any more, or when the drain time is over.

The kubelet's SIGTERM follows, and a server told `--shutdown-timeout 0` leaves at once. Waiting here, while
the server still works, is what lets running streams end with their own [DONE]. What outlives the drain is
ended by the middleware, which is told by a file: the server's own end is a race that hangs streams. Standard
library only, any Python from 3.10: it runs inside the engine's image. Its text is frozen: a change restarts
every engine.
"""

import argparse
import http.client
import os
import pathlib
import signal
import sys
import time

LOOK_SECONDS = 1.0
"""Time between two looks at the gauges."""
ANSWER_SECONDS = 2.0
"""Patience for one answer of a busy server."""
INSIST_SECONDS = 60.0
"""How long a server that loads is asked to leave."""
END_SECONDS = 4.0
"""Patience with streams that are being ended; the grace period has 15 s more than the drain, for this and the stop."""
FLAG_VARIABLE = "STREAMING_DRAIN_OVER_FILE"
"""Names the file that tells the middleware; unset where there is none."""


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


def wait_until_idle(port: int, path: str, names: set[str], seconds: float) -> bool:
    """Two looks in a row must find nothing: a request can lie between two queues. False when time is up."""
    deadline = time.monotonic() + seconds
    idle_looks = 0
    while time.monotonic() < deadline:
        body = get(port, path)
        busy = None if body is None else total(body, names)
        idle_looks = idle_looks + 1 if busy == 0 else 0
        if idle_looks == 2:
            say("nothing runs any more")
            return True
        time.sleep(max(0.0, min(LOOK_SECONDS, deadline - time.monotonic())))
    return False


def drain(port: int, path: str, names: set[str], seconds: float) -> None:
    """Let streams end by themselves, then have the rest of them ended."""
    if wait_until_idle(port, path, names, seconds):
        return
    say("the drain time is over")
    flag = os.environ.get(FLAG_VARIABLE)
    if not flag:
        return
    try:
        pathlib.Path(flag).touch()
    except OSError as error:
        # An exit code, since only that makes an event of the pod.
        sys.exit(f"drain: the streams cannot be told: {error}")
    if not wait_until_idle(port, path, names, END_SECONDS):
        say("something still runs")


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
        drain(options.port, options.metrics_path, set(options.busy_gauge), options.drain_seconds)
    except ConnectionRefusedError:
        say("the server is gone")


if __name__ == "__main__":
    main(sys.argv[1:])
