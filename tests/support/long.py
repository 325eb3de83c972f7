"""Parameters of which each run of the tests takes the first, and `make test-long` the others."""

from collections.abc import Sequence
from typing import Any

import pytest


def first_of(values: Sequence[Any], number: int) -> list[Any]:
    return [*values[:number], *(pytest.param(value, marks=pytest.mark.long) for value in values[number:])]
