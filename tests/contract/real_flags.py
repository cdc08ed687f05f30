"""The flags of the real vLLM, asked of its own parser in a process of its own (20 s of imports)."""

import pytest

from hack.vllm_flags import asked
from tests.engines.vllm.install import InstallError
from tests.engines.vllm.installed import ensure


def real_flags() -> set[tuple[frozenset[str], str]]:
    try:
        _, flags = asked([ensure() / "site"])
    except InstallError as reason:
        pytest.skip(f"the real vLLM cannot be installed: {reason}")
    return {(frozenset(names), arity) for names, arity in flags}
