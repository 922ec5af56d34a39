"""Which worker of `make test` plays what."""

from __future__ import annotations

from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.scheduling import DOCUMENTS


class Scheduling(LoadScopeScheduling):  # type: ignore[misc]  # it has no types
    """A module stays with one worker, which keeps its servers; a document is a module."""

    def __init__(self, config: pytest.Config, log: Any) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = False

    def _split_scope(self, nodeid: str) -> str:
        scope: str = super()._split_scope(nodeid)
        return nodeid if scope == DOCUMENTS else scope
