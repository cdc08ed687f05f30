"""Headers and client certificates in Secrets: what is sent, and what is refused in words that hold nothing of them."""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from streaming_operator import probe
from streaming_operator.errors import ClusterError, NotFound, Rejected
from streaming_operator.probe.http.request import MOST_HEADERS
from streaming_operator.probe.http.tls import LARGEST_CHAIN, LARGEST_KEY, ClientCertificate
from tests.probe.certificates import authority

VALUE = "g4teway-secret"
KEY_BEGIN = "-----BEGIN PRIVATE KEY"


@pytest.fixture(scope="module")
def pems(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str, str]:
    """A certificate, its private key and that of another one."""
    folder: Path = tmp_path_factory.mktemp("pems")
    files = [authority("users").file(name, folder).read_text() for name in ("me", "you")]
    (mine, certificate), (other, _) = (file.split("-----BEGIN CERTIFICATE", 1) for file in files)
    return f"-----BEGIN CERTIFICATE{certificate}", mine, other


def test_every_entry_is_a_header() -> None:
    """By its name, without the line feed at the end that `echo` leaves."""
    headers = probe.headers_of("chat/gateway", {"X-Tenant": "blue", "X-Gateway-Key": f"{VALUE}\n"})
    assert [(header.name, header.value.secret) for header in headers] == [
        ("X-Gateway-Key", VALUE),
        ("X-Tenant", "blue"),
    ]


@pytest.mark.parametrize(
    ("entries", "problem"),
    [
        *(
            ({name: VALUE}, f"{name}: the probe sets this header itself")
            for name in (
                "Host",
                "content-length",
                "Content-Type",
                "Transfer-Encoding",
                "Connection",
                "Accept-Encoding",
                "Proxy-Authorization",
            )
        ),
        ({"X-Key": ""}, "X-Key: the value is empty or holds a character that no header can carry"),
        ({"X-Key": f"{VALUE}\r\nHost: x"}, "X-Key: the value is empty or holds a character that no header can carry"),
        ({"X-Key": VALUE, "x-key": VALUE}, "x-key is there twice, in upper and lower case"),
        ({}, "it has 0 entries instead of 1 to 16 headers"),
        (
            {f"X-{number}": VALUE for number in range(MOST_HEADERS + 1)},
            "it has 17 entries instead of 1 to 16 headers",
        ),
    ],
)  # fmt: skip
def test_a_header_that_is_not_sent_is_named(entries: Mapping[str, str], problem: str) -> None:
    """Which Secret, which header and why, without the value."""
    with pytest.raises(Rejected) as refused:
        probe.headers_of("chat/gateway", entries)
    assert str(refused.value) == f"Secret chat/gateway: {problem}"


def test_a_certificate_with_its_key_is_an_identity(pems: tuple[str, str, str]) -> None:
    """As in a Secret of type kubernetes.io/tls; its repr holds neither."""
    certificate, key, _ = pems
    identity = probe.identity_of("chat/client", {"tls.crt": certificate, "tls.key": key, "ca.crt": "x"})
    assert (identity.certificate, identity.key) == (certificate, key)
    assert repr(identity) == "ClientCertificate()"


def test_a_client_certificate_that_cannot_be_used_is_named(pems: tuple[str, str, str]) -> None:
    """Which Secret, which key and why, without the private key."""
    certificate, key, other = pems
    refusals: dict[str, ClusterError] = {}
    for name, entries in {
        "no certificate": {"tls.key": key},
        "no key": {"tls.crt": certificate, "tls.key": ""},
        "of another": {"tls.crt": certificate, "tls.key": other},
        "no PEM": {"tls.crt": certificate, "tls.key": VALUE},
        "long key": {"tls.crt": certificate, "tls.key": key + "\n" * LARGEST_KEY},
        "long chain": {"tls.crt": certificate + "\n" * LARGEST_CHAIN, "tls.key": key},
    }.items():
        with pytest.raises((NotFound, Rejected)) as refused:
            probe.identity_of("chat/client", entries)
        refusals[name] = refused.value
    assert str(refusals["no certificate"]) == "Secret chat/client has no key 'tls.crt'"
    assert str(refusals["no key"]) == "Secret chat/client has no key 'tls.key'"
    for name, why in {
        "of another": "key values mismatch",
        "no PEM": "",
        "long key": f"more than {LARGEST_KEY}",
        "long chain": f"more than {LARGEST_CHAIN}",
    }.items():
        text = str(refusals[name])
        assert text.startswith("Secret chat/client: tls.crt and tls.key cannot be used: "), text
        assert why in text
    lines = [line for pem in (key, other) for line in pem.splitlines() if line and not line.startswith("-")]
    assert not any(line in str(error) for error in refusals.values() for line in (*lines, VALUE))


@pytest.mark.parametrize("in_memory", [True, False])
def test_no_file_with_the_private_key_is_left(
    pems: tuple[str, str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, in_memory: bool
) -> None:
    """In memory where the kernel can; else in one that is its owner's and gone as soon as it was read."""
    certificate, key, _ = pems
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    if not in_memory:
        monkeypatch.delattr(os, "memfd_create")
    assert ClientCertificate(certificate, key).problem() == ""
    assert list(tmp_path.iterdir()) == []
