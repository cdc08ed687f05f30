"""Who owns a field, and how the ownership of some of them moves to us."""

from typing import Any

from streaming_operator.kube.managed_fields import handed_over, last_author, names_of, not_sent

ENV = 'k:{"name":"X"}'
OURS: dict[str, Any] = {
    "manager": "ours",
    "operation": "Apply",
    "apiVersion": "v1",
    "time": "2026-01-01T00:00:00Z",
    "fieldsV1": {"f:spec": {"f:env": {ENV: {".": {}, "f:name": {}}}}},
}
OTHER: dict[str, Any] = {
    "manager": "other",
    "operation": "Update",
    "apiVersion": "v1",
    "time": "2026-01-02T00:00:00Z",
    "fieldsV1": {"f:spec": {"f:env": {ENV: {"f:value": {}}, 'k:{"name":"Y"}': {".": {}, "f:name": {}}}}},
}
STATUS: dict[str, Any] = {
    "manager": "controller",
    "operation": "Update",
    "subresource": "status",
    "time": "2026-01-03T00:00:00Z",
    "fieldsV1": {"f:status": {}},
}
LIVE: dict[str, Any] = {
    "metadata": {"managedFields": [OURS, OTHER, STATUS]},
    "spec": {"env": [{"name": "X", "value": "1"}, {"name": "Y"}], "defaulted": True},
    "status": {},
}
SENT: dict[str, Any] = {"metadata": {}, "spec": {"env": [{"name": "X", "valueFrom": {}}]}}
VALUE = ("f:spec", "f:env", ENV, "f:value")


def test_the_name_of_a_refused_field_is_read_without_its_indexes() -> None:
    """Items of lists and keys of maps stand in brackets and may hold anything."""
    assert names_of("spec.containers[0].env[12].value") == ("spec", "containers", "env", "value")
    assert names_of("spec.limits[nvidia.com/gpu]") == ("spec", "limits")


def test_only_siblings_of_a_refused_field_are_found() -> None:
    """The literal beside the reference; neither another variable nor a field elsewhere."""
    beside = [("spec", "env", "valueFrom")]
    assert not_sent(LIVE, SENT, beside, items=False) == [VALUE]
    assert not_sent(LIVE, SENT, [("spec", "env")], items=True) == [
        VALUE,
        ("f:spec", "f:env", 'k:{"name":"Y"}'),
        ("f:spec", "f:defaulted"),
    ]


def test_a_field_that_is_handed_over_has_one_owner() -> None:
    """It is ours and nobody else's; everything else keeps its owner, also where the entry gets empty."""
    ours, other, status = handed_over(LIVE, [VALUE], "ours", "v1")

    assert ours["fieldsV1"]["f:spec"]["f:env"][ENV] == {".": {}, "f:name": {}, "f:value": {}}
    assert other["fieldsV1"] == {"f:spec": {"f:env": {'k:{"name":"Y"}': {".": {}, "f:name": {}}}}}
    assert status == STATUS
    both = [VALUE, ("f:spec", "f:env", 'k:{"name":"Y"}')]
    assert [entry["manager"] for entry in handed_over(LIVE, both, "ours", "v1")] == ["ours", "controller"]
    assert LIVE["metadata"]["managedFields"] == [OURS, OTHER, STATUS]


def test_without_an_entry_of_ours_one_is_made() -> None:
    """Somebody may have cleared the managedFields."""
    (entry,) = handed_over({"metadata": {}, "spec": {}}, [("f:spec", "f:a")], "ours", "v1")
    assert entry == {
        "manager": "ours",
        "operation": "Apply",
        "apiVersion": "v1",
        "fieldsType": "FieldsV1",
        "fieldsV1": {"f:spec": {"f:a": {}}},
    }


def test_the_author_of_a_field_is_named() -> None:
    """Who owns it; where nobody does, who else wrote last; nobody when all is ours. Status does not count."""
    assert last_author(LIVE, ("spec", "env", "value"), "ours") == "other"
    assert last_author(LIVE, ("spec", "gone"), "ours") == "other"
    assert last_author({"metadata": {"managedFields": [OURS, STATUS]}}, ("spec",), "ours") is None
