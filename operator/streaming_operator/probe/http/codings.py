"""
Content codings that no request of the probe accepts and that servers send all the same: deflate, br, zstd. Pure.

Decoded where Python or an installed package can: `brotli` or `brotlicffi`, `zstandard`. They are no dependencies: the
fault is the server's, and it is named with or without them.
"""

import importlib
import zlib
from collections.abc import Callable, Iterator
from typing import Any

CODINGS = ("deflate", "br", "zstd", "compress", "x-compress")
"""By their registered names, without gzip; any other word is no coding. `decoder` says which cannot be decoded."""
_PACKAGES = {"br": ("brotli", "brotlicffi"), "zstd": ("zstandard",)}


SLICE = 64 * 1024
"""Bytes that are decoded before they are parsed: as many as one read has at most."""


class DecodingError(Exception):
    """A body that cannot be decoded; the codecs turn it into `Broken`."""


class TooLargeError(DecodingError):
    """More than is read of one response; the codecs turn it into `Broken`."""


def decoder(coding: str) -> Callable[[bytes], Iterator[bytes]]:
    """An incremental decoder into slices; raises DecodingError for damaged data, or here, where there is none."""
    if coding == "deflate":
        return _Deflate()
    for name in _PACKAGES.get(coding, ()):
        try:
            package = importlib.import_module(name)
        except ImportError:
            continue
        return _decoder_of(package, coding)
    packages = _PACKAGES.get(coding)
    how = f" without the Python package {packages[0]}" if packages else ""
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
                    raise DecodingError(f"the deflate body is damaged: {error}") from error
                self._started, self._inflate = True, zlib.decompressobj(wbits=-zlib.MAX_WBITS)
                continue
            self._started = True
            yield plain
            data = self._inflate.unconsumed_tail
            if not data and len(plain) < SLICE:
                return


def _decoder_of(package: Any, coding: str) -> Callable[[bytes], Iterator[bytes]]:
    if coding == "zstd":
        decompress = package.ZstdDecompressor().decompressobj().decompress
    else:
        engine = package.Decompressor()
        decompress = getattr(engine, "process", None) or engine.decompress

    def decode(data: bytes) -> Iterator[bytes]:
        try:
            yield bytes(decompress(data))
        except Exception as error:  # each package has an exception of its own
            raise DecodingError(f"the {coding} body is damaged: {error}") from error

    return decode
