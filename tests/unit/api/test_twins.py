"""pydantic gives the API server's answer: the same documents pass, the same are refused at the same field."""

import pytest
from pydantic import ValidationError

from streaming_operator.api.endpoint import InvalidEndpoint, StreamingEndpoint
from streaming_operator.api.endpoint_status import EndpointStatus
from tests.apiserver.constraints import Constraint, constraints
from tests.apiserver.documents import BASES, STATUS, Document, document, edited
from tests.apiserver.rows import row

ALL = constraints()
SPEC = [constraint for constraint in ALL if constraint.path[:1] != ("status",)]
STATUS_ONLY = [constraint for constraint in ALL if constraint.path[:1] == ("status",)]


def _named(constraint: Constraint) -> str:
    return constraint.name


def _refusal(body: Document) -> tuple[str, ...]:
    with pytest.raises(InvalidEndpoint) as refusal:
        StreamingEndpoint.from_body(body)
    return refusal.value.problems


@pytest.mark.parametrize("constraint", SPEC, ids=_named)
def test_a_constraint_holds_in_python_too(constraint: Constraint) -> None:
    """What the API server accepts is parsed; what it refuses is refused here, at the field it names."""
    tried = row(constraint)
    StreamingEndpoint.from_body(tried.accepted)
    problems = _refusal(tried.rejected)
    # Of two equal entries the API server names the second one, pydantic the list.
    field = tried.path.rpartition("[")[0] if constraint.keyword == "unique" else tried.path
    assert [problem for problem in {p.partition(": ")[0] for p in problems} if problem == field] == [field]


@pytest.mark.parametrize("constraint", [c for c in SPEC if c.keyword == "rule"], ids=_named)
def test_a_rule_says_the_same_in_python(constraint: Constraint) -> None:
    """A rule across fields has the same words on both sides."""
    tried = row(constraint)
    assert f"{tried.path}: {constraint.allowed}" in _refusal(tried.rejected)


@pytest.mark.parametrize("constraint", STATUS_ONLY, ids=_named)
def test_the_status_model_agrees(constraint: Constraint) -> None:
    """The status model, which tests hold the operator's writes to, is no laxer than the CRD."""
    import orjson

    tried = row(constraint)
    EndpointStatus.model_validate_json(orjson.dumps(tried.accepted["status"]), strict=True, by_name=False)
    with pytest.raises(ValidationError):
        EndpointStatus.model_validate_json(orjson.dumps(tried.rejected["status"]), strict=True, by_name=False)


def test_the_documents_set_every_field() -> None:
    """The documents that constraints are tried on miss no field of the resource."""
    paths = {constraint.path for constraint in ALL if constraint.keyword in ("type", "int-or-string")}
    from tests.apiserver.documents import place

    bodies = [document(spec) | {"status": STATUS} for spec in BASES.values()]
    assert {path for path in paths if all(place(body, path) is None for body in bodies)} == set()


def test_null_means_absent() -> None:
    """As on the API server, a null takes the default, and is no value of a required field."""
    body = edited(
        document(BASES["inside"]), (("spec", "engine", "image"), None), (("spec", "replicas"), None)
    )
    parsed = StreamingEndpoint.from_body(body)
    assert (parsed.spec.engine.image, parsed.spec.replicas) == ("vllm/vllm-openai:v0.33.0", 1)
    assert _refusal(edited(body, (("spec", "model"), None))) == ("spec.model: required",)


def test_unknown_fields_are_refused() -> None:
    """A typo in a file is reported, as by strict validation on the API server."""
    body = edited(document(BASES["inside"]), (("spec", "engine", "maxModelLength"), 1))
    assert _refusal(body) == ("spec.engine.maxModelLength: unknown field",)
    snake_case = edited(document(BASES["inside"]), (("spec", "engine", "max_model_len"), 1))
    assert _refusal(snake_case) == ("spec.engine.max_model_len: unknown field",)


def test_every_problem_is_reported_at_once() -> None:
    """Nobody has to correct a file in as many tries as it has mistakes."""
    body = edited(
        document(BASES["inside"], name="9"), (("spec", "replicas"), -1), (("spec", "engine", "port"), "http")
    )
    assert {problem.partition(": ")[0] for problem in _refusal(body)} == {
        "metadata.name",
        "spec.replicas",
        "spec.engine.port",
    }


@pytest.mark.parametrize("wrong", [7, "hunter2" * 5000])
def test_a_refusal_never_quotes_a_value(wrong: object) -> None:
    """The value of an environment variable may be a secret, so that no refusal repeats one."""
    body = edited(document(BASES["inside"]), (("spec", "engine", "env"), [{"name": "A", "value": wrong}]))
    with pytest.raises(InvalidEndpoint) as refusal:
        StreamingEndpoint.from_body(body)
    assert "hunter2" not in f"{refusal.value!r} {refusal.value.problems} {refusal.value.__cause__}"


@pytest.mark.parametrize(
    "arg",
    ["--port=1", "--served_model_name", "--por", "--ssl_keyfile=k", "--api-k", "--model=a/b", "--headle"],
)
def test_reserved_flags_are_refused_however_they_are_written(arg: str) -> None:
    """vLLM takes underscores, `=` and abbreviations; none of them gets a reserved flag past the check."""
    body = edited(document(BASES["inside"]), (("spec", "engine", "args"), ["--enforce-eager", arg, "1"]))
    assert [problem.partition(": ")[0] for problem in _refusal(body)] == ["spec.engine.args"]


@pytest.mark.parametrize(
    "arg", ["--", "-tp=2", "--portable", "port", "--max-num-seqs=8", "--api-server-count", "--model-impl"]
)
def test_other_flags_pass(arg: str) -> None:
    """What only looks like a reserved flag is the user's own affair."""
    body = edited(document(BASES["inside"]), (("spec", "engine", "args"), [arg]))
    assert StreamingEndpoint.from_body(body).spec.engine.args == (arg,)
