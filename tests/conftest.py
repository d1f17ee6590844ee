"""Where the tests find the sample data that is read in place and never committed."""

import os
import sys
import threading
from collections.abc import Generator
from pathlib import Path
from typing import Any, cast

import pluggy
import pytest
from hypothesis import HealthCheck, settings

# How long a machine that is busy takes is no fault of what is tested.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")


def shared_data(folder: str) -> Path:
    """The sample-data folder of that name beside the checkout; the test skips where it is not there."""
    root = Path(os.environ.get("SAFELIST_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not (root / folder).is_dir():
        pytest.skip(f"no sample data in {root / folder}: set SAFELIST_TEST_DATA to the folder that holds {folder}/")
    return root / folder


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pluggy.Result[pytest.TestReport], None]:
    """With SAFELIST_NO_SKIP=1 (continuous integration) a test that skips has failed.

    But for those in the folders that SAFELIST_MAY_SKIP names, which ``.ci/run`` says aloud.
    """
    outcome = yield
    report = outcome.get_result()
    may = tuple(f"{folder}/" for folder in os.environ.get("SAFELIST_MAY_SKIP", "").split())
    is_refused = bool(os.environ.get("SAFELIST_NO_SKIP")) and not item.nodeid.startswith(may or ("\0",))
    if report.skipped and is_refused and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} skipped, which is not allowed here: {report.longrepr}"


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, pluggy.Result[None], None]:
    """Let no property, nor what is marked ``no_cover``, cover a line.

    They go through the same ones a thousand times, and to note each takes as long again. So the coverage that is
    reported is that of the other tests alone.
    """
    noting, in_threads = sys.gettrace(), threading.gettrace()
    is_property = getattr(getattr(item, "obj", None), "is_hypothesis_test", False)
    if is_property or item.get_closest_marker("no_cover") is not None:
        sys.settrace(None)
        threading.settrace(cast("Any", None))
    yield
    sys.settrace(noting)
    threading.settrace(cast("Any", in_threads))
