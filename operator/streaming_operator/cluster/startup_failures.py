"""
The frequent ways in which vLLM ends while it starts, recognised by its last lines, each with the field to change. Pure.

The texts are those of vLLM 0.32, transformers, huggingface_hub, torch and the NVIDIA driver; the tests hold lines that
such servers printed. What is not recognised is quoted by `workload_status`, so a text that changes loses its advice
and nothing else.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Failure:
    """One way to end: where it shows, what it is, and what to change."""

    pattern: re.Pattern[str]
    advice: str
    """A clause; `{name}` is a named group of the pattern."""


def _failure(pattern: str, advice: str) -> Failure:
    return Failure(re.compile(pattern, re.IGNORECASE | re.DOTALL), advice)


_LESS_MEMORY = "lower spec.engine.maxModelLen, or use more GPUs (spec.gpu.count)"

FAILURES = (
    _failure(
        r"unrecognized arguments: (?P<flags>--?[\w-]+)",
        "this version of vLLM has no flag {flags}: correct spec.engine.args",
    ),
    _failure(
        r"argument (?P<flag>--[\w-]+)(?:/-[\w-]+)?: (?:invalid|expected|ignored)",
        "the value of {flag} is wrong: correct spec.engine.args",
    ),
    _failure(
        r"gated repo|access to model \S+ is restricted|awaiting a review from the repo authors",
        "the model is gated: accept its license on the hub, and set spec.model.source.huggingFace.tokenSecretRef to a "
        "token of that account",
    ),
    _failure(
        r"(?:401|403) client error|invalid (?:credentials|user token)|invalid username or password",
        "the hub refuses access: set spec.model.source.huggingFace.tokenSecretRef, or correct the token",
    ),
    _failure(
        r"is not a valid model identifier|repository not found for url|repositorynotfounderror",
        "the hub has no such model: correct spec.model.source.huggingFace.repo; a private one needs tokenSecretRef",
    ),
    _failure(
        r"revisionnotfounderror|is not a valid git identifier|revision not found",
        "the model has no such revision: correct spec.model.source.huggingFace.revision",
    ),
    _failure(
        r"we couldn't connect to '|localentrynotfounderror|cannot find (?:an appropriate cached|the requested files)"
        r"|(?:name or service not known|name resolution|max retries exceeded).*(?:huggingface|hf\.co)"
        r"|(?:huggingface|hf\.co).*(?:name or service not known|name resolution|max retries exceeded)",
        "the hub cannot be reached from the pod: allow it in the network, set HF_ENDPOINT to a mirror in "
        "spec.engine.env, or load from a claim (spec.model.source.persistentVolumeClaim)",
    ),
    _failure(
        r"lora rank (?P<rank>\d+) is greater than max_lora_rank",
        "an adapter has rank {rank}: set --max-lora-rank={rank} or more in spec.engine.args",
    ),
    _failure(
        r"no adapter found for (?P<path>\S+)",
        "there is no adapter at {path}: correct its source in spec.model.adapters",
    ),
    _failure(
        r"lora adapter '(?P<name>[^']+)' conflicts with a served base model",
        "the adapter {name} has a name of the model: give it another in spec.model.adapters",
    ),
    _failure(
        r"does not support lora|expected target modules in .{0,4000}but received",
        "the adapters are not for this model: correct spec.model.adapters or spec.model.source",
    ),
    _failure(
        r"hfvalidationerror.*'(?P<path>/[^']*)'|no such file or directory: '(?P<file>/models[^']*)'",
        "there is no model at that path: correct spec.model.source",
    ),
    _failure(
        r"no space left on device|disk quota exceeded",
        "the volume is full: raise spec.cache.emptyDir.sizeLimit, or use a larger claim "
        "(spec.cache.persistentVolumeClaim)",
    ),
    _failure(
        r"nvidia driver on your system is too old|cuda driver version is insufficient|unsupported display driver"
        r"|forward compatibility was attempted on non supported hw|provided ptx was compiled with an unsupported",
        "the node's NVIDIA driver is too old for this image: update it, or set spec.engine.image to a build for an "
        "older CUDA",
    ),
    _failure(
        r"failed to infer device type|libcuda\.so\.1: cannot open|no cuda gpus are available|no cuda-capable device"
        r"|found no nvidia driver",
        "the container has no GPU: check spec.gpu and spec.runtimeClassName, or use an image for this hardware",
    ),
    _failure(
        r"bfloat16 is only supported on gpus",
        "the GPU cannot compute in bfloat16: add --dtype=half to spec.engine.args",
    ),
    _failure(
        r"does not recognize this architecture|model architectures? .{0,200}(?:are|is) not supported"
        r"|architectures? .{0,200}failed to be inspected"
        # The list of those that it knows is longer than a termination message; only its end is left.
        r"|'\w+ForSequenceClassification'\]\) \[type=value_error",
        "this version of vLLM does not know the model's architecture: set a newer spec.engine.image",
    ),
    _failure(
        r"requires you to execute|(?:set|setting|pass the argument|allow custom code).{0,60}trust[-_]remote[-_]code",
        "the model brings code of its own: add --trust-remote-code to spec.engine.args if you trust it",
    ),
    _failure(
        r"number of attention heads \((?P<heads>\d+)\) must be divisible by tensor parallel size \((?P<size>\d+)\)",
        "{heads} attention heads cannot be divided among {size} GPUs: correct spec.engine.tensorParallelSize",
    ),
    _failure(
        r"world size \((?P<ranks>\d+)\) is larger than the number of available gpus",
        "the model is split among {ranks} GPUs and the pod has fewer: raise spec.gpu.count, or lower "
        "spec.engine.tensorParallelSize",
    ),
    _failure(
        r"max_model_len.{0,80}is greater than the derived max_model_len"
        r"(?:.{0,60}?=\s*(?P<longest>\d+))?",
        "the model's own longest context is shorter: lower spec.engine.maxModelLen",
    ),
    _failure(
        r"no available memory for the cache blocks|kv cache is needed, which is larger than"
        r"|kv cache memory .{0,80}smaller than",
        f"no memory is left for the KV cache: {_LESS_MEMORY}",
    ),
    _failure(
        r"less than desired gpu memory utilization",
        "something else uses the GPU's memory: free it, or lower --gpu-memory-utilization in spec.engine.args",
    ),
    _failure(
        r"cuda out of memory|cuda error: out of memory|hip out of memory|cublas_status_alloc_failed",
        f"the GPU has too little memory: {_LESS_MEMORY}",
    ),
    _failure(
        r"/dev/shm.{0,80}(?:no space|full|too small|insufficient)|(?:no space|failed).{0,120}/dev/shm|bus error",
        "/dev/shm is too small: raise spec.engine.sharedMemorySize",
    ),
    _failure(
        r"permissionerror: \[errno 13\] permission denied: '(?P<path>[^']+)'",
        "the server may not write {path}: set spec.podSecurityContext.fsGroup to the volume's group, or HOME and the "
        "cache's variables in spec.engine.env",
    ),
    _failure(
        r"enable-auto-tool-choice requires --tool-call-parser|invalid tool call parser",
        "tools need a parser that this version knows: correct --tool-call-parser in spec.engine.args",
    ),
)
"""The more specific first: a gated model is also a 403, and a full cache may end in many ways."""


def advice(message: str) -> str | None:
    """What to change, as a clause, for a server whose last lines are *message*; None where they are not recognised."""
    for failure in FAILURES:
        match = failure.pattern.search(message)
        if match:
            named = {name: value for name, value in match.groupdict().items() if value}
            return failure.advice.format_map(named)
    return None
