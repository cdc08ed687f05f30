"""
vLLM: how it is started, configured to stream, and drained.

The table of optional flags claims only versions whose source was read. An unknown version gets none of
them: a flag that a server does not know ends it at start, and a missing one only costs a nicety.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType

from streaming_operator.api.endpoint import EnvVar, StreamingEndpoint
from streaming_operator.engines import flag_tables
from streaming_operator.engines.base import (
    CACHE_PATH,
    DRAIN_OVER_FILE,
    FILES_PATH,
    HOME,
    TLS_PATH,
    Engine,
    Series,
    adapter_paths,
    home_on_cache,
    model_path,
)
from streaming_operator.engines.lora_modules import lora_modules
from streaming_operator.engines.ranks import DATA, PIPELINE, TENSOR, Ranks, ranks
from streaming_operator.values import Manifest

SHUTDOWN_TIMEOUT = "--shutdown-timeout"
PER_REQUEST_METRICS = "--enable-per-request-metrics"
KEEP_ALIVE = "--sse-keep-alive-interval"
SSL_REFRESH = "--enable-ssl-refresh"

OPTIONAL_FLAGS: Mapping[tuple[int, int], frozenset[str]] = MappingProxyType(
    {
        (0, 32): frozenset({SHUTDOWN_TIMEOUT, PER_REQUEST_METRICS, KEEP_ALIVE, SSL_REFRESH}),
        (0, 33): frozenset({SHUTDOWN_TIMEOUT, PER_REQUEST_METRICS, KEEP_ALIVE, SSL_REFRESH}),
    }
)
"""Flags by minor version, read in the sources of 0.32.0 and 0.33.0."""

BUSY_GAUGES = ("vllm:num_requests_running", "vllm:num_requests_waiting")
"""Both 0, over all engines of the pod: no stream would be cut."""

FLAG_VARIABLE = "STREAMING_DRAIN_OVER_FILE"
"""By it the drain script and the middleware find each other."""

OPEN_PATHS = ("/cohere", "/health", "/ping", "/v1", "/v2")
"""
Answered to everybody: the APIs that vLLM guards by its key, and health. What it does not guard (/tokenize, /score,
/invocations) and what is for operators (/metrics, /sleep) must be named in `exposure.pathPrefixes`; `/` names none.
"""
CLOSED_PATHS = ("/v1/load_lora_adapter", "/v1/unload_lora_adapter")
"""For operators, although below /v1."""

KEEP_IDLE = "VLLM_HTTP_TIMEOUT_KEEP_ALIVE"
KEPT_IDLE = 4200
"""
Seconds for which the server keeps an idle connection: longer than edges do (an ALB for 4,000 s at most, Envoy for an
hour, GKE's load balancer for 600 s, ingress-nginx for 60). The server's own 5 s are shorter, so an edge now and then
sends a request on a connection that is being closed, and its user gets a 502: a POST is not sent twice.
"""

_LOAD_FORMAT = "--load-format"
_API_SERVER = "api_server"
_TAG_VERSION = re.compile(r"^v?(\d+\.\d+\.\d+)(?:[-.+_].*)?$")


def version(endpoint: StreamingEndpoint) -> str | None:
    """`engine.version`, else the image's tag (`v0.33.0`, `0.33.0`, `v0.33.0-cu130`), else None."""
    engine = endpoint.spec.engine
    if engine.version is not None:
        return engine.version
    _, _, tag = engine.image.partition("@")[0].rpartition("/")[2].partition(":")
    match = _TAG_VERSION.match(tag)
    return match.group(1) if match else None


def minor_version(endpoint: StreamingEndpoint) -> flag_tables.Minor | None:
    """The first two numbers of the version, by which flags are known; None if there is none."""
    known = version(endpoint)
    if known is None:
        return None
    major, minor, _ = known.split(".")
    return int(major), int(minor)


def optional_flags(endpoint: StreamingEndpoint) -> frozenset[str]:
    """The optional flags that this endpoint's server is known to take."""
    minor = minor_version(endpoint)
    return OPTIONAL_FLAGS.get(minor, frozenset()) if minor else frozenset()


def flags_note(endpoint: StreamingEndpoint) -> str | None:
    """Name the flags in the user's arguments with which this version of the server would not start; None if none."""
    minor = minor_version(endpoint)
    problems = flag_tables.unknown(endpoint.spec.engine.args, minor) if minor else ()
    if not problems:
        return None
    return f"The server ends at start with these flags of spec.engine.args: {', '.join(problems)}"


def note(endpoint: StreamingEndpoint) -> str | None:
    """Say why optional flags are left off, and what to set; None when they are on."""
    if optional_flags(endpoint):
        return None
    flags_known = "flags are known for " + ", ".join(
        f"{major}.{minor}" for major, minor in sorted(OPTIONAL_FLAGS)
    )
    off = "server timings and keep-alive are off"
    known = version(endpoint)
    if known is None:
        return f"engine version unknown, set engine.version: {off} ({flags_known})"
    return f"engine version {known}: {off} ({flags_known})"


class Vllm:
    """`vllm serve`, or what `engine.command` starts instead."""

    name = "vllm"
    health_path = "/health"
    metrics_path = "/metrics"
    running_gauge, waiting_gauge = BUSY_GAUGES
    series = Series(  # vllm/v1/metrics/loggers.py of 0.33; disconnected clients are counted by none of them
        ttft="vllm:time_to_first_token_seconds",
        gap="vllm:inter_token_latency_seconds",
        finished="vllm:request_success_total",
        failed='finished_reason=~"error|abort"',
        running=running_gauge,
        waiting=waiting_gauge,
        steps="vllm:iteration_tokens_total_count",
    )

    def command(self, endpoint: StreamingEndpoint) -> list[str] | None:
        """As set; `vllm serve` by default, since images had other entrypoints, which ignore the model named first."""
        given = endpoint.spec.engine.command
        if given is None:
            return ["vllm", "serve"] if endpoint.pod_version >= 3 else None
        return list(given) or None

    def args(self, endpoint: StreamingEndpoint) -> list[str]:
        """The model, what the operator owns, then the user's own: argparse lets the last one win."""
        spec = endpoint.spec
        engine = spec.engine
        source = spec.model.source
        hub = source.hugging_face or source.model_scope
        model = self.source(endpoint)
        # The old server module ignores the model that is named first, and serves one of its own.
        args = ["--model", model] if any(_API_SERVER in word for word in engine.command or ()) else [model]
        if hub and hub.revision:
            args += ["--revision", hub.revision]
        # 0.0.0.0, since the kubelet and the edge come from outside of the pod.
        args += [
            "--host",
            "0.0.0.0",
            "--port",
            str(engine.port),
            "--served-model-name",
            *endpoint.served_names,
        ]
        if engine.tls is not None:
            args += ["--ssl-certfile", f"{TLS_PATH}/tls.crt", "--ssl-keyfile", f"{TLS_PATH}/tls.key"]
        if source.uri and not any(arg.startswith(_LOAD_FORMAT) for arg in engine.args):
            args += [_LOAD_FORMAT, "runai_streamer"]
        if engine.max_model_len is not None:
            args += ["--max-model-len", str(engine.max_model_len)]
        args += _sizes(ranks(endpoint))
        if adapters := adapter_paths(endpoint):
            args += [
                "--enable-lora",
                "--lora-modules",
                *(f"{name}={path}" for name, path in adapters.items()),
            ]
        if engine.streaming_headers:
            args += ["--middleware", "streaming_middleware.StreamingMiddleware"]
            if engine.web_socket:
                args += ["--middleware", "websocket_bridge.WebSocketBridge"]
                args += ["--middleware", "event_source.EventSource"]
            if endpoint.pod_version >= 2:
                # vLLM puts the one that is named last outermost: nothing is routed before it.
                args += ["--middleware", "exposed_paths.ExposedPaths"]
        return args + _optional_args(endpoint) + list(engine.args)

    def source(self, endpoint: StreamingEndpoint) -> str:
        """The model argument: a repository, a URI or a folder. vLLM lists it as the `root` of each served name."""
        source = endpoint.spec.model.source
        hub = source.hugging_face or source.model_scope
        return hub.repo if hub else source.uri or str(model_path(endpoint))

    def adapters(self, endpoint: StreamingEndpoint) -> dict[str, str]:
        """Those of `model.adapters`, or those that the arguments name: never both, by a rule of the API."""
        return adapter_paths(endpoint) or lora_modules(endpoint.spec.engine.args)

    def env(self, endpoint: StreamingEndpoint) -> list[Manifest]:
        """Our defaults, then the user's variables, which win over them where they are not reserved."""
        own = _own_env(endpoint)
        given = {variable.name: _given(variable) for variable in endpoint.spec.engine.env}
        python_path = given.pop("PYTHONPATH", None) if endpoint.spec.engine.streaming_headers else None
        kept = [variable for name, variable in own.items() if name not in given]
        return kept + list(given.values()) + _python_path(endpoint, python_path)

    def drain_command(self, endpoint: StreamingEndpoint) -> list[str]:
        """The packaged script; times and names as arguments, so that its content never changes."""
        rollout = endpoint.spec.rollout
        return [
            "python3",
            f"{FILES_PATH}/{'drain_tls.py' if endpoint.spec.engine.tls else 'drain.py'}",
            f"--port={endpoint.spec.engine.port}",
            f"--pre-stop-seconds={rollout.pre_stop_seconds}",
            f"--drain-seconds={rollout.drain_seconds}",
            f"--health-path={self.health_path}",
            f"--metrics-path={self.metrics_path}",
            *(f"--busy-gauge={gauge}" for gauge in BUSY_GAUGES),
        ]

    def keep_alive_seconds(self, endpoint: StreamingEndpoint) -> int:
        """As set, where the version knows the flag."""
        known = KEEP_ALIVE in optional_flags(endpoint)
        return endpoint.spec.engine.sse_keep_alive_seconds if known else 0

    def lacks(self, endpoint: StreamingEndpoint) -> tuple[str, ...]:
        """By the version of the pods; a variable that the user has set is not lacking."""
        lacks = []
        if endpoint.pod_version < 2:
            lacks.append("do not check what is asked for from outside (docs/security.md)")
        if endpoint.pod_version < 4 and all(given.name != KEEP_IDLE for given in endpoint.spec.engine.env):
            lacks.append(
                "close idle connections after 5 s, upon which an edge that just uses one answers 502 or 503"
            )
        return tuple(lacks)

    def note(self, endpoint: StreamingEndpoint) -> str | None:
        """Flags that the server does not know, then optional ones that are left off."""
        return ". ".join(part for part in (flags_note(endpoint), note(endpoint)) if part) or None


def _sizes(ranks: Ranks) -> list[str]:
    """The flags of parallelism, but for those that the user's arguments set."""
    sizes = {TENSOR: ranks.tensor, PIPELINE: ranks.pipeline, DATA: ranks.data}
    written = {flag: size for flag, size in sizes.items() if size > 1 and flag not in ranks.in_args}
    return [word for flag, size in written.items() for word in (flag, str(size))]


def _optional_args(endpoint: StreamingEndpoint) -> list[str]:
    """Flags that only known versions take."""
    known = optional_flags(endpoint)
    keep_alive = endpoint.spec.engine.sse_keep_alive_seconds
    args: list[str] = []
    if SHUTDOWN_TIMEOUT in known:
        # preStop drains, and the middleware ends the rest: the server's own drain leaves streams hanging.
        args += [SHUTDOWN_TIMEOUT, "0"]
    if PER_REQUEST_METRICS in known:
        args += [PER_REQUEST_METRICS]
    if SSL_REFRESH in known and endpoint.spec.engine.tls is not None:
        args += [SSL_REFRESH]  # a renewed certificate restarts no GPU
    if KEEP_ALIVE in known and keep_alive > 0:
        args += [KEEP_ALIVE, str(keep_alive)]
    return args


def _own_env(endpoint: StreamingEndpoint) -> dict[str, Manifest]:
    """What the operator sets: caches on their volume, limits, no telemetry, secrets by reference."""
    values = {
        "HOME": CACHE_PATH if home_on_cache(endpoint) else HOME,
        # torch asks for the user's name; an arbitrary uid has none in /etc/passwd.
        "USER": "vllm",
        "HF_HOME": f"{CACHE_PATH}/huggingface",
        "VLLM_CACHE_ROOT": f"{CACHE_PATH}/vllm",
        "TRITON_CACHE_DIR": f"{CACHE_PATH}/triton",
        # vLLM gives up by itself after 600 s, whatever the startup probe allows.
        "VLLM_ENGINE_READY_TIMEOUT_S": str(endpoint.spec.startup.timeout_seconds),
        "VLLM_NO_USAGE_STATS": "1",
    }
    if endpoint.pod_version >= 3:
        values["XDG_CONFIG_HOME"] = f"{CACHE_PATH}/config"
    if endpoint.pod_version >= 4:
        values[KEEP_IDLE] = str(KEPT_IDLE)
    if endpoint.spec.engine.streaming_headers:
        values[FLAG_VARIABLE] = DRAIN_OVER_FILE
        if endpoint.pod_version >= 2:
            values |= _exposed_paths(endpoint)
    if endpoint.spec.model.source.model_scope:
        values |= {"VLLM_USE_MODELSCOPE": "True", "MODELSCOPE_CACHE": f"{CACHE_PATH}/modelscope"}
    env: dict[str, Manifest] = {name: {"name": name, "value": value} for name, value in values.items()}
    hub = endpoint.spec.model.source.hugging_face
    if hub and hub.token_secret_ref:
        env["HF_TOKEN"] = _from_secret("HF_TOKEN", hub.token_secret_ref.name, hub.token_secret_ref.key)
    key = endpoint.spec.engine.api_key_secret_ref
    if key:
        env["VLLM_API_KEY"] = _from_secret("VLLM_API_KEY", key.name, key.key)
    return env


def named_paths(endpoint: StreamingEndpoint) -> tuple[str, ...]:
    """What `exposure.pathPrefixes` asks for besides the APIs that are open anyway."""
    prefixes = endpoint.spec.exposure.path_prefixes if endpoint.spec.exposure else ()
    open_anyway = tuple(f"{path}/" for path in OPEN_PATHS)
    return tuple(
        sorted(
            prefix
            for prefix in prefixes
            if prefix != "/" and (prefix in CLOSED_PATHS or not f"{prefix}/".startswith(open_anyway))
        )
    )


def _exposed_paths(endpoint: StreamingEndpoint) -> dict[str, str]:
    """For the middleware: the same for nearly every endpoint, since another value restarts GPUs."""
    named = named_paths(endpoint)
    closed = [path for path in CLOSED_PATHS if path not in named]
    values = {
        "STREAMING_OPEN_PATHS": ",".join((*OPEN_PATHS, *named)),
        "STREAMING_SERVICE": f"{endpoint.name}.{endpoint.namespace}",
    }
    return values | ({"STREAMING_CLOSED_PATHS": ",".join(closed)} if closed else {})


def _python_path(endpoint: StreamingEndpoint, given: Manifest | None) -> list[Manifest]:
    """PYTHONPATH with our middleware first and the user's own behind it."""
    if not endpoint.spec.engine.streaming_headers:
        return []
    if given is None:
        return [{"name": "PYTHONPATH", "value": FILES_PATH}]
    if "valueFrom" not in given:
        behind = given.get("value", "")
        return [{"name": "PYTHONPATH", "value": f"{FILES_PATH}:{behind}" if behind else FILES_PATH}]
    # A value that only the kubelet can read is joined by the kubelet.
    return [
        {"name": "USER_PYTHONPATH", "valueFrom": given["valueFrom"]},
        {"name": "PYTHONPATH", "value": f"{FILES_PATH}:$(USER_PYTHONPATH)"},
    ]


def _given(variable: EnvVar) -> Manifest:
    """One variable of the user as core/v1 wants it."""
    if variable.value_from is not None:
        return {"name": variable.name, "valueFrom": variable.value_from}
    # The API server drops an empty value, and what it drops would look like drift for ever.
    return {"name": variable.name, "value": variable.value} if variable.value else {"name": variable.name}


def _from_secret(name: str, secret: str, key: str) -> Manifest:
    """A variable whose value the kubelet reads; the operator never sees it."""
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}


ENGINE: Engine = Vllm()
