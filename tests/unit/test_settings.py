"""What the administrator sets: every variable is read as its type, and a wrong one is refused by its name."""

import ast
import json
import os
from pathlib import Path
from unittest import mock

import pytest

import streaming_operator
from streaming_operator.settings import EdgeSetting, Settings, WrongSetting


def read(**variables: str) -> Settings:
    """Settings from these variables, among others that are none of ours."""
    ours = {f"STREAMING_OPERATOR_{name}": text for name, text in variables.items()}
    with mock.patch.dict(os.environ, {"PATH": "/usr/bin", **ours}, clear=True):
        return Settings.from_environment()


def test_nothing_set_means_the_defaults() -> None:
    """The operator runs without any variable."""
    assert read() == Settings()


def test_every_kind_of_value_is_read() -> None:
    """Numbers, switches, lists, words and the list of edges."""
    edges = [
        {"className": "nginx", "profile": "ingress-nginx", "service": "ingress/controller", "httpPort": 8080}
    ]
    settings = read(
        EDGES=json.dumps(edges),
        WATCH_NAMESPACES="chat, search",
        READ_SECRETS="false",
        HTTP_PORT="9090",
        ROLL_CALL_SECONDS="30",
        LOG_LEVEL="DEBUG",
        ALLOWED_ADDRESSES="10.20.0.0/16, fd00::/8",
    )

    assert settings == Settings(
        edges=(
            EdgeSetting(
                class_name="nginx",
                profile="ingress-nginx",
                service="ingress/controller",
                http_port=8080,
            ),
        ),
        watch_namespaces=("chat", "search"),
        read_secrets=False,
        http_port=9090,
        roll_call_seconds=30.0,
        log_level="DEBUG",
        allowed_addresses=("10.20.0.0/16", "fd00::/8"),
    )


def test_what_the_chart_leaves_empty_means_nothing() -> None:
    """Empty lists and nulls, as Helm writes them."""
    settings = read(
        EDGES='[{"className": "nginx", "gatewayClass": null, "service": null}]',
        WATCH_NAMESPACES="",
        FORBIDDEN_ADDRESSES="",
    )

    assert settings == Settings(edges=(EdgeSetting(class_name="nginx"),))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("HTTP_PORT", "eighty", "HTTP_PORT"),
        ("HTTP_PORT", "99999", "less than or equal to 65535"),
        ("WORKERS", "0", "greater than or equal to 1, not '0'"),
        ("WORKERS", "-3", "greater than or equal to 1"),
        ("CONCURRENT_PROBES", "0", "greater than or equal to 1"),
        ("RESYNC_SECONDS", "nan", "finite number"),
        ("RESYNC_SECONDS", "inf", "finite number"),
        ("ROLL_CALL_SECONDS", "-1", "greater than or equal to 1"),
        ("READ_SECRETS", "maybe", "boolean"),
        ("LOG_LEVEL", "LOUD", "'DEBUG', 'INFO', 'WARNING' or 'ERROR'"),
        ("ALLOWED_ADDRESSES", "10.0.0.0/8, 10.1.2.3/8", "host bits set"),
        ("FORBIDDEN_ADDRESSES", "everything", "IPv4 or IPv6 network"),
        ("COLOUR", "red", "unknown; known are"),
        ("EDGES", "[{", "JSON"),
        ("EDGES", '[{"className": "a", "allowedAnnotations": ["*"]}]', "EDGES[0].allowedAnnotations[0]"),
        ("HOST_POLICY", "[{", "JSON"),
        ("HOST_POLICY", '[{"namespaces": ["a"], "hosts": []}]', "HOST_POLICY[0].hosts"),
        ("HOST_POLICY", '[{"namespaces": ["a"], "hosts": ["http://a"]}]', "HOST_POLICY[0].hosts[0]"),
        ("EDGES", '[{"className": "a", "gatewayClass": "b"}]', "exactly one of className, gatewayClass"),
        ("EDGES", '[{"className": "a", "colour": "red"}]', "EDGES[0].colour: unknown key"),
        ("EDGES", '[{"className": "a", "profile": "En voy"}]', "EDGES[0].profile"),
        ("EDGES", '[{"className": "a", "service": "controller"}]', "namespace/name"),
        ("EDGES", '[{"className": "a", "httpPort": 0}]', "EDGES[0].httpPort: Input should be greater"),
    ],
)
def test_a_wrong_value_is_refused_with_the_variable_and_what_is_allowed(
    name: str, text: str, message: str
) -> None:
    """Nothing is guessed, nothing falls back silently."""
    with pytest.raises(WrongSetting) as refusal:
        read(**{name: text})

    assert message in str(refusal.value)
    assert f"STREAMING_OPERATOR_{name}" in str(refusal.value)


def test_every_setting_is_read_somewhere() -> None:
    """A variable that is checked and then changes nothing would be believed to work."""
    sources = (
        path for path in Path(streaming_operator.__path__[0]).rglob("*.py") if path.name != "settings.py"
    )
    read = {
        node.attr
        for path in sources
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
    }
    assert set(Settings.model_fields) - read == set()
