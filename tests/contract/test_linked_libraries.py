"""Everything that the real servers and proxies are linked to is somewhere: in their wheels, in Debian, or listed."""

import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.cluster import packages, steps
from tests.cluster.programs import LIBRARIES
from tests.engines.vllm.installed import ensure
from tests.lanes import preparation
from tests.probe.packages import wheels

OF_EVERY_DEBIAN = {
    *("ld-linux-x86-64.so.2", "libc.so.6", "libdl.so.2", "libm.so.6", "libpthread.so.0", "libresolv.so.2"),
    *("librt.so.1", "libutil.so.1", "libgcc_s.so.1", "libstdc++.so.6", "libz.so.1"),
}
"""Of libc6, libgcc-s1, libstdc++6 and zlib1g, which dpkg and apt need themselves."""


def linked_to(files: Iterable[Path]) -> set[str]:
    """The names of the libraries that the loader looks for before these programs and modules run."""
    try:
        packages.require("readelf", about="what reads programs")
    except steps.Failure as failure:
        preparation.unavailable(str(failure))
    elf = [path for path in files if path.is_file() and path.open("rb").read(4) == b"\x7fELF"]
    return set(re.findall(r"\(NEEDED\).*\[([^\]]+)\]", steps.output(["readelf", "--dynamic", *elf])))


@pytest.mark.real_vllm
def test_vllm_finds_every_library() -> None:
    """vLLM's own modules and torch's; the first thing that vLLM does with libnuma missing is a warning."""
    server = ensure()
    modules = [*(server / "site/vllm").glob("*.so"), *(server / "site/torch/lib").glob("*.so*")]
    brought = {path.name for folder in ("stub", "site/torch/lib") for path in (server / folder).iterdir()}
    assert linked_to(modules) - brought - OF_EVERY_DEBIAN == {"libnuma.so.1"}
    assert "libnuma.so.1" in LIBRARIES


@pytest.mark.programs("nginx")
def test_the_wheels_of_the_proxies_and_of_llama_find_every_library() -> None:
    """nginx, HAProxy, Envoy, Caddy and llama.cpp."""
    files = list(wheels().rglob("*"))
    brought = {path.name for path in files if ".so" in path.name}
    assert linked_to(files) - brought - OF_EVERY_DEBIAN <= set(LIBRARIES)
