"""
How many processes of one pod share a model, and how: by the fields of the spec and by the flags in its arguments.

vLLM lets the last of two equal flags win, and the user's arguments come last, so that a flag there counts.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from streaming_operator.api.endpoint import StreamingEndpoint

TENSOR = "--tensor-parallel-size"
PIPELINE = "--pipeline-parallel-size"
DATA = "--data-parallel-size"
LOCAL_DATA = "--data-parallel-size-local"

ALIASES: Mapping[str, str] = MappingProxyType(
    {"-tp": TENSOR, "-pp": PIPELINE, "-dp": DATA, "-dpl": LOCAL_DATA}
)
"""vLLM's short names of these flags."""
_ABBREVIATED = (("--tensor-", TENSOR), ("--pipeline-", PIPELINE))
"""What begins like this is an abbreviation of it: no other flag does. Data parallelism has many flags."""


@dataclass(frozen=True, slots=True)
class Ranks:
    """The processes of one pod."""

    tensor: int
    """That share each layer."""
    pipeline: int
    """Groups that share the stack of layers."""
    data: int
    """Copies of the model."""
    in_args: frozenset[str] = frozenset()
    """The flags that the user's own arguments set; they are not written twice."""


def ranks(endpoint: StreamingEndpoint) -> Ranks:
    """
    The ranks of one pod. Devices that nothing divides share each layer.

    Before version 3 of the pods, arguments were not read, and data parallelism had no field.
    """
    engine = endpoint.spec.engine
    set_in_args = sizes(engine.args) if endpoint.pod_version >= 3 else {}
    pipeline = set_in_args.get(PIPELINE, engine.pipeline_parallel_size)
    data = set_in_args.get(DATA, engine.data_parallel_size)
    here = set_in_args.get(LOCAL_DATA, data)
    gpu = endpoint.spec.gpu
    held = gpu.count * (gpu.ranks_per_device or 1) // (gpu.devices_per_rank or 1)
    by_devices = max(1, held // (pipeline * here))
    tensor = set_in_args.get(TENSOR, engine.tensor_parallel_size or by_devices)
    return Ranks(tensor, pipeline, data, frozenset(set_in_args))


def sizes(args: tuple[str, ...]) -> dict[str, int]:
    """The sizes that the arguments set, by the flags' full names: `-tp 2`, `-tp=2`, `--tensor_parallel_size=2`."""
    result = {}
    for arg, following in zip(args, (*args[1:], ""), strict=False):
        name, equals, value = arg.partition("=")
        flag = _flag(name)
        text = value if equals else following
        if flag is not None and text.isascii() and text.isdigit() and int(text) > 0:
            result[flag] = int(text)
    return result


def _flag(name: str) -> str | None:
    """The full name of the flag, if it is one of these."""
    if name in ALIASES:
        return ALIASES[name]
    dashed = name.replace("_", "-")
    if dashed in ALIASES.values():
        return dashed
    return next(
        (flag for start, flag in _ABBREVIATED if dashed.startswith(start) and flag.startswith(dashed)), None
    )
