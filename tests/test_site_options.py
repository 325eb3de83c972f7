"""Which options of a site's scheduler hold at a cluster."""

import pytest

from rainbow.specs import Work

WORK = Work(
    command="true",
    account="physics",
    partition="batch",
    options_by_cluster={"keebler:partition": "debug", "keebler:qos": "short", "oreo:account": ""},
)


@pytest.mark.parametrize(
    ("cluster", "options"),
    [
        ("elsewhere", {"account": "physics", "partition": "batch"}),
        ("keebler", {"account": "physics", "partition": "debug", "qos": "short"}),
        ("oreo", {"partition": "batch"}),
        ("Keebler", {"account": "physics", "partition": "batch"}),
    ],
)
def test_what_is_said_for_a_cluster_goes_before_what_is_said_for_all(cluster: str, options: dict[str, str]) -> None:
    assert WORK.options(cluster) == options


def test_a_job_that_says_none_has_none() -> None:
    assert Work(command="true").options("keebler") == {}
