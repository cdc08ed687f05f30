"""`python -m streaming_operator` is `streamctl`."""

from streaming_operator.cli.main import streamctl

if __name__ == "__main__":
    streamctl()
