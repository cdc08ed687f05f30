"""The sessions of many verifications keep as many TLS contexts as there are CAs in use, and no more memory."""

import subprocess
import sys

import pytest

from streaming_operator.probe.http import tls
from tests.probe.certificates import authority

ROUNDS = 288
"""Verifications: those of one endpoint in a day, at the default interval of 300 s."""
GROWTH_MIB = 4

_GROWTH = f"""
import time
from streaming_operator.probe.http import tls

def resident():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * 4096 / 2**20

now = [0.0]
tls.time.monotonic = lambda: now[0]
for turn in range({ROUNDS}):
    now[0] += 300.0
    tls.Session("llm.example", None, http2=bool(turn % 2))
    if turn == {ROUNDS} // 10:
        before = resident()
print(len(tls._contexts), resident() - before)
"""


def test_a_day_of_verifications_keep_two_contexts() -> None:
    """288 sessions over a day, half of them with HTTP/2: two contexts, less than 4 MiB more than at the start."""
    out = subprocess.run([sys.executable, "-c", _GROWTH], check=True, capture_output=True, text=True).stdout
    contexts, growth = out.split()
    assert int(contexts) == 2
    assert float(growth) < GROWTH_MIB


def test_a_thousand_cas_keep_a_mebibyte_of_bundles() -> None:
    """Each tenant brings its own CA: the contexts that were used last are kept, up to 1 MiB of bundles."""
    ca = authority("tenant").pem
    for number in range(1000):
        tls.Session("llm.example", f"{ca}\n# {number}", http2=False)
    assert sum(kept.size for kept in tls._contexts.values()) <= tls.KEPT


def test_same_ca_is_read_once() -> None:
    """Two sessions with one CA share its context."""
    ca = authority("tenant").pem
    assert tls._context(ca, False, False) is tls._context(ca, False, False)


def test_bundle_that_is_too_large_is_refused_in_words() -> None:
    """A ConfigMap may hold 1 MiB of certificates, of which OpenSSL would keep 10 MiB."""
    with pytest.raises(ValueError, match="leave only the CAs of this address"):
        tls.Session("llm.example", "x" * (tls.LARGEST_CA + 1), http2=False)
