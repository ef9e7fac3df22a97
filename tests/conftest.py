"""What every test begins with: none of the developer's own settings, and no time limit for a single example."""

import os
from typing import Any

import pytest
from hypothesis import settings

if "COUNTINGHOUSE_RETAIL_FILE" in os.environ:
    os.environ["RETAIL_FILE"] = os.environ["COUNTINGHOUSE_RETAIL_FILE"]  # see tests/retail_oracle.py
for _name in [name for name in os.environ if name.startswith("COUNTINGHOUSE_")]:
    del os.environ[_name]

settings.register_profile("suite", deadline=None, print_blob=True)
settings.load_profile("suite")

TOGETHER = ("tests/scenarios/test_the_half_year.py",)
"""Files whose tests share something that costs minutes to make, so that one worker runs them all, and first."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: Any, log: Any) -> Any:
    """(Marks for groups do the same, but not in every pair of pytest and xdist.)"""
    from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

    class Scheduling(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return file if file in TOGETHER else nodeid

    return Scheduling(config, log)
