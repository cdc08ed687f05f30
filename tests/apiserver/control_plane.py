"""
A private etcd and kube-apiserver on loopback: it decides on schemas, server-side apply and watches.

RBAC is on; there are no controllers, so nothing is collected, scheduled or given a service account. It is
used as a fixture (tests/conftest.py) and, where there is no pytest, as a context manager.
"""

import json
import os
import secrets
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from streaming_operator.api.crd import crd
from tests.apiserver.client import ApiClient, Object
from tests.cluster.programs import listed
from tests.engines.running import free_port

READY_WITHIN = 90.0
"""Seconds; about 6 on an idle machine with two cores."""

STOPPED_WITHIN = 20.0
LOG_TAIL = 30

OPTIONAL_CRDS = {
    "monitoring": (
        "prometheusrules.monitoring.coreos.com",
        "servicemonitors.monitoring.coreos.com",
    ),
    "gateway": (
        "gatewayclasses.gateway.networking.k8s.io",
        "gateways.gateway.networking.k8s.io",
        "httproutes.gateway.networking.k8s.io",
        "backendtlspolicies.gateway.networking.k8s.io",
    ),
    "envoy-gateway": ("backendtrafficpolicies.gateway.envoyproxy.io",),
}
"""By the set's name in `tests.cluster.crds`; only what the operator makes or reads."""

WITHOUT_A_PACKAGE: tuple[str, ...] = (
    "clientsettingspolicies.gateway.nginx.org",
    "gcpbackendpolicies.networking.gke.io",
    "healthcheckpolicies.networking.gke.io",
    "ingressextensions.alb.networking.azure.io",
    "proxysettingspolicies.gateway.nginx.org",
    "routepolicies.alb.networking.azure.io",
    "targetgroupconfigurations.gateway.k8s.aws",
    "trafficpolicies.gateway.kgateway.dev",
)
"""CRDs of policies of edges whose projects are in no package registry: nothing here can try an object of theirs."""


class ControlPlane(ApiClient):
    """A running control plane, and a client of it that may do everything."""

    def __init__(self, server: str, token: str, ca: Path, kubeconfig: Path) -> None:
        super().__init__(server, token, ca)
        self.kubeconfig = kubeconfig

    def install(self, crds: list[Object]) -> None:
        """Apply CustomResourceDefinitions and wait until each is served."""
        for manifest in crds:
            self.apply(manifest)
        for manifest in crds:
            self.until(manifest, lambda crd: _condition(crd, "Established") == "True", "is established")
        self.forget_kinds()


@contextmanager
def start(folder: Path, programs: Mapping[str, Path]) -> Iterator[ControlPlane]:
    """Run the control plane with its files under *folder*, with our CRD and the optional ones installed."""
    etcd_port, peer_port, port = free_port(), free_port(), free_port()
    token = secrets.token_hex(16)
    ca = _write_credentials(folder, token)
    with ExitStack() as stack:
        stack.enter_context(_running(programs["etcd"], _etcd_flags(folder, etcd_port, peer_port), folder))
        apiserver = stack.enter_context(
            _running(programs["kube-apiserver"], _apiserver_flags(folder, port, etcd_port), folder)
        )
        server = f"https://127.0.0.1:{port}"
        plane = ControlPlane(server, token, ca, _write_kubeconfig(folder, server, token, ca))
        _await_ready(plane, apiserver, folder / "kube-apiserver.log")
        plane.install([crd(), *optional_crds()])
        yield plane


def optional_crds() -> list[Object]:
    """The CRDs of the kinds that a cluster may lack, from their projects' own modules."""
    from tests.cluster import crds

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # half a megabyte: the C parser where there is one
    return [
        yaml.load(text, Loader=loader)
        for name, names in OPTIONAL_CRDS.items()
        for text in (file.read_text() for file in crds(name))
        if any(f"\n  name: {one}\n" in text for one in names)
    ]


def _etcd_flags(folder: Path, port: int, peer_port: int) -> list[str]:
    client, peer = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{peer_port}"
    return [
        f"--data-dir={folder / 'etcd'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--unsafe-no-fsync",
    ]


def _apiserver_flags(folder: Path, port: int, etcd_port: int) -> list[str]:
    return [
        f"--etcd-servers=http://127.0.0.1:{etcd_port}",
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        # The reconciler would try to publish a loopback address as an endpoint and log an error every time.
        "--endpoint-reconciler-type=none",
        f"--secure-port={port}",
        f"--tls-cert-file={folder / 'server.crt'}",
        f"--tls-private-key-file={folder / 'server.key'}",
        f"--token-auth-file={folder / 'tokens.csv'}",
        f"--service-account-key-file={folder / 'server.key'}",
        f"--service-account-signing-key-file={folder / 'server.key'}",
        "--service-account-issuer=https://kubernetes.default.svc",
        "--service-cluster-ip-range=10.0.0.0/16",
        "--authorization-mode=RBAC",
        # No controller makes the `default` account that this plug-in asks for.
        "--disable-admission-plugins=ServiceAccount",
        "--profiling=false",
    ]


@contextmanager
def _running(program: Path, flags: list[str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """One process with its output in `<program>.log`, ended by its id."""
    with (folder / f"{program.name}.log").open("wb") as log:
        process = subprocess.Popen(
            listed([program, *flags]), stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        yield process
    finally:
        try:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(STOPPED_WITHIN)
        finally:  # also when a second Ctrl-C ends the wait
            process.kill()
            process.wait()


def _await_ready(plane: ControlPlane, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + READY_WITHIN
    while process.poll() is None and time.monotonic() < deadline:
        if plane.ready():
            return
        time.sleep(0.1)
    state = "is not ready" if process.poll() is None else f"ended with {process.returncode}"
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-LOG_TAIL:])
    raise RuntimeError(f"kube-apiserver {state}; the end of {log}:\n{tail}")


def _write_credentials(folder: Path, token: str) -> Path:
    """A self-signed certificate, its key (which signs service account tokens too), and one admin's token."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    (folder / "server.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    _write_secret(folder / "server.key", private)
    _write_secret(folder / "tokens.csv", f'{token},admin,admin,"system:masters"\n'.encode())
    return folder / "server.crt"


def _write_secret(path: Path, content: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)


def _write_kubeconfig(folder: Path, server: str, token: str, ca: Path) -> Path:
    path = folder / "kubeconfig"
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": {"server": server, "certificate-authority": str(ca)}}],
        "users": [{"name": "admin", "user": {"token": token}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
        "current-context": "test",
    }
    _write_secret(path, json.dumps(config).encode())
    return path


def _condition(stored: Object, kind: str) -> str:
    conditions = stored.get("status", {}).get("conditions") or []
    return next((condition["status"] for condition in conditions if condition["type"] == kind), "Unknown")
