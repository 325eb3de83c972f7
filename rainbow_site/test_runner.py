from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

import pytest

VERBOSITY = {0: ["--quiet"], 1: [], 2: ["--verbose"], 3: ["-vv"]}


class PytestRunner:
    """Lets `manage.py test` run the suite with pytest; labels are what pytest takes, or dotted modules."""

    def __init__(self, *, verbosity: int = 1, failfast: bool = False, keepdb: bool = False, **_others: object) -> None:
        self.options = [
            *VERBOSITY[verbosity],
            *(["--exitfirst"] if failfast else []),
            *(["--reuse-db"] if keepdb else []),
        ]

    @classmethod
    def add_arguments(cls, parser: ArgumentParser) -> None:
        parser.add_argument("--failfast", action="store_true", help="stop at the first test that fails")
        parser.add_argument("--keepdb", action="store_true", help="keep the test database for the next run")

    def run_tests(self, test_labels: Sequence[str]) -> int:
        return int(pytest.main([*self.options, *map(_as_path, test_labels)]))


def _as_path(label: str) -> str:
    # pytest's own --pyargs loses the fixtures when modules and paths are mixed.
    path = f"{label.replace('.', '/')}.py"
    return path if Path(path).exists() else label
