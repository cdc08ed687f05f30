"""What is reported of a child that somebody changes back again and again."""

from streaming_operator import status
from streaming_operator.errors import Overwritten
from streaming_operator.status import Status, VerificationState
from tests.unit.status.worlds import CAPABILITIES, NOON, an_endpoint, observed

WHO = "Ingress/qwen in chat is changed back again and again by field manager other (metadata.labels.a)"


def summary(error: Overwritten | None, previous: Status) -> Status:
    """The status of an endpoint that serves, with or without that error."""
    world = status.World(
        observed=observed(), capabilities=CAPABILITIES, verification=VerificationState(), error=error
    )
    endpoint = an_endpoint(verification={"mode": "Advisory"})
    return status.summarize(endpoint, world, previous, NOON)


def test_the_condition_and_one_event_name_the_author() -> None:
    """Reconciling says who it is, once as an event too; what users are served is as ready as before."""
    before = summary(None, {})
    after = summary(Overwritten(WHO), before)
    reconciling = next(entry for entry in after["conditions"] if entry["type"] == "Reconciling")

    assert (reconciling["status"], reconciling["reason"], reconciling["message"]) == (
        "True",
        "Overwritten",
        WHO,
    )
    assert [(change.type, change.reason, change.message) for change in status.changes(before, after)] == [
        ("Warning", "Overwritten", WHO)
    ]
    assert status.is_true(after, "Ready")
    assert not status.is_true(after, "Stalled")
    assert status.changes(after, summary(Overwritten(WHO), after)) == ()
