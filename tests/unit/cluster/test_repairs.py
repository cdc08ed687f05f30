"""Repairs become rarer while others change a child back, and as quick as ever afterwards."""

from streaming_operator.cluster.repairs import PATIENCE, Repairs


def pauses(repairs: Repairs, seconds: float, now: float = 0.0, step: float = 0.05) -> list[float]:
    """When repairs happen while somebody undoes each at once."""
    times = []
    end = now + seconds
    while now < end:
        if repairs.pause("x", now) == 0.0:
            repairs.count("x", now)
            repairs.note_author("x", "somebody")
            times.append(now)
        now += step
    return times


def test_a_few_edits_in_a_row_are_repaired_at_once() -> None:
    """A few edits by hand are repaired without a wait and without a message."""
    repairs = Repairs()
    for number in range(int(PATIENCE)):
        assert repairs.pause("x", number * 1.0) == 0.0
        repairs.count("x", number * 1.0)
    assert repairs.author("x", PATIENCE) is None


def test_an_endless_row_settles_at_one_repair_a_minute() -> None:
    """An hour of somebody who undoes each repair at once costs some seventy writes, not a million."""
    times = pauses(Repairs(), 3600.0, step=0.5)
    late = [time for time in times if time >= 1800.0]
    assert 25 <= len(late) <= 35
    assert len(times) < 90


def test_the_author_is_named_until_the_row_is_over() -> None:
    """After a while of peace the next edit is repaired at once again."""
    repairs = Repairs()
    end = pauses(repairs, 600.0)[-1]
    assert repairs.author("x", end) == "somebody"
    assert repairs.author("x", end + 1200.0) is None
    repairs.count("x", end + 1200.0)
    assert repairs.pause("x", end + 1200.0) == 0.0


def test_children_do_not_wait_for_each_other() -> None:
    """The row of one child is its own, and is dropped with it."""
    repairs = Repairs()
    end = pauses(repairs, 60.0)[-1]
    assert repairs.pause("y", end) == 0.0
    repairs.forget("x")
    assert repairs.pause("x", end) == 0.0
