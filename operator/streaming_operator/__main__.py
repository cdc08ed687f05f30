"""`python -m streaming_operator` is `streamctl`."""

from streaming_operator.cli import main

if __name__ == "__main__":
    main(prog_name="streamctl")
