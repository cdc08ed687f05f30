"""
The sessions of many verifications keep as many TLS contexts as there are CAs in use, and no more memory; what they
accept does not depend on the Python that runs them.
"""

import ssl
import subprocess
import sys
from types import SimpleNamespace

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


def test_a_certificate_is_judged_alike_on_every_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    From 3.13 on the default refuses certificates without a key identifier of their CA, and takes an issuing CA alone;
    curl and Go accept both.
    """
    default = ssl.create_default_context

    def strict(cadata: str | None = None) -> ssl.SSLContext:
        context = default(cadata=cadata)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr(ssl, "create_default_context", strict)
    context = tls._context(authority("tenant").pem, False, False)
    flags = context.verify_flags & (ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN)
    assert flags == ssl.VERIFY_X509_PARTIAL_CHAIN
    assert context.verify_mode == ssl.CERT_REQUIRED


def test_a_certificate_of_the_year_1_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Go writes it where nobody set a begin, OpenSSL verifies it, and Python cannot read it: nothing is told of it."""
    session = tls.Session("llm.example", None, http2=False)
    dates = {"notBefore": "Jan  1 00:00:00 1 GMT", "notAfter": "Jan  1 00:00:00 2036 GMT"}
    monkeypatch.setattr(session, "_session", SimpleNamespace(getpeercert=lambda: dates))
    assert session._validity() is None


def test_bundle_that_is_too_large_is_refused_in_words() -> None:
    """A ConfigMap may hold 1 MiB of certificates, of which OpenSSL would keep 10 MiB."""
    with pytest.raises(ValueError, match="leave only the CAs of this address"):
        tls.Session("llm.example", "x" * (tls.LARGEST_CA + 1), http2=False)
