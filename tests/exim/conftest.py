"""Machines with Exim, each for a module of tests."""

from collections.abc import Iterator

import pytest

from tests.exim.machine import HEAVY, LIGHT, Machine, machine


@pytest.fixture(scope="module")
def heavy() -> Iterator[Machine]:
    """With SPF."""
    with machine(HEAVY) as made:
        yield made


@pytest.fixture(scope="module")
def light() -> Iterator[Machine]:
    """Without."""
    with machine(LIGHT) as made:
        yield made
