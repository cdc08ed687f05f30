"""Starts the double: `serve MODEL` and vLLM's flags, plus the knobs of knobs.py."""

import asyncio
import sys

from .args import parse
from .server import serve

if __name__ == "__main__":
    sys.exit(asyncio.run(serve(parse(sys.argv[1:]))))
