"""
Entry points of `streamctl` and `kubectl streaming`: no traceback for user errors and Ctrl-C.

The commands are imported inside the functions, so that a Ctrl-C in the first half second is handled too.
"""

import os
import sys
from typing import NoReturn

INTERRUPTED, FAILED = 130, 1


def streamctl() -> NoReturn:
    """Entry point of `streamctl`."""
    sys.exit(_run("streamctl"))


def plugin() -> NoReturn:
    """Entry point of `kubectl streaming ...`: the same commands under the name that was typed."""
    sys.exit(_run("kubectl streaming"))


def complete_plugin() -> NoReturn:
    """Entry point of `kubectl_complete-streaming`: kubectl calls it for TAB after `kubectl streaming`."""
    try:
        from streaming_operator.cli.app import main
        from streaming_operator.cli.completion import complete_for_kubectl

        print("\n".join(complete_for_kubectl(main, sys.argv[1:])))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    sys.exit(0)


def _run(name: str) -> int:
    try:
        import click

        from streaming_operator.cli.app import main
    except KeyboardInterrupt:
        return INTERRUPTED
    try:
        code = main.main(prog_name=name, standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        print("stopped", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # `| head` reads no more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except OSError as error:  # a full disk, a file that went away
        print(
            f"Error: {error.strerror or error}{f': {error.filename}' if error.filename else ''}",
            file=sys.stderr,
        )
        return FAILED
