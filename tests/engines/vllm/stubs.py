"""Empty CUDA libraries, so that PyPI's torch (a CUDA build) can be imported where there is no CUDA.

Run as `python -m tests.engines.vllm.stubs TORCH_LIB_DIRECTORY OUT_DIRECTORY`, with gcc and binutils. The linker
wants each library by name, each undefined symbol and each symbol version; what is called (nothing, on CPU) answers
"no device".
"""

import re
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tests.cluster.programs import listed

CUDA_LIBRARY = re.compile(r"lib(cu|nccl|nv)")
CUDA_SYMBOL = re.compile(r"(cu|nccl|nv|__cuda|__nv)")
NO_DEVICE = 100
"""cudaErrorNoDevice."""


@dataclass
class Wanted:
    """What torch's own libraries expect of the missing ones."""

    libraries: set[str] = field(default_factory=set)
    versions: dict[str, set[str]] = field(default_factory=dict)
    undefined: dict[str, str] = field(default_factory=dict)
    """Symbol name -> the name with its version."""
    defined: set[str] = field(default_factory=set)

    def symbols(self) -> list[str]:
        missing = (name for name in self.undefined if name not in self.defined)
        return sorted(name for name in missing if CUDA_SYMBOL.match(name))


def main(torch_libraries: Path, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    wanted = Wanted()
    for library in sorted(torch_libraries.glob("*.so*")):
        _read_needed(library, wanted)
        _read_symbols(library, wanted)
    source = out / "stub.c"
    source.write_text("".join(f"int {name}(void) {{ return {NO_DEVICE}; }}\n" for name in wanted.symbols()))
    for number, name in enumerate(sorted(wanted.libraries)):
        _build(name, number, wanted, source, out)
    source.unlink()


def _read_needed(library: Path, wanted: Wanted) -> None:
    """NEEDED entries and the version names asked of each library."""
    text = _output("readelf", "--dynamic", "--version-info", "--wide", str(library))
    names = re.findall(r"NEEDED.*\[([^\]]+)\]", text)
    wanted.libraries |= {name for name in names if CUDA_LIBRARY.match(name)}
    owner = ""
    for line in text.splitlines():
        if found := re.search(r"File: (\S+)", line):
            owner = found[1]
        elif (found := re.search(r"Name: (\S+)\s+Flags", line)) and CUDA_LIBRARY.match(owner):
            wanted.versions.setdefault(owner, set()).add(found[1])


def _read_symbols(library: Path, wanted: Wanted) -> None:
    for line in _output("nm", "--dynamic", str(library)).splitlines():
        *_, kind, name = line.split()
        plain = name.split("@")[0]
        if kind in "Uu":
            wanted.undefined[plain] = name
        elif kind not in "wv":
            wanted.defined.add(plain)


def _build(name: str, number: int, wanted: Wanted, source: Path, out: Path) -> None:
    options = [f"-Wl,-soname,{name}"]
    if versions := wanted.versions.get(name):
        script = out / "versions.map"
        script.write_text("".join(_version(v, number, wanted) for v in sorted(versions)))
        options.append(f"-Wl,--version-script={script}")
    command = ["gcc", "-shared", "-fPIC", "-O0", "-w", "-fno-builtin", *options]
    subprocess.run(listed([*command, "-o", str(out / name), str(source)]), check=True)
    (out / "versions.map").unlink(missing_ok=True)


def _version(version: str, number: int, wanted: Wanted) -> str:
    symbols: Iterable[str] = (n for n in wanted.symbols() if wanted.undefined[n].endswith("@" + version))
    names = "".join(name + ";" for name in symbols) or f"__stub_{number};"
    return f"{version} {{ global: {names} }};\n"


def _output(*command: str) -> str:
    return subprocess.run(listed(command), check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
