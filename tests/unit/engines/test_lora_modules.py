"""Which adapters the arguments of vLLM name."""

import pytest

from streaming_operator.engines.lora_modules import lora_modules


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        pytest.param(["--enable-lora"], {}, id="none"),
        pytest.param(
            ["--max-loras=4", "--lora-modules", "sql=org/sql-lora", "fin=/adapters/fin", "--enforce-eager"],
            {"sql": "org/sql-lora", "fin": "/adapters/fin"},
            id="two",
        ),
        pytest.param(["--lora_modules=a=b=c"], {"a": "b=c"}, id="one word"),
        pytest.param(
            ["--lora-modules", '{"name": "fin", "path": "/fin", "base_model_name": "chat"}'],
            {"fin": "/fin"},
            id="JSON",
        ),
        pytest.param(["--lora-modules", "a=b", "--lora-modules", "c=d"], {"c": "d"}, id="the last flag wins"),
        pytest.param(["--lora-modules", "org/sql", '{"name": "x"}', "{", "=y"], {}, id="what vLLM refuses"),
    ],
)
def test_adapters_of_the_arguments(args: list[str], expected: dict[str, str]) -> None:
    """Both forms of vLLM, and which of two flags counts."""
    assert lora_modules(tuple(args)) == expected
