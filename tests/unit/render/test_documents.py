"""Text for people: templates, and manifests as YAML."""

import jinja2
import pytest
import yaml

from streaming_operator.render import documents


def test_a_value_that_is_missing_is_an_error() -> None:
    """A page with a hole in it is never written."""
    with pytest.raises(jinja2.UndefinedError, match="'explained' is undefined"):
        documents.filled("conditions.md.j2", note="", sections={"Verdicts": ["Streaming"]})


def test_manifests_read_back_as_they_were() -> None:
    """Blocks, switches and numbers in quotes survive, and nothing is written as an anchor."""
    shared = {"path": "/health"}
    manifests = [{"script": "a\n  b: c\n", "off": "off", "port": "80", "one": shared, "two": shared}]

    printed = documents.as_yaml(manifests)

    assert manifests == list(yaml.safe_load_all(printed))
    assert "script: |" in printed
    assert "&" not in printed
