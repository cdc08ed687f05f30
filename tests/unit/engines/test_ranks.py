"""How many processes share a model: fields, flags in the arguments, devices."""

from typing import Any

import pytest

from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.engines import vllm
from streaming_operator.engines.ranks import DATA, LOCAL_DATA, PIPELINE, TENSOR, ranks, sizes


def endpoint(count: int, gpu: dict[str, int] | None = None, **engine: Any) -> StreamingEndpoint:
    """An endpoint on so many GPUs."""
    source = {"huggingFace": {"repo": "Qwen/Qwen2.5-0.5B-Instruct"}}
    return StreamingEndpoint.from_body(
        {
            "metadata": {"name": "qwen"},
            "spec": {"model": {"source": source}, "engine": engine, "gpu": {"count": count, **(gpu or {})}},
        }
    )


@pytest.mark.parametrize(
    ("count", "engine", "sizes"),
    [
        (0, {}, (1, 1, 1)),
        (1, {}, (1, 1, 1)),
        (4, {}, (4, 1, 1)),
        (4, {"tensorParallelSize": 2}, (2, 1, 1)),
        (8, {"pipelineParallelSize": 2}, (4, 2, 1)),
        (8, {"dataParallelSize": 4}, (2, 1, 4)),
        (8, {"dataParallelSize": 2, "pipelineParallelSize": 2}, (2, 2, 2)),
        (8, {"args": ["--data-parallel-size=8"]}, (1, 1, 8)),
        (8, {"args": ["-dp", "8"]}, (1, 1, 8)),
        (8, {"args": ["-dp", "16", "-dpl=8"]}, (1, 1, 16)),
        (4, {"args": ["--pipeline_parallel_size", "2"]}, (2, 2, 1)),
        (2, {"args": ["-tp=2"]}, (2, 1, 1)),
        (4, {"tensorParallelSize": 4, "args": ["--tensor-parallel", "2"]}, (2, 1, 1)),
    ],
)
def test_fields_arguments_and_devices_make_the_ranks(
    count: int, engine: dict[str, Any], sizes: tuple[int, int, int]
) -> None:
    """What the arguments say wins over fields, as vLLM has it; what nothing divides shares each layer."""
    of = ranks(endpoint(count, **engine))

    assert (of.tensor, of.pipeline, of.data) == sizes


@pytest.mark.parametrize(
    ("count", "gpu", "tensor"),
    [(32, {"devicesPerRank": 2}, 16), (1, {"ranksPerDevice": 2}, 2), (0, {"devicesPerRank": 2}, 1)],
)
def test_a_device_may_be_more_or_less_than_a_rank(count: int, gpu: dict[str, int], tensor: int) -> None:
    """Two NeuronCores that are used as one, two cores of one Neuron device; never less than one rank."""
    assert ranks(endpoint(count, gpu)).tensor == tensor


@pytest.mark.parametrize(
    ("engine", "written"),
    [
        ({}, ["--tensor-parallel-size", "8"]),
        ({"dataParallelSize": 8}, ["--data-parallel-size", "8"]),
        ({"args": ["--data-parallel-size=8"]}, ["--data-parallel-size=8"]),
        ({"args": ["-tp", "8"]}, ["-tp", "8"]),
        ({"args": ["-pp", "2"]}, ["--tensor-parallel-size", "4", "-pp", "2"]),
    ],
)
def test_every_flag_is_written_once(engine: dict[str, Any], written: list[str]) -> None:
    """What the user writes is not written by the operator as well."""
    args = vllm.ENGINE.args(endpoint(8, **engine))
    of_size = [at for at, arg in enumerate(args) if "parallel-size" in arg or arg in ("-tp", "-pp", "-dp")]

    assert [word for at in of_size for word in args[at : at + (1 if "=" in args[at] else 2)]] == written


def test_pods_of_earlier_versions_keep_what_they_had() -> None:
    """An upgrade of the operator alone restarts no GPU: arguments were not read then."""
    before = endpoint(8, args=["-dp=8"]).model_copy(update={"pod_version": 2})

    assert (ranks(before).tensor, ranks(before).data) == (8, 1)


@pytest.mark.parametrize(
    ("args", "found"),
    [
        ((), {}),
        (("-tp",), {}),
        (("-tp", "auto"), {}),
        (("-tp", "0"), {}),
        (("-tp=2", "-tp=4"), {TENSOR: 4}),
        (("--data-parallel-size-local", "2", "--data-parallel-size=4"), {LOCAL_DATA: 2, DATA: 4}),
        (("--data-parallel-backend", "2"), {}),
        (("--pipeline-par=2",), {PIPELINE: 2}),
    ],
)
def test_sizes_are_read_as_argparse_reads_them(args: tuple[str, ...], found: dict[str, int]) -> None:
    """Short names, underscores, abbreviations, `=`; the last one counts, and no number is no size."""
    assert sizes(args) == found
