"""The command, serving an aggregate in a process of its own: once for a module whose tests change nothing in it."""

from collections.abc import Iterator

import pytest

from tests.audit.conftest import browser as browser  # the one of the report's tests
from tests.web.site import Served, made, running


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The page behind a web server that runs as this process does."""
    served = made(tmp_path_factory.mktemp("web"))
    with running(served):
        yield served
