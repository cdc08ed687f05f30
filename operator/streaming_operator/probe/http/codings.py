"""
Content codings that no request of the probe accepts and that servers send all the same: deflate, br, zstd. Pure.

Decoded where Python or an installed package can: the extra `codings` brings `brotli` and `zstandard`. The operator does
not need them: the fault is the server's, and it is named with or without them.
"""

import importlib
import zlib
from collections.abc import Callable, Iterator
from typing import Any

CODINGS = ("deflate", "br", "zstd", "compress", "x-compress")
"""By their registered names, without gzip; any other word is no coding. `decoder` says which cannot be decoded."""
_PACKAGES = {"br": "brotli", "zstd": "zstandard"}

SLICE = 64 * 1024
"""Bytes that are decoded before they are parsed: as many as one read has at most."""
_BOUNDED = "can_accept_more_data"
"""Since brotli 1.2, with which its output has a limit; before that a small body fills the memory."""
_ZSTD_INPUT = 64
"""Bytes given to zstandard at once, which has no limit for what it makes of them: 128 KiB of each four."""
_ZSTD_WINDOW = 8 * 1024 * 1024
"""Bytes that a decoder has to remember for HTTP (RFC 9659)."""


class DecodingError(Exception):
    """A body that cannot be decoded; the codecs turn it into `Broken`."""


class TooLargeError(DecodingError):
    """More than is read of one response; the codecs turn it into `Broken`."""


def decoder(coding: str) -> Callable[[bytes], Iterator[bytes]]:
    """An incremental decoder into slices; raises DecodingError for damaged data, or here, where there is none."""
    if coding == "deflate":
        return _Deflate()
    name = _PACKAGES.get(coding)
    try:
        package = importlib.import_module(name) if name else None
    except ImportError:
        package = None
    if coding == "zstd" and package is not None:
        return _zstandard(package)
    if coding == "br" and hasattr(getattr(package, "Decompressor", None), _BOUNDED):
        return _brotli(package)
    how = f" without the Python package {name} (extra codings)" if name else ""
    raise DecodingError(f"Content-Encoding {coding} was not asked for and cannot be decoded here{how}")


class _Deflate:
    """zlib's format, as the standard has it, or the bare one, which some servers send."""

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj()
        self._started = False

    def __call__(self, data: bytes) -> Iterator[bytes]:
        while True:
            try:
                plain = self._inflate.decompress(data, SLICE)
            except zlib.error as error:
                if self._started:
                    raise DecodingError(
                        f"the deflate body, which was not asked for, is damaged: {error}"
                    ) from error
                self._started, self._inflate = True, zlib.decompressobj(wbits=-zlib.MAX_WBITS)
                continue
            self._started = True
            yield plain
            data = self._inflate.unconsumed_tail
            if not data and len(plain) < SLICE:
                return


def _brotli(package: Any) -> Callable[[bytes], Iterator[bytes]]:
    engine = package.Decompressor()

    def decode(data: bytes) -> Iterator[bytes]:
        while True:
            try:
                plain = engine.process(data, output_buffer_limit=SLICE)
            except package.error as error:
                raise DecodingError(f"the br body, which was not asked for, is damaged: {error}") from error
            yield plain
            data = b""
            if engine.can_accept_more_data() and len(plain) < SLICE:
                return

    return decode


def _zstandard(package: Any) -> Callable[[bytes], Iterator[bytes]]:
    engine = package.ZstdDecompressor(max_window_size=_ZSTD_WINDOW).decompressobj(read_across_frames=True)

    def decode(data: bytes) -> Iterator[bytes]:
        for begin in range(0, len(data), _ZSTD_INPUT):
            try:
                plain = engine.decompress(data[begin : begin + _ZSTD_INPUT])
            except package.ZstdError as error:
                raise DecodingError(f"the zstd body, which was not asked for, is damaged: {error}") from error
            yield from (plain[at : at + SLICE] for at in range(0, len(plain), SLICE))

    return decode
