"""The hooks of pytest that spread a run, prepare what its tests need, keep them apart, report the costs."""

import os
import time
from collections.abc import Generator
from contextlib import ExitStack

import pytest

from tests import lanes
from tests.cluster import cache
from tests.lanes import costs, ended, preparation, run_folder, scheduler
from tests.lanes.locks import Lock, held


class Lanes:
    """One for each process of the run."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._first = run_folder.begin()
        self._locks = ExitStack()
        self._locked: tuple[Lock, ...] = ()
        self._used = 0.0
        self._began = time.monotonic()
        self._machine = costs.machine_seconds()

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Put the lanes in order."""
        items.sort(key=lambda item: lanes.position(lanes.lane_of(_path(item), item)))

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Report to the process that distributes the tests which ones stay together."""
        groups = {
            item.nodeid: lanes.group(_path(item), lanes.lane_of(_path(item), item)) for item in session.items
        }
        if hasattr(self._config, "workerinput"):
            scheduler.tell(groups)

    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: object) -> scheduler.Groups:
        """Ours, whatever --dist says."""
        return scheduler.Groups(config, log)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> Generator[None, object, object]:
        """Around everything, the time limit included: prepare, and wait for whom it would disturb."""
        capture = self._config.pluginmanager.getplugin("capturemanager")
        with capture.global_and_fixture_disabled() if capture else ExitStack():
            for need in preparation.needs(item):
                need.outcome()
        if _judges(item):
            self._release()
            ended.wait_for(others_on_the_cluster(item))
        locks = _locks(item)
        if locks != self._locked:
            self._release()
            self._locks.enter_context(held(*locks))
            self._locked = locks
        self._used = costs.processor_seconds()
        try:
            return (yield)
        finally:
            if nextitem is None or _locks(nextitem) != locks or not _goes_on(item, nextitem):
                self._release()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """A test whose need could not be met says why."""
        for need in preparation.needs(item):
            if missing := need.outcome().missing:
                preparation.unavailable(missing)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Note the lane and the processor's time; both travel with the report."""
        report = yield
        used = costs.processor_seconds()
        report.lane = lanes.lane_of(_path(item), item).name  # type: ignore[attr-defined]
        report.processor_seconds = used - self._used  # type: ignore[attr-defined]
        self._used = used
        return report

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Note the end of a test, for those that wait for all others."""
        ended.note(nodeid)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """What each lane cost; COSTS=write keeps it for docs/tests.md when all of them have run."""
        reports = [
            report
            for phase in terminalreporter.stats.values()
            for report in phase
            if isinstance(report, pytest.TestReport)
        ]
        by_lane = costs.summed(reports)
        if len(by_lane) < 2:
            return
        terminalreporter.section("cost of each lane, in seconds of its own")
        for line in costs.table(by_lane):
            terminalreporter.line(line)
        before, now = self._machine, costs.machine_seconds()
        if before and now:
            busy = (now[0] - before[0]) / max(now[1] - before[1], 0.001)
            took = time.monotonic() - self._began
            terminalreporter.line(
                f"all of them took {took:.0f} s; the processors were busy for {busy:.0%} of it"
            )
            if os.environ.get("COSTS") == "write" and by_lane.keys() == {lane.name for lane in lanes.LANES}:
                costs.keep(costs.Run(round(took), round(100 * busy), by_lane))

    def pytest_unconfigure(self) -> None:
        """The process that made the run's folder removes it."""
        self._release()
        if self._first:
            run_folder.end()

    def _release(self) -> None:
        self._locks.close()
        self._locked = ()


def _path(item: pytest.Item) -> str:
    return str(item.path.relative_to(item.config.rootpath))


def _judges(item: pytest.Item) -> bool:
    return lanes.lane_of(_path(item), item).name == lanes.LAST


def others_on_the_cluster(judge: pytest.Item) -> set[str]:
    """What a test that judges all others waits for."""
    every = [item for item in judge.session.items if item.get_closest_marker("cluster") is not None]
    return {item.nodeid for item in every if not _judges(item)}


def _goes_on(item: pytest.Item, nextitem: pytest.Item) -> bool:
    """Whether the locks stay: for what tests of one file share, and for all that must be alone, one after the other."""
    return nextitem.path == item.path or any(lock.alone for lock in _locks(item))


def _locks(item: pytest.Item) -> tuple[Lock, ...]:
    """The machine, and the operator on the cluster: shared, unless the test says that it would disturb others."""
    locks = [Lock(run_folder.folder() / "machine", alone=item.get_closest_marker("quiet") is not None)]
    if item.get_closest_marker("cluster") is not None:
        disturbs = item.get_closest_marker("disruptive") is not None
        locks.append(Lock(cache.ROOT / "locks" / "tests-with-operator", alone=disturbs))
    return tuple(locks)
