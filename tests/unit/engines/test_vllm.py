"""How vLLM is configured to stream: versions, flags, environment."""

from typing import Any

import pytest

from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.engines import registry, select, vllm

KNOWN = ["--shutdown-timeout", "--enable-per-request-metrics", "--sse-keep-alive-interval"]


def endpoint(**engine: Any) -> StreamingEndpoint:
    """An endpoint with the given `spec.engine`."""
    source = {"huggingFace": {"repo": "Qwen/Qwen2.5-0.5B-Instruct"}}
    return StreamingEndpoint.from_body(
        {"metadata": {"name": "qwen"}, "spec": {"model": {"source": source}, "engine": engine}}
    )


def environment(**engine: Any) -> dict[str, Any]:
    """The variables by name; each name must be there once, or server-side apply refuses the Deployment."""
    variables = vllm.ENGINE.env(endpoint(**engine))
    assert len(variables) == len({variable["name"] for variable in variables})
    return {variable["name"]: variable.get("value", variable.get("valueFrom")) for variable in variables}


@pytest.mark.parametrize(
    ("image", "version"),
    [
        ("vllm/vllm-openai:v0.33.0", "0.33.0"),
        ("vllm/vllm-openai:0.32.1", "0.32.1"),
        ("vllm/vllm-openai:v0.33.0-cu130-ubuntu2404", "0.33.0"),
        ("registry.example.com:5000/vllm:v0.33.0", "0.33.0"),
        ("vllm:v0.33.0@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "0.33.0"),
        ("registry.example.com:5000/vllm", None),
        ("vllm@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", None),
        ("vllm/vllm-openai:latest", None),
        ("vllm/vllm-openai:nightly-0.33.0", None),
        ("vllm/vllm-openai:v0.33", None),
        ("vllm/vllm-openai:v0.33.0rc1", None),
    ],
)
def test_the_version_comes_from_the_tag(image: str, version: str | None) -> None:
    """`v?X.Y.Z`, with or without a suffix, is the version; anything else is not."""
    assert version == vllm.version(endpoint(image=image))


def test_the_version_that_the_user_states_wins() -> None:
    """`engine.version` is asked first."""
    assert vllm.version(endpoint(image="vllm/vllm-openai:v0.33.0", version="0.32.0")) == "0.32.0"


@pytest.mark.parametrize("version", ["0.32.0", "0.33.0", "0.33.4"])
def test_known_versions_get_every_optional_flag(version: str) -> None:
    """Server timings and keep-alive are on where the source was read."""
    known = endpoint(image="vllm:custom", version=version)

    assert [flag for flag in vllm.ENGINE.args(known) if flag in KNOWN] == KNOWN
    assert vllm.note(known) is None


@pytest.mark.parametrize(
    ("engine", "note"),
    [
        (
            {"image": "vllm:custom"},
            "engine version unknown, set engine.version: server timings and keep-alive are off "
            "(flags are known for 0.32, 0.33)",
        ),
        (
            {"image": "vllm:v0.18.0"},
            "engine version 0.18.0: server timings and keep-alive are off (flags are known for 0.32, 0.33)",
        ),
    ],
)
def test_other_versions_get_no_optional_flag_and_a_sentence(engine: dict[str, Any], note: str) -> None:
    """A flag that a server does not know would end it at start; what is missing is reported."""
    assert [flag for flag in vllm.ENGINE.args(endpoint(**engine)) if flag in KNOWN] == []
    assert note == vllm.note(endpoint(**engine))


@pytest.mark.parametrize(
    ("engine", "version", "command", "model"),
    [
        ({}, 3, ["vllm", "serve"], ["Qwen/Qwen2.5-0.5B-Instruct"]),
        ({}, 2, None, ["Qwen/Qwen2.5-0.5B-Instruct"]),
        ({"command": []}, 3, None, ["Qwen/Qwen2.5-0.5B-Instruct"]),
        ({"command": ["/bin/sh", "-c", 'exec vllm serve "$@"', "--"]}, 3,
         ["/bin/sh", "-c", 'exec vllm serve "$@"', "--"], ["Qwen/Qwen2.5-0.5B-Instruct"]),
        ({"command": ["python3", "-m", "vllm.entrypoints.openai.api_server"]}, 3,
         ["python3", "-m", "vllm.entrypoints.openai.api_server"], ["--model", "Qwen/Qwen2.5-0.5B-Instruct"]),
    ],
)  # fmt: skip
def test_no_entrypoint_decides_which_model_is_served(
    engine: dict[str, Any], version: int, command: list[str] | None, model: list[str]
) -> None:
    """`vllm serve` is written out, but not for earlier pods; the old server module takes the model by its flag."""
    of = endpoint(**engine).model_copy(update={"pod_version": version})

    assert (vllm.ENGINE.command(of), vllm.ENGINE.args(of)[: len(model)]) == (command, model)


def test_no_keep_alive_when_it_is_zero() -> None:
    """`sseKeepAliveSeconds: 0` turns the comments off, and then none are expected."""
    assert vllm.ENGINE.keep_alive_seconds(endpoint(sseKeepAliveSeconds=0)) == 0
    assert vllm.ENGINE.keep_alive_seconds(endpoint()) == 15
    assert vllm.ENGINE.keep_alive_seconds(endpoint(version="0.30.0")) == 0
    assert "--sse-keep-alive-interval" not in vllm.ENGINE.args(endpoint(sseKeepAliveSeconds=0))


@pytest.mark.parametrize(
    ("source", "args", "variables"),
    [
        ({"uri": "s3://models/llama"}, ["s3://models/llama", "--load-format", "runai_streamer"], {}),
        ({"image": {"reference": "example.com/qwen:1", "path": "weights/"}}, ["/models/weights"], {}),
        ({"image": {"reference": "example.com/qwen:1"}}, ["/models"], {}),
        ({"modelScope": {"repo": "Qwen/Qwen3-8B", "revision": "v1"}}, ["Qwen/Qwen3-8B", "--revision", "v1"],
         {"VLLM_USE_MODELSCOPE": "True", "MODELSCOPE_CACHE": "/home/vllm/.cache/modelscope"}),
    ],
)  # fmt: skip
def test_weights_come_from_where_the_source_says(
    source: dict[str, Any], args: list[str], variables: dict[str, str]
) -> None:
    """An object store is streamed, an image's volume is a folder, ModelScope is a hub."""
    spec = {"model": {"source": source}}
    of = StreamingEndpoint.from_body({"metadata": {"name": "qwen"}, "spec": spec})
    env = {variable["name"]: variable.get("value") for variable in vllm.ENGINE.env(of)}

    assert [arg for arg in vllm.ENGINE.args(of) if arg in args] == args
    assert {name: env.get(name) for name in variables} == variables


def test_a_load_format_of_the_user_stays() -> None:
    """The sharded streamer is chosen by the arguments."""
    source = {"uri": "s3://models/llama"}
    spec = {"model": {"source": source}, "engine": {"args": ["--load-format=runai_streamer_sharded"]}}
    args = vllm.ENGINE.args(StreamingEndpoint.from_body({"metadata": {"name": "qwen"}, "spec": spec}))

    assert [arg for arg in args if "load-format" in arg] == ["--load-format=runai_streamer_sharded"]


def test_the_first_of_several_names_is_the_one_that_counts() -> None:
    """Clients may send any of them; responses, metrics and the probe use the first."""
    source = {"huggingFace": {"repo": "Qwen/Qwen2.5-0.5B-Instruct"}}
    spec = {"model": {"source": source, "servedNames": ["qwen", "Qwen/Qwen2.5-0.5B-Instruct"]}}
    of = StreamingEndpoint.from_body({"metadata": {"name": "other"}, "spec": spec})
    args = vllm.ENGINE.args(of)
    at = args.index("--served-model-name")

    assert args[at + 1 : at + 4] == ["qwen", "Qwen/Qwen2.5-0.5B-Instruct", "--middleware"]
    assert of.served_name == "qwen"


def test_the_users_flags_come_last() -> None:
    """argparse lets the last one win."""
    assert vllm.ENGINE.args(endpoint(args=["--tensor-parallel-size=1"]))[-1] == "--tensor-parallel-size=1"


def test_secrets_go_by_reference() -> None:
    """The operator names the Secret; the kubelet reads it."""
    variables = environment(apiKeySecretRef={"name": "key", "key": "value"})

    assert variables["VLLM_API_KEY"] == {"secretKeyRef": {"name": "key", "key": "value"}}


def test_the_engines_own_patience_is_the_startup_budget() -> None:
    """vLLM gives up after 600 s by itself, whatever the probe allows."""
    assert environment()["VLLM_ENGINE_READY_TIMEOUT_S"] == "1800"


def test_a_users_variable_replaces_ours() -> None:
    """Home, caches and telemetry are defaults, no rules."""
    variables = environment(env=[{"name": "HF_HOME", "value": "/data"}, {"name": "VLLM_NO_USAGE_STATS"}])

    assert (variables["HF_HOME"], variables["VLLM_NO_USAGE_STATS"]) == ("/data", None)


@pytest.mark.parametrize(
    ("variable", "python_path"),
    [
        (None, "/etc/streaming-operator"),
        ({"name": "PYTHONPATH", "value": "/opt/a:/opt/b"}, "/etc/streaming-operator:/opt/a:/opt/b"),
        ({"name": "PYTHONPATH", "value": ""}, "/etc/streaming-operator"),
        (
            {"name": "PYTHONPATH", "valueFrom": {"configMapKeyRef": {"name": "paths", "key": "python"}}},
            "/etc/streaming-operator:$(USER_PYTHONPATH)",
        ),
    ],
)
def test_our_module_is_found_before_the_users(variable: dict[str, Any] | None, python_path: str) -> None:
    """The middleware's folder comes first on PYTHONPATH, and the user's are kept."""
    assert python_path == environment(env=[variable] if variable else [])["PYTHONPATH"]


def test_without_headers_nothing_of_ours_is_on_the_path() -> None:
    """`streamingHeaders: false` leaves flag and path alone."""
    own_path = [{"name": "PYTHONPATH", "value": "/opt/a"}]
    off = endpoint(streamingHeaders=False, env=own_path)

    assert "--middleware" not in vllm.ENGINE.args(off)
    assert environment(streamingHeaders=False, env=own_path)["PYTHONPATH"] == "/opt/a"
    assert "PYTHONPATH" not in environment(streamingHeaders=False)


def test_sockets_are_taken_behind_the_check_of_paths_and_before_the_rest() -> None:
    """The one that is named last is outermost: a refused path stays refused, and an answer ends as any stream does."""
    args = vllm.ENGINE.args(endpoint(webSocket=True))
    named = [args[place + 1] for place, word in enumerate(args) if word == "--middleware"]

    assert named == [
        "streaming_middleware.StreamingMiddleware",
        "websocket_bridge.WebSocketBridge",
        "event_source.EventSource",
        "exposed_paths.ExposedPaths",
    ]


def test_the_engine_of_an_endpoint_is_registered() -> None:
    """The registry is the only way to an engine."""
    assert select(endpoint()) is registry()["vllm"]


def test_adapters_are_served_under_their_names() -> None:
    """Those of the hub by their repository, those of a volume by a folder of their own, in the order of the spec."""
    adapters = [
        {"name": "sql", "source": {"huggingFace": {"repo": "org/sql-lora"}}},
        {"name": "fin", "source": {"persistentVolumeClaim": {"claimName": "adapters", "path": "fin/"}}},
        {"name": "law", "source": {"image": {"reference": "example.com/law:1"}}},
        {"name": "own", "source": {"local": {"path": "/opt/own"}}},
    ]
    source = {"huggingFace": {"repo": "Qwen/Qwen2.5-0.5B-Instruct"}}
    spec = {"model": {"source": source, "adapters": adapters}}
    args = vllm.ENGINE.args(StreamingEndpoint.from_body({"metadata": {"name": "qwen"}, "spec": spec}))
    at = args.index("--enable-lora")

    assert args[at + 1 : at + 7] == [
        "--lora-modules",
        "sql=org/sql-lora",
        "fin=/adapters/1/fin",
        "law=/adapters/2",
        "own=/opt/own",
        "--middleware",
    ]
