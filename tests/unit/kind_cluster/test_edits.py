"""The edits that the test cluster makes to other people's files."""

import subprocess

import pytest

from tests.cluster import ingress, kind, network, steps
from tests.cluster.ingress import manifest
from tests.cluster.programs import listed

COREFILE = """.:53 {
    errors
    kubernetes cluster.local in-addr.arpa ip6.arpa {
       pods insecure
    }
    forward . /etc/resolv.conf {
       max_concurrent 1000
    }
    cache 30
    loop
    reload
}
"""

TEMPLATE = """# setup
daemon off;
http {
    http2 on;
}
stream {
    lua_add_variable $proxy_upstream_name;
}
"""

FILTER = """Chain DOCKER-USER (1 references)
    pkts  bytes target  prot opt in  out  source  destination
       2      120 REJECT     0    --  docker0 !docker0  0.0.0.0/0  0.0.0.0/0  reject-with icmp
      17      960 REJECT     0    --  kind0  !kind0  0.0.0.0/0  0.0.0.0/0  reject-with icmp
     100     9000 RETURN     0    --  *      *       0.0.0.0/0            0.0.0.0/0
"""


def test_coredns_asks_nobody_outside() -> None:
    """Names of the cluster are still answered; forwarding, and the loop check that needs it, are gone."""
    edited = kind.without_forwarding(COREFILE)
    assert "kubernetes cluster.local" in edited
    assert "forward" not in edited
    assert "loop" not in edited
    assert edited.count("}") == edited.count("{")


def test_the_template_loads_the_modules_and_keeps_its_routing() -> None:
    """Debian's nginx gets its modules by load_module and no directive that it does not know."""
    edited = ingress.for_debian(TEMPLATE)
    assert "load_module /usr/lib/nginx/modules/ngx_http_lua_module.so;" in edited
    assert "\n    http2 on;" not in edited
    assert "lua_add_variable" not in edited


def test_a_template_of_another_version_is_refused() -> None:
    """An edit that matches nothing is an error at build time, not a broken nginx later."""
    with pytest.raises(steps.Failure, match="template"):
        ingress.for_debian("http {}")


def test_a_second_class_is_its_own_controller_without_touching_the_first() -> None:
    """Namespace, class, controller value and ports are the caller's."""
    text = manifest(
        "edge-two", "corp", "example.com/second", None, configmap={"use-gzip": "true"}, mode="registry"
    )
    assert "@" not in text
    assert "--controller-class=example.com/second" in text
    assert '"use-gzip": "true"' in text
    assert "hostPort" not in text
    assert '"k8s.io/ingress-nginx"' not in text


def test_evidence_counts_rejected_packets_per_bridge(monkeypatch: pytest.MonkeyPatch) -> None:
    """The packet filter's own listing is what a test of the closed network relies on."""
    monkeypatch.setattr(steps, "output", lambda _: FILTER)
    evidence = network.evidence()
    assert evidence.rejected == {"kind0": 17, "docker0": 2}
    assert evidence.closed


def test_a_privileged_request_loses_only_the_capability_that_the_machine_lacks() -> None:
    """The runtime wrapper never adds and never touches the rest."""
    source = (kind.HERE / "files" / "runc-lesscaps").read_text().replace("main(sys.argv[1:])", "")
    names: dict[str, object] = {}
    exec(compile(source, "runc-lesscaps", "exec"), names)
    process = {
        "capabilities": {"bounding": ["CAP_KILL", "CAP_SYS_RESOURCE"]},
        "oomScoreAdj": -999,
        "cwd": "/",
    }
    names["lessen"](process)  # type: ignore[operator]
    assert process == {"capabilities": {"bounding": ["CAP_KILL"]}, "oomScoreAdj": 0, "cwd": "/"}


def test_a_failure_says_what_where_and_what_to_do(tmp_path: object) -> None:
    """The person who waits reads three lines, not a traceback."""
    text = str(steps.Failure("go build ended with 1", where="/cache/go.log", remedy="install Go"))
    assert text.splitlines() == [
        "go build ended with 1",
        "    details: /cache/go.log",
        "    what to do: install Go",
    ]


def test_the_command_line_explains_itself() -> None:
    """`--help` works with nothing built and nothing running."""
    done = subprocess.run(
        listed(["python3", "-m", "tests.cluster", "--help"]), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert "up" in done.stdout
