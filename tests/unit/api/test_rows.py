"""The table of constraints: complete, and free of what nothing asks for."""

from streaming_operator.api.wording import ALLOWED
from tests.apiserver.constraints import constraints
from tests.apiserver.rows import CONTEXT, ITEMS, PATTERNS, RULES, row, rule_key

ALL = constraints()


def test_every_constraint_has_a_row() -> None:
    """No constraint of the CRD goes without one accepted and one rejected document."""
    without = []
    for constraint in ALL:
        try:
            row(constraint)
        except LookupError as problem:
            without.append(f"{constraint.name}: {problem}")
    assert without == []


def test_no_example_is_left_over() -> None:
    """An example whose constraint is gone is removed with it."""
    patterns = {constraint.allowed for constraint in ALL if constraint.keyword == "pattern"}
    assert set(PATTERNS) == patterns
    assert patterns <= set(ALLOWED), "a refusal would show a regular expression"
    rules = [constraint for constraint in ALL if constraint.keyword == "rule"]
    assert {rule_key(rule) for rule in rules} == set(RULES)
    paths = {".".join(constraint.path) for constraint in ALL}
    assert (set(ITEMS) | set(CONTEXT)) - paths == set()


def test_rules_are_distinguishable() -> None:
    """Each rule has examples of its own."""
    rules = [constraint for constraint in ALL if constraint.keyword == "rule"]
    assert len({rule_key(rule) for rule in rules}) == len(rules)
