"""How xdist hands out the tests: a group to one worker, the groups in the order in which they were collected."""

import json

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.lanes.run_folder import folder

# xdist's own `loadgroup` writes the group into the test's name, which pytest 9.2 no longer lets it do.
_FILE = "groups.json"


def tell(groups: dict[str, str]) -> None:
    """Report each test's group to the process that distributes the tests; every worker reports the same."""
    draft = folder() / f"{_FILE}.{id(groups)}"
    draft.write_text(json.dumps(groups))
    draft.replace(folder() / _FILE)


class Groups(LoadScopeScheduling):  # type: ignore[misc]
    """The scheduler."""

    def __init__(self, config: pytest.Config, log: object = None) -> None:
        config.option.loadscopereorder = False
        super().__init__(config, log)
        self._groups: dict[str, str] = {}

    def _split_scope(self, nodeid: str) -> str:
        self._groups = self._groups or json.loads((folder() / _FILE).read_text())
        return self._groups[nodeid]
