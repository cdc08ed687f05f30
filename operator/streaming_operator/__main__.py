"""`python -m streaming_operator` is `streamctl`."""

from streaming_operator.entry import streamctl

if __name__ == "__main__":
    streamctl()
