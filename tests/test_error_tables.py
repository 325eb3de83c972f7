"""Every expected failure has one meaning on each way out: a gRPC code, an HTTP status, an exit code."""

import grpc
import pytest

from rainbow import errors
from rainbow.cli import EXIT_CODES, UNEXPECTED
from rainbow_site.web.problems import STATUS

# REST never answers with these.
NOT_OVER_REST = {errors.Untouched, errors.Unreachable}


def expected_failures() -> list[type[errors.RainbowError]]:
    found, waiting = [], [errors.RainbowError]
    while waiting:
        kinds = waiting.pop().__subclasses__()
        found += [kind for kind in kinds if kind.__module__ == errors.__name__]
        waiting += kinds
    return found


@pytest.mark.parametrize("kind", expected_failures(), ids=lambda kind: kind.__name__)
def test_an_expected_failure_is_in_every_table(kind: type[errors.RainbowError]) -> None:
    assert kind.code in grpc.StatusCode.__members__
    assert kind.code in errors.BY_CODE
    assert kind in STATUS or kind in NOT_OVER_REST
    assert kind.code in EXIT_CODES or (kind is errors.Unimplemented and UNEXPECTED)


def test_a_status_that_tells_of_a_limit_has_one_meaning() -> None:
    limits = [status for kind, status in STATUS.items() if issubclass(kind, errors.ResourceExhausted)]

    assert len(set(limits)) == len(limits)
