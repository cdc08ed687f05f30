"""
Writes the table of `vllm serve`'s flags of one version, asked of vLLM's own parser.

`python -m hack.vllm_flags FOLDER...`: the first folder holds the package `vllm` (site-packages of an installation or
an unpacked wheel), the others what it imports. Without a folder: the installation of the tests. 20 s of imports.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from streaming_operator.engines.flag_tables import FOLDER
from tests.engines.vllm.install import InstallError
from tests.engines.vllm.installed import ensure

ARITY = {None: "1", 0: "0", "+": "+", "?": "?", "*": "*"}
"""How many values argparse's nargs takes."""

# vLLM cannot be imported here: it is installed in a directory of its own. Its parser has moved between versions.
PROGRAM = """
import importlib, json
from vllm.utils.argparse_utils import FlexibleArgumentParser
from vllm._version import __version__
for name in ("common", "launchers", "openai"):
    try:
        module = importlib.import_module(f"vllm.entrypoints.{name}.cli_args")
        break
    except ModuleNotFoundError:
        pass
parser = module.make_arg_parser(FlexibleArgumentParser())
flags = [[list(action.option_strings), action.nargs] for action in parser._actions if action.option_strings]
by_name = {name: names for names, _ in flags for name in names}
for name, action in parser._option_string_actions.items():
    if name not in by_name:  # taken, but left out of the help
        by_name[action.option_strings[0]].append(name)
print(json.dumps([__version__, flags]))
"""


def asked(folders: Sequence[str | Path]) -> tuple[str, list[tuple[list[str], str]]]:
    """The version, and of each flag its names and how many values it takes."""
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(map(str, folders)),
        # Empty stand-ins for the libraries that torch's CUDA build is linked against.
        "LD_LIBRARY_PATH": os.pathsep.join(str(Path(folder).parent / "stub") for folder in folders),
        "VLLM_TARGET_DEVICE": "cpu",
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, check=False, capture_output=True, text=True
    )
    if done.returncode != 0:
        raise InstallError(f"vLLM's parser could not be asked: {done.stderr.strip()[-2000:]}")
    version, rows = json.loads(done.stdout.splitlines()[-1])
    return version, [(names, ARITY[nargs]) for names, nargs in rows if "--help" not in names]


def table(flags: Sequence[tuple[list[str], str]]) -> str:
    """One line a flag, by name."""
    return "".join(f"{' '.join(names)} {arity}\n" for names, arity in sorted(flags))


def main() -> None:
    """Write the table of the version that was asked."""
    version, flags = asked(sys.argv[1:] or [ensure() / "site"])
    minor = ".".join(version.split(".")[:2])
    path = Path(str(FOLDER)) / f"{minor}.txt"
    path.parent.mkdir(exist_ok=True)
    path.write_text(table(flags))
    print(f"wrote {path}: {len(flags)} flags of vLLM {version}")


if __name__ == "__main__":
    try:
        main()
    except InstallError as error:
        sys.exit(str(error))
