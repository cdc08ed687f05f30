"""Whose status is stored: decided by resource versions, with late events and lost ones."""

from typing import Any

from streaming_operator.controller.stored_status import LONGEST_PAUSE, StoredStatus

OURS, THEIRS = {"url": "ours"}, {"url": "theirs"}


def shown(status: dict[str, Any], version: int) -> dict[str, Any]:
    """What the watch shows."""
    return {"metadata": {"resourceVersion": str(version)}, "status": status}


def written(version: int = 20) -> StoredStatus:
    """Our status, written over version 10 at second 0."""
    stored = StoredStatus.of(shown({}, 10))
    stored.wrote(OURS, str(version), 0)
    return stored


def test_the_event_of_our_own_write_is_ignored() -> None:
    """Nothing is asked for by it."""
    stored = written()

    assert not stored.update(shown(OURS, 20), 1)
    assert stored.take_foreign() is None


def test_the_event_of_our_own_write_is_ignored_also_before_its_response() -> None:
    """The watch is often faster."""
    stored = StoredStatus.of(shown({}, 10))
    stored.writing(OURS)

    assert not stored.update(shown(OURS, 20), 1)
    stored.wrote(OURS, "20", 1)
    assert not stored.update(shown(OURS, 20), 2)
    assert (stored.take_foreign(), stored.version) == (None, "20")


def test_an_edit_that_is_shown_before_the_answer_to_our_write_stays_the_newest_version() -> None:
    """Else the next write would be refused, and no further event would come."""
    stored = StoredStatus.of(shown({}, 10))
    stored.writing(OURS)
    stored.update(shown(OURS, 21), 1)
    stored.wrote(OURS, "20", 1)

    assert stored.version == "21"


def test_a_status_of_somebody_else_counts_also_while_ours_is_being_written() -> None:
    """The write is refused, since it was decided from an older version."""
    stored = StoredStatus.of(shown({}, 10))
    stored.writing(OURS)

    assert stored.update(shown(THEIRS, 20), 1)
    stored.writing(None)
    assert stored.take_foreign() == THEIRS


def test_an_older_event_is_no_foreign_status_and_no_base_for_the_next_write() -> None:
    """It was on its way when we wrote."""
    stored = written()

    assert not stored.update(shown({}, 15), 1)
    assert (stored.content, stored.version) == (OURS, "20")


def test_a_later_write_of_somebody_else_is_known_whether_or_not_ours_was_seen() -> None:
    """It is reported once."""
    stored = written()

    assert stored.update(shown(THEIRS, 21), 1)
    assert (stored.content, stored.version) == (THEIRS, "21")
    assert (stored.take_foreign(), stored.take_foreign()) == (THEIRS, None)


def test_an_edit_of_the_spec_moves_the_version_that_is_written_over() -> None:
    """The status is still ours."""
    stored = written()

    assert not stored.update(shown(OURS, 30), 1)
    assert stored.version == "30"


def test_after_a_minute_a_lower_version_counts_too() -> None:
    """etcd was restored from a backup: our write is gone, and versions begin lower."""
    stored = written()

    assert not stored.update(shown({}, 15), 59)
    assert stored.update(shown({}, 15), 61)
    assert stored.version == "15"


def test_a_status_that_is_always_overwritten_is_written_at_growing_pauses() -> None:
    """Three times at once, then after 2, 4, 8 ... 60 s; peace ends that."""
    stored, now, version, waits = written(), 0.0, 20, []
    for _ in range(12):
        stored.update(shown(THEIRS, version + 1), now)
        wait = max(stored.wait(now), 0.0)
        waits.append(wait)
        now, version = now + wait, version + 2
        stored.wrote(OURS, str(version), now)

    assert waits == [0, 0, 0, 2, 4, 8, 16, 32, 60, 60, 60, 60]
    assert stored.wait(now + 2 * LONGEST_PAUSE + 1) == 0
