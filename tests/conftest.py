"""Where the tests find the sample data that is read in place and never committed."""

import os
from collections.abc import Generator
from pathlib import Path

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
