"""docs/reference.md: every field of the spec, for those who write one."""

from hack import reference
from streaming_operator.api import crd
from streaming_operator.api.wording import ALLOWED


def test_every_field_has_a_row() -> None:
    """With the sentence that `kubectl explain` shows, and no regular expression."""
    page = reference.page("")
    fields = list(reference._fields(crd.root_schema()["properties"]["spec"], ()))
    rows = [line for line in page.splitlines() if line.startswith("| `")]

    assert len(rows) == len(fields) > 100
    assert [pattern for pattern in ALLOWED if pattern in page] == []


def test_a_row_says_what_the_field_takes() -> None:
    """Type, default, bounds, rules, and a value that a real API server took."""
    page = reference.page("")

    assert (
        "| `engine.port` | integer | `8000` | Port the server listens on inside the pod. (1024 to 65535) | `8000` |"
    ) in page
    assert "| `model` | object | required |" in page
    assert "(set at most one of persistentVolumeClaim, emptyDir, ephemeral)" in page
    assert "needs strategy: RollingUpdate" in page


def test_a_row_has_the_rules_that_blame_its_field_wherever_they_stand() -> None:
    """On the whole object, on the spec, on the part around it; none of them is left out."""
    rows = {line.split("`")[1]: line for line in reference.page("").splitlines() if line.startswith("| `")}
    assert "names another endpoint, not the canary itself" in rows["exposure.canary.of"]
    assert "needs exposure.httpRoute: only a Gateway is told of it" in rows["engine.tls.caConfigMapName"]
    assert "needs ingress" in rows["exposure.canary.weight"]
    assert "keys are [prefix/]name" in rows["podMetadata.annotations"]
    said = [
        message
        for path, rules in reference._rules(crd.root_schema()).items()
        if path[:1] == ("spec",)
        for message in rules
    ]
    page = reference.page("")
    assert [message for message in said if message.replace("|", "\\|") not in page] == []
