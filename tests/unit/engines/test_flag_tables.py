"""Arguments are held against the flags of the server's version."""

import pytest

from streaming_operator.engines import flag_tables, vllm
from tests.engines.double.args import known_flags
from tests.unit.engines.test_vllm import endpoint


@pytest.mark.parametrize(
    ("args", "version", "said"),
    [
        (("--max-num-seqs=8", "--enable_prefix_caching", "-tp", "2", "--no-enable-prefix-caching"), (0, 33), ()),
        (("--max-num-batched-token=4096",), (0, 33), ()),
        (("--compilation-config.mode", "3", "-cc.mode=3", "-O3", "-O", "2"), (0, 33), ()),
        (("--temperature-offset", "-1.5", "-", "--", "-7"), (0, 33),
         ("--temperature-offset is no flag of vLLM 0.33",)),
        (("--disable-log-requests",), (0, 33), ()),
        (("--disable-log-requests",), (0, 32),
         ("--disable-log-requests is new in 0.33 (is --enable-log-requests meant?)",)),
        (("--enable-mamba-fine-grained-prefix-cache",), (0, 33),
         ("--enable-mamba-fine-grained-prefix-cache was removed in 0.31",)),
        (("--swap-space", "4"), (0, 33), ("--swap-space is no flag of vLLM 0.33",)),
        (("--max-modellen=1",), (0, 33), ("--max-modellen is no flag of vLLM 0.33 (is --max-model-len meant?)",)),
        (("--max-num-b=1", "--data-parallel-size-=1"), (0, 33), ()),
        (("--max-num-queued=1",), (0, 33),
         ("--max-num-queued may be --max-num-queued-reqs or --max-num-queued-tokens",)),
        (("--whatever",), (0, 12), ()),
    ],
)  # fmt: skip
def test_what_the_server_would_not_take_is_named(
    args: tuple[str, ...], version: flag_tables.Minor, said: tuple[str, ...]
) -> None:
    """Unknown, removed and ambiguous flags, with what may be meant; values, abbreviations and members of JSON pass."""
    assert flag_tables.unknown(args, version) == said


def test_every_version_with_optional_flags_has_a_table() -> None:
    """And its table has them: the tables come from the real parsers."""
    for version, flags in vllm.OPTIONAL_FLAGS.items():
        assert flags <= flag_tables.tables()[version]


def test_the_double_takes_the_flags_of_its_version() -> None:
    """One parser was asked for both."""
    assert flag_tables.tables()[0, 32] == {name for names, _ in known_flags() for name in names}


def test_what_the_operator_renders_is_known_to_every_version() -> None:
    """None of our own flags ends a server whose flags are known."""
    for major, minor in flag_tables.tables():
        args = vllm.ENGINE.args(endpoint(version=f"{major}.{minor}.0", maxModelLen=1, pipelineParallelSize=1))
        assert flag_tables.unknown(tuple(args), (major, minor)) == ()


def test_the_note_names_the_flag_and_the_field() -> None:
    """It stands in a condition and on stderr of `streamctl render`."""
    of = endpoint(args=["--swap-space=4"])

    assert vllm.ENGINE.note(of) == (
        "The server ends at start with these flags of spec.engine.args: --swap-space is no flag of vLLM 0.33"
    )
    assert vllm.ENGINE.note(endpoint(image="vllm:custom", args=["--swap-space=4"])) == vllm.note(
        endpoint(image="vllm:custom")
    )
