"""The command line: vLLM's own flags, strictly, and the double's knobs. Makes a Settings; starts nothing.

A flag that vLLM 0.32 does not have ends the program with argparse's 2, as it does there: an operator that
renders a removed flag must fail here too. Flags that change nothing the double shows are read and dropped.
"""

import argparse
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .knobs import FIELDS, Knobs, from_environment

VERSION = "0.32.0"
REFUSED = ("--uds", "--grpc", "--headless", "--config")


@dataclass(frozen=True)
class Settings:
    """The server's settings; names and units are vLLM's."""

    model: str
    served_names: tuple[str, ...]
    host: str
    port: int
    api_keys: tuple[str, ...]
    max_model_len: int
    max_num_seqs: int
    max_num_queued_reqs: int | None
    stream_interval: int
    sse_keep_alive_interval: int
    shutdown_timeout: int
    middleware: tuple[str, ...]
    per_request_metrics: bool
    disable_log_stats: bool
    force_include_usage: bool
    prompt_tokens_details: bool
    buckets: dict[str, list[float]]
    log_level: str
    access_log: bool
    startup_duration: float
    knobs: Knobs
    adapters: dict[str, str]
    ssl_certfile: str | None
    ssl_keyfile: str | None
    allowed_origins: tuple[str, ...] = ()


def parse(argv: Sequence[str]) -> Settings:
    parser = _parser()
    given = parser.parse_args([_dashed(word) for word in argv])
    for flag in REFUSED:
        if getattr(given, flag.lstrip("-").replace("-", "_")):
            parser.error(f"the double does not do {flag}")
    try:
        return _settings(given)
    except ValueError as error:
        parser.error(str(error))


def _settings(given: argparse.Namespace) -> Settings:
    model = given.model_tag or given.model or "Qwen/Qwen3-0.6B"
    flags = {dashed: getattr(given, "knob_" + name) for dashed, name, _ in FIELDS if dashed != "seed"}
    flags["seed"] = given.seed
    knobs = Knobs().updated(from_environment(os.environ) | {k: v for k, v in flags.items() if v is not None})
    if os.environ.get("VLLM_DEBUG_LOG_API_SERVER_RESPONSE", "").lower() in ("1", "true"):
        knobs = knobs.updated({"full-buffer": "1"})
    key = os.environ.get("VLLM_API_KEY")
    queued = given.max_num_queued_reqs
    return Settings(
        model=model,
        served_names=tuple(given.served_model_name or [model]),
        host=given.host or "0.0.0.0",
        port=int(given.port or 8000),
        api_keys=tuple(given.api_key or ([key] if key else [])),
        max_model_len=human_readable(given.max_model_len or "8192"),
        max_num_seqs=int(given.max_num_seqs or 128),
        max_num_queued_reqs=None if queued is None else int(queued),
        stream_interval=int(given.stream_interval or 1),
        sse_keep_alive_interval=int(given.sse_keep_alive_interval or 0),
        shutdown_timeout=int(given.shutdown_timeout or 0),
        middleware=tuple(given.middleware or ()),
        per_request_metrics=bool(given.enable_per_request_metrics),
        disable_log_stats=bool(given.disable_log_stats),
        force_include_usage=bool(given.enable_force_include_usage),
        prompt_tokens_details=bool(given.enable_prompt_tokens_details),
        buckets=json.loads(given.custom_histogram_buckets or "{}"),
        log_level=given.uvicorn_log_level or "info",
        access_log=not given.disable_uvicorn_access_log,
        startup_duration=float(given.startup_duration),
        knobs=knobs,
        adapters=dict(_adapter(value) for value in given.lora_modules or ()),
        ssl_certfile=given.ssl_certfile,
        ssl_keyfile=given.ssl_keyfile,
        allowed_origins=tuple(json.loads(given.allowed_origins or "[]")),
    )


def _adapter(value: str) -> tuple[str, str]:
    """`name=path`, or an object with both."""
    if value.startswith("{"):
        fields = json.loads(value)
        return str(fields["name"]), str(fields["path"])
    name, equals, path = value.partition("=")
    if not equals:
        raise ValueError(f"argument --lora-modules: {value} is no name=path")
    return name, path


def human_readable(text: str) -> int:
    """vLLM's counts: `4096`, `4k` (1000s), `4K` (1024s), likewise m and g; `auto` and -1 are the model's."""
    if text in ("auto", "-1"):
        return 8192
    powers = {"k": 10**3, "m": 10**6, "g": 10**9, "K": 2**10, "M": 2**20, "G": 2**30}
    return int(float(text[:-1]) * powers[text[-1]]) if text[-1] in powers else int(text)


def known_flags() -> list[tuple[list[str], str]]:
    """Names and arity of every flag of the real server, from flags.txt."""
    lines = Path(__file__).with_name("flags.txt").read_text().splitlines()
    rows = [line.split() for line in lines if not line.startswith("#")]
    return [(row[:-1], row[-1]) for row in rows]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="vllm", allow_abbrev=False)
    serve = parser.add_subparsers(required=True).add_parser("serve", allow_abbrev=False)
    serve.add_argument("model_tag", nargs="?")
    for names, arity in known_flags():
        if names[0] == "--middleware":
            serve.add_argument(*names, action="append")
        elif any(name.startswith("--no-") for name in names):
            plain = [name for name in names if not name.startswith("--no-")]
            serve.add_argument(*plain, action=argparse.BooleanOptionalAction)
        elif arity == "0":
            serve.add_argument(*names, action="store_true")
        else:
            serve.add_argument(*names, nargs=None if arity == "1" else arity)
    serve.add_argument("--startup-duration", default=os.environ.get("DOUBLE_STARTUP_DURATION", "0"))
    for dashed, name, kind in FIELDS:
        if dashed == "seed":  # vLLM has that flag itself
            continue
        if kind is bool:
            serve.add_argument("--" + dashed, dest="knob_" + name, nargs="?", const="1")
        else:
            serve.add_argument("--" + dashed, dest="knob_" + name)
    return parser


def _dashed(word: str) -> str:
    """`--some_flag=x` is `--some-flag=x`, as vLLM's parser has it."""
    if not word.startswith("--"):
        return word
    name, equals, value = word.partition("=")
    return name.replace("_", "-") + equals + value
