"""
Rules for `engine.args` and `engine.env`: what the operator owns, what has a field, and secrets that are written out.

argparse takes `--por` for `--port` and `--served_model_name` for `--served-model-name`, so that the rules do, too.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from streaming_operator.api.cel import CEL

FIELDS: Mapping[str, str] = MappingProxyType(
    {
        "--model": "model.source",
        "--served-model-name": "model.servedNames",
        "--port": "engine.port",
        "--api-key": "engine.apiKeySecretRef",
        "--hf-token": "model.source.huggingFace.tokenSecretRef",
        "--shutdown-timeout": "rollout.drainSeconds",
        "--root-path": "exposure.stripPrefix",
        "--ssl-certfile": "engine.tls",
        "--ssl-keyfile": "engine.tls",
    }
)
"""Flags that have a field, which the operator renders."""

IMPOSSIBLE = (
    "--host",
    "--uds",
    "--config",
    "--disable-log-stats",
    "--headless",
    "--grpc",
    "--ssl-ca-certs",
    "--ssl-cert-reqs",
)
"""
Flags without which everybody gets HTTP on the port, with metrics: health, drain, metrics and probe need all of that,
and kubelets have no client certificate.
"""

RESERVED_ENV = ("VLLM_API_KEY", "VLLM_PORT", "VLLM_DEBUG_LOG_API_SERVER_RESPONSE")
SECRET_ENV = (
    "HF_TOKEN",
    "HUGGING_FACE_HUB_TOKEN",
    "HUGGINGFACE_HUB_TOKEN",
    "MODELSCOPE_API_TOKEN",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AZURE_STORAGE_KEY",
    "AZURE_CLIENT_SECRET",
    "WANDB_API_KEY",
    "OPENAI_API_KEY",
)
"""Variables that hold nothing but a secret: one that is written out would be read by all who read the endpoint."""

_SEVERAL_WORDS = r"^--?[-_a-zA-Z0-9]+\s"


def _names(args: tuple[str, ...]) -> list[str]:
    """The flags among the arguments, as argparse compares them."""
    names = (arg.split("=")[0].replace("_", "-") for arg in args)
    return [name for name in names if name.startswith("--") and name != "--"]


def _flags_rule(flags: tuple[str, ...], message: str) -> CEL:
    """No argument is one of the flags, not abbreviated either."""
    return CEL(
        "!has(self.args) || !self.args.map(arg, arg.split('=')[0].replace('_', '-')).exists(name, "
        "name.startsWith('--') && name != '--' && "
        f"[{', '.join(map(repr, flags))}].exists(flag, flag.startsWith(name)))",
        lambda engine: not any(flag.startswith(name) for flag in flags for name in _names(engine.args)),
        message,
        ".args",
        "FieldValueForbidden",
    )


def _env_rule(condition: str, names: tuple[str, ...], literal: bool, message: str) -> CEL:
    """No variable of these names; with `literal` only when its value is written out."""
    return CEL(
        f"!has(self.env) || !self.env.exists(e, {condition}e.name in [{', '.join(map(repr, names))}])",
        lambda engine: (
            not any(
                variable.name in names and (bool(variable.value) or not literal) for variable in engine.env
            )
        ),
        message,
        ".env",
        "FieldValueForbidden",
    )


def _one_word_each(engine: Any) -> bool:
    return not any(re.search(_SEVERAL_WORDS, arg, re.ASCII) for arg in engine.args)


RULES = (
    _flags_rule(
        tuple(FIELDS),
        "these flags have fields: " + ", ".join(f"{flag} {field}" for flag, field in FIELDS.items()),
    ),
    _flags_rule(
        IMPOSSIBLE,
        f"{' '.join(IMPOSSIBLE)} are not possible: health, drain, metrics and verification "
        "need HTTP, or HTTPS by engine.tls, on engine.port of every address",
    ),
    CEL(
        f"!has(self.args) || !self.args.exists(arg, arg.matches('{_SEVERAL_WORDS}'))".replace("\\s", "\\\\s"),
        _one_word_each,
        "a flag and its value are two items, or one with '=': ['--flag', 'value'] or ['--flag=value']",
        ".args",
    ),
    _env_rule(
        "",
        RESERVED_ENV,
        False,
        f"{', '.join(RESERVED_ENV)} are reserved; an API key belongs into apiKeySecretRef",
    ),
    _env_rule(
        "has(e.value) && e.value != '' && ",
        SECRET_ENV,
        True,
        f"{', '.join(SECRET_ENV)} are secrets: use valueFrom.secretKeyRef, envFrom or tokenSecretRef",
    ),
)  # fmt: skip
