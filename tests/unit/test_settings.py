"""What the administrator sets: every variable is read as its type, and a wrong one is refused by its name."""

import json

import pytest

from streaming_operator.settings import EdgeSetting, Settings, WrongSetting


def read(**variables: str) -> Settings:
    """Settings from these variables, among others that are none of ours."""
    ours = {f"STREAMING_OPERATOR_{name}": text for name, text in variables.items()}
    return Settings.from_environment({"PATH": "/usr/bin", **ours})


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

    assert settings.allowed_addresses == ("10.20.0.0/16", "fd00::/8")
    assert settings.watch_namespaces == ("chat", "search")
    assert (
        settings.read_secrets,
        settings.http_port,
        settings.roll_call_seconds,
        settings.log_level,
    ) == (False, 9090, 30.0, "DEBUG")
    edge = EdgeSetting("nginx", None, "ingress-nginx", "ingress/controller", 8080)
    assert settings.edges == (edge,)


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("HTTP_PORT", "eighty", "HTTP_PORT"),
        ("READ_SECRETS", "maybe", "READ_SECRETS"),
        ("LOG_LEVEL", "LOUD", "DEBUG, INFO, WARNING, ERROR"),
        ("ALLOWED_ADDRESSES", "10.0.0.0/8, 10.1.2.3/8", "host bits set"),
        ("FORBIDDEN_ADDRESSES", "everything", "IPv4 or IPv6 network"),
        ("COLOUR", "red", "unknown; known are"),
        ("EDGES", "[{", "EDGES"),
        ("EDGES", '[{"className": "a", "gatewayClass": "b"}]', "exactly one of className, gatewayClass"),
        ("EDGES", '[{"className": "a", "colour": "red"}]', "unknown key colour"),
        ("EDGES", '[{"className": "a", "profile": "envoy"}]', "ingress-nginx or generic"),
        ("EDGES", '[{"className": "a", "service": "controller"}]', "namespace/name"),
    ],
)
def test_a_wrong_value_is_refused_with_the_variable_and_what_is_allowed(
    name: str, text: str, told: str
) -> None:
    """Nothing is guessed, nothing falls back silently."""
    with pytest.raises(WrongSetting) as refusal:
        read(**{name: text})

    assert told in str(refusal.value)
    assert f"STREAMING_OPERATOR_{name}" in str(refusal.value)
