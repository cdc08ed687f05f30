"""OpenAI's SDK for Python as its documentation shows it. Arguments and output: see report.cjs."""

import json
import socket
import sys
from typing import Any

from openai import OpenAI  # type: ignore[import-not-found]  # in the folder of `clients.lock` only


def say(**line: object) -> None:
    """One line for the test."""
    print(json.dumps(line), flush=True)


def answer(asked: dict[str, Any], leave_after: int) -> None:
    """One request; closes its stream after so many tokens, 0 for never."""
    client = OpenAI(
        base_url=asked["base"], api_key="none", max_retries=0, default_headers=asked.get("headers")
    )
    stream = client.chat.completions.create(
        model=asked["model"],
        messages=[{"role": "user", "content": "count"}],
        stream=True,
        max_tokens=asked["tokens"],
        extra_body={"ignore_eos": True},
    )
    count = 0
    for chunk in stream:
        if chunk.choices and chunk.choices[0].delta.content:
            count += 1
            say(text=chunk.choices[0].delta.content)
        if leave_after and count == leave_after:
            stream.close()
            say(ending="left")
            return
    say(ending="whole")


if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    if asked.get("address"):
        look_up = socket.getaddrinfo
        socket.getaddrinfo = lambda _, *of, **more: look_up(asked["address"], *of, **more)
    if asked.get("leaveAfter"):
        answer(asked, asked["leaveAfter"])
        sys.stdin.readline()
    answer(asked, 0)
