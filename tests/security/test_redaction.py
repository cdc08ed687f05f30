"""A key that a server sends back is hidden in every field, as it is and in the forms that software gives it."""

import base64
import html
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import quote

import pytest

from streaming_operator.api.reasons import Hop, Verdict
from streaming_operator.probe.http.request import ApiKey
from streaming_operator.probe.http.response import Ending, Head
from streaming_operator.probe.judge.http_errors import http_error
from streaming_operator.probe.stream.redaction import hidden_everywhere, without_key
from streaming_operator.probe.stream.timeline import Timeline
from streaming_operator.values import HopResult, ProbeResult, Remark

KEYS = ("sk-proj-9fK2/xw+Q7==", "db-root-password-0123456789", 'p"a\\ss word<>&%/0123')
FORMS: dict[str, Callable[[str], str]] = {
    "as it is": lambda key: key,
    "upper case": str.upper,
    "reversed": lambda key: key[::-1],
    "hex": lambda key: key.encode().hex(),
    "HEX": lambda key: key.encode().hex().upper(),
    "hex dump": lambda key: key.encode().hex(" "),
    "base64": lambda key: base64.b64encode(key.encode()).decode(),
    "base64 after one byte": lambda key: base64.b64encode(b":" + key.encode()).decode(),
    "base64 after two bytes": lambda key: base64.b64encode(b"u:" + key.encode() + b"@h").decode(),
    "base64url": lambda key: base64.urlsafe_b64encode(b"\xff\xfe" + key.encode()).decode(),
    "URL": lambda key: quote(key, safe=""),
    "path": quote,
    "HTML": html.escape,
    "percent": lambda key: "".join(f"%{byte:02X}" for byte in key.encode()),
    "JSON": lambda key: json.dumps(key)[1:-1],
    "JSON in JSON": lambda key: json.dumps(json.dumps(key)[1:-1])[1:-1],
}
REVEALING = 8
"""Characters of an encoded key in a row that are too many to show."""


def revealed(form: str, text: str) -> list[str]:
    """The parts of an encoded key that a text shows; base64 shares up to two characters with its neighbours."""
    return [
        form[at : at + REVEALING]
        for at in range(2, len(form) - REVEALING - 2)
        if form[at : at + REVEALING] in text
    ]


@pytest.mark.parametrize("key", KEYS, ids=range(len(KEYS)))
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_every_field_of_a_result_hides_the_key(key: str, form: Callable[[str], str]) -> None:
    """Message, evidence, finish reason, protocol, address, remark: whatever a text came into."""
    shown = f"<{form(key)}>"
    remark = Remark("kind", shown, shown)
    hop = HopResult(
        Hop.POD,
        shown,
        Verdict.STREAMING,
        shown,
        shown,
        finish_reason=shown,
        fingerprint=shown,
        remarks=(remark,),
    )
    result = ProbeResult(
        Verdict.STREAMING, Hop.POD, shown, (hop,), "hash", "route", frozenset(), datetime.now(UTC)
    )
    text = repr(hidden_everywhere(result, (ApiKey(key),)))
    assert revealed(form(key), text.replace("\\\\", "\\")) == []
    assert text.count("***") >= 8


@pytest.mark.parametrize("key", KEYS, ids=range(len(KEYS)))
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_every_text_of_a_response_hides_the_key(key: str, form: Callable[[str], str]) -> None:
    """Headers with their names, the body, the error, the finish reason, how it broke and why it was reset."""
    shown = f"<{form(key)}>"
    head = Head(401, ((shown, "x"), ("server", shown)), "HTTP/1.1")
    timeline = Timeline(
        Ending.COMPLETE,
        1.0,
        "kernel",
        head,
        body=shown,
        error=shown,
        finish_reason=shown,
        broken=shown,
        reset=shown,
    )
    text = repr(without_key(timeline, ApiKey(key)))
    assert revealed(form(key), text.replace("\\\\", "\\")) == []
    assert text.count("***") >= 7


@pytest.mark.parametrize("key", KEYS, ids=range(len(KEYS)))
def test_a_key_written_in_json_escapes_is_hidden(key: str) -> None:
    """A body can write each character as \\u00XX, which becomes the key when its message is read."""
    escaped = "".join(f"\\u{ord(character):04x}" for character in key)
    body = f'{{"error": {{"message": "{"x" * 190}{escaped}"}}}}'
    timeline = Timeline(Ending.COMPLETE, 1.0, "kernel", Head(401, (), "HTTP/1.1"), body=body)
    evidence = http_error(without_key(timeline, ApiKey(key)), with_key=True).evidence
    assert key[:5] not in evidence
    assert key not in hidden_everywhere(replace(http_error(timeline, with_key=True)), (ApiKey(key),)).evidence


def test_without_a_key_nothing_is_changed() -> None:
    """No key, no redaction; and a short key hides no text that only looks like one of its encodings."""
    timeline = Timeline(Ending.COMPLETE, 1.0, "kernel", body="6162 YWI= %61")
    assert without_key(timeline, None) is timeline
    assert without_key(timeline, ApiKey("ab")) == timeline
