"""The flags of the real vLLM, asked of its own parser in a process of its own (20 s of imports)."""

import json
import os
import subprocess
import sys

import pytest

from tests.engines.vllm.install import InstallError
from tests.engines.vllm.installed import ensure

# vLLM cannot be imported here: it is installed in a directory of its own.
PROGRAM = """
import json
from vllm.utils.argparse_utils import FlexibleArgumentParser
from vllm.entrypoints.launchers.cli_args import make_arg_parser
actions = make_arg_parser(FlexibleArgumentParser())._actions
print(json.dumps([[action.option_strings, action.nargs] for action in actions if action.option_strings]))
"""
ARITY = {None: "1", 0: "0", "+": "+", "?": "?"}


def real_flags() -> set[tuple[frozenset[str], str]]:
    try:
        target = ensure()
    except InstallError as reason:
        pytest.skip(f"the real vLLM cannot be installed: {reason}")
    environment = os.environ | {
        "PYTHONPATH": str(target / "site"),
        "LD_LIBRARY_PATH": str(target / "stub"),
        "VLLM_TARGET_DEVICE": "cpu",
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, check=True, capture_output=True, text=True
    )
    rows = json.loads(done.stdout.splitlines()[-1])
    return {(frozenset(names), ARITY[nargs]) for names, nargs in rows if "--help" not in names}
